"""What only the operator may ask: proof that it is the operator."""

from mintls.core.oauth.client_authentication import is_identity
from mintls.core.oauth.errors import InvalidToken, Reason
from mintls.issuer.endpoints.steps import note_peer
from mintls.issuer.exchange import Call
from mintls.issuer.services import OPERATOR_AUTHORITY, Services


def require_operator(services: Services, call: Call) -> None:
    """Make sure that the caller is the operator, by its certificate.

    Raises:
        InvalidToken: It is not.
    """
    peer = note_peer(call)
    certificate = peer.certificate if peer else None
    path_to = services.paths.finder(peer, call.now)
    if not is_identity(services.operator, OPERATOR_AUTHORITY, certificate, path_to, call.now):
        raise InvalidToken(Reason.NOT_THE_OPERATOR)
