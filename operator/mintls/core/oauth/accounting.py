"""Whether a certificate still stands for its client: the object that it was issued for says so, or its absence."""

from collections.abc import Callable
from dataclasses import dataclass

from mintls.core.oauth.errors import Reason
from mintls.core.oauth.registration import Registration
from mintls.core.pki.origin import Origin

CLIENT_CERTIFICATE = "ClientCertificate"
OAUTH_CLIENT = "OAuthClient"


@dataclass(frozen=True, slots=True)
class Account:
    """What a ClientCertificate says of every certificate that was issued for it.

    Attributes:
        uid: Its ``metadata.uid``.
        namespace: Its namespace.
        client: Name of the OAuthClient of that namespace that it authenticates.
        revoked: Whether its certificates are revoked.
    """

    uid: str
    namespace: str
    client: str
    revoked: bool


type AccountOf = Callable[[str], Account | None]
"""The account of the ClientCertificate with that uid; ``None`` if there is none, or none any more."""


def discredited(origin: Origin | None, registration: Registration, account_of: AccountOf) -> tuple[Reason, str] | None:
    """Why a certificate does not stand for a client any more; ``None`` if it does, or was issued for no object.

    Args:
        origin: What the certificate says that it was issued for.
        registration: The client.
        account_of: Finds a ClientCertificate.
    """
    if origin is None:
        return None
    if origin.kind == OAUTH_CLIENT:
        same = origin.uid == registration.uid
        return None if same else (Reason.ORPHANED_CERTIFICATE, "it was issued for another OAuthClient")
    account = account_of(origin.uid) if origin.kind == CLIENT_CERTIFICATE else None
    if account is None:
        return Reason.ORPHANED_CERTIFICATE, f"there is no {origin.kind} with uid {origin.uid}"
    if (account.namespace, account.client) != registration.key:
        return Reason.ORPHANED_CERTIFICATE, f"it is of OAuthClient {account.namespace}/{account.client}"
    return (Reason.REVOKED_CERTIFICATE, f"ClientCertificate with uid {origin.uid}") if account.revoked else None
