"""How a token says which certificate it is bound to: ``cnf`` (RFC 7800 section 3.1, RFC 8705 section 3.1)."""

from datetime import datetime

import msgspec

from mintls.core.oauth.client import Client
from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.pki.certificate import CertificateFacts


class Confirmation(msgspec.Struct, frozen=True):
    """The ``cnf`` claim.

    Attributes:
        x5t_s256: ``x5t#S256``: base64url, without padding, of the SHA-256 of the certificate's DER (RFC 8705
            section 3.1).
    """

    x5t_s256: str = msgspec.field(name="x5t#S256")


def confirmation(client: Client, certificate: CertificateFacts | None, now: datetime) -> Confirmation | None:
    """``cnf`` of a token for this client on this certificate; ``None`` if its tokens are not bound.

    A client that authenticated by other means binds its tokens to whatever certificate it proves the key of (RFC 8705
    section 4): nobody else gains by it.

    Args:
        client: Who gets the token.
        certificate: What was presented in the handshake, ``None`` for nothing.
        now: Aware UTC; the certificate has to be valid then.

    Raises:
        InvalidRequest: There is nothing to bind to. It never becomes a token that is not bound.
    """
    if not client.registration.certificate_bound:
        return None
    if certificate is None or not certificate.not_before <= now <= certificate.not_after:
        raise InvalidRequest(Reason.CERTIFICATE_NEEDED)
    return Confirmation(certificate.thumbprint)
