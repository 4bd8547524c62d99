"""How a token says which certificate it is bound to: ``cnf`` (RFC 7800 section 3.1, RFC 8705 section 3.1)."""

import msgspec

from mintls.core.oauth.client import Client
from mintls.core.pki.certificate import CertificateFacts


class Confirmation(msgspec.Struct, frozen=True):
    """The ``cnf`` claim.

    Attributes:
        x5t_s256: ``x5t#S256``: base64url, without padding, of the SHA-256 of the certificate's DER (RFC 8705
            section 3.1).
    """

    x5t_s256: str = msgspec.field(name="x5t#S256")


def confirmation(client: Client, certificate: CertificateFacts) -> Confirmation | None:
    """``cnf`` of a token for this client on this certificate; ``None`` if its tokens are not bound."""
    return Confirmation(certificate.thumbprint) if client.registration.certificate_bound else None
