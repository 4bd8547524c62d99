"""``GET /register/{client_id}``: how the operator sees that a registration has arrived (RFC 7592 section 2.1).

RFC 7592 has a registration access token; here the operator's certificate takes its place. Nothing can be written:
registrations are Kubernetes objects.
"""

import msgspec

from mintls.core.oauth.client_information import client_information
from mintls.core.oauth.errors import Reason
from mintls.issuer.endpoints.operator import require_operator
from mintls.issuer.endpoints.steps import SHOWN, signs_for
from mintls.issuer.errors import error_body
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services


def registration(services: Services, call: Call) -> Answer:
    """The registration in effect here of the client that the path names.

    Raises:
        InvalidToken: The caller is not the operator.
    """
    require_operator(services, call)
    call.trail.client_id = call.target[:SHOWN]
    client = services.directory.client(call.target)
    if client is None:
        call.trail.reason = Reason.UNKNOWN_CLIENT
        return Answer(404, error_body("not_found", "no such client"))
    information = client_information(
        client,
        services.settings.issuer_url,
        jwks_problem=services.remote_keys.problem(call.target),
        signing_problem="" if signs_for(services, call, client) else "there is no key to sign its tokens with yet",
    )
    return Answer(200, msgspec.json.encode(information))
