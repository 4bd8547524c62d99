"""``GET /register/{client_id}``: how the operator sees that a registration has arrived (RFC 7592 section 2.1).

RFC 7592 has a registration access token; here the operator's certificate takes its place. Nothing can be written:
registrations are Kubernetes objects.
"""

import msgspec

from mintls.core.oauth.client_authentication import is_identity
from mintls.core.oauth.client_information import client_information
from mintls.core.oauth.errors import InvalidToken, Reason
from mintls.issuer.endpoints.steps import SHOWN, note_peer
from mintls.issuer.errors import error_body
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import OPERATOR_AUTHORITY, Services


def registration(services: Services, call: Call) -> Answer:
    """The registration in effect here of the client that the path names.

    Raises:
        InvalidToken: The caller is not the operator.
    """
    _require_operator(services, call)
    call.trail.client_id = call.target[:SHOWN]
    client = services.directory.client(call.target)
    if client is None:
        call.trail.reason = Reason.UNKNOWN_CLIENT
        return Answer(404, error_body("not_found", "no such client"))
    return Answer(200, msgspec.json.encode(client_information(client)))


def _require_operator(services: Services, call: Call) -> None:
    peer = note_peer(call)
    certificate = peer.certificate if peer else None
    path_to = services.paths.finder(peer, call.now)
    if not is_identity(services.operator, OPERATOR_AUTHORITY, certificate, path_to, call.now):
        raise InvalidToken(Reason.NOT_THE_OPERATOR)
