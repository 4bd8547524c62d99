"""How a token says what it is bound to: ``cnf`` (RFC 7800 section 3.1).

A certificate by its thumbprint (RFC 8705 section 3.1), or a key by its own (RFC 9449 section 6.1), never both: a client
that is registered for DPoP is so because a certificate does not get to where its tokens go.
"""

from datetime import datetime

import msgspec

from mintls.core.oauth.client import Client
from mintls.core.oauth.errors import InvalidDpopProof, InvalidRequest, Reason
from mintls.core.pki.certificate import CertificateFacts


class Confirmation(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``cnf`` claim.

    Attributes:
        x5t_s256: ``x5t#S256``: base64url, without padding, of the SHA-256 of the certificate's DER (RFC 8705
            section 3.1).
        jkt: The RFC 7638 thumbprint of the key of a DPoP proof (RFC 9449 section 6.1).
    """

    x5t_s256: str | None = msgspec.field(name="x5t#S256", default=None)
    jkt: str | None = None


def token_type(cnf: Confirmation | None) -> str:
    """``token_type`` of a token (RFC 9449 section 5, RFC 6750)."""
    return "DPoP" if cnf is not None and cnf.jkt is not None else "Bearer"


def confirmation(
    client: Client, certificate: CertificateFacts | None, now: datetime, *, jkt: str | None = None
) -> Confirmation | None:
    """``cnf`` of a token for this client on this certificate; ``None`` if its tokens are not bound.

    A client that authenticated by other means binds its tokens to whatever certificate it proves the key of (RFC 8705
    section 4): nobody else gains by it.

    Args:
        client: Who gets the token.
        certificate: What was presented in the handshake, ``None`` for nothing.
        now: Aware UTC; the certificate has to be valid then.
        jkt: Of its DPoP proof, if its tokens are bound to that.

    Raises:
        InvalidDpopProof: Its tokens are bound to a proof's key, and there is none.
        InvalidRequest: There is nothing to bind to. It never becomes a token that is not bound.
    """
    if client.registration.dpop_bound:
        if jkt is None:
            raise InvalidDpopProof(Reason.WRONG_PROOF, "there is none")
        return Confirmation(jkt=jkt)
    if not client.registration.certificate_bound:
        return None
    if certificate is None or not certificate.not_before <= now <= certificate.not_after:
        raise InvalidRequest(Reason.CERTIFICATE_NEEDED)
    return Confirmation(certificate.thumbprint)
