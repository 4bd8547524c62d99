"""``Authorization/Check``: the same question as ``/verify``, by Envoy over gRPC."""

from mintls.core.oauth.demand import demand_of
from mintls.core.oauth.dpop import normalized_uri
from mintls.core.oauth.forwarded_certificate import HeaderLines
from mintls.core.oauth.resource import wanted
from mintls.issuer.endpoints.proof import Requested
from mintls.issuer.endpoints.steps import handed_on_peer
from mintls.issuer.endpoints.verify import decide
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.extauthz.messages import CheckRequest
from mintls.issuer.services import Services


async def check(services: Services, call: Call, request: CheckRequest, metadata: HeaderLines) -> Answer:
    """What the proxy demands is in ``context_extensions`` of its route, or in the metadata of all of its calls.

    Neither is what a client can write: its headers are in the message, and play no part in it.

    Args:
        services: What the endpoints work with.
        call: The call of a proxy, with the headers of the client's request.
        request: The client's request.
        metadata: The proxy's metadata.

    Raises:
        InvalidRequest: The demand is malformed.
        OAuthError: As ``decide``.
    """
    demand = wanted(demand_of(request.context, metadata))
    requested = Requested(request.method, normalized_uri(f"{request.scheme}://{request.host}{request.path}"))
    return await decide(
        services, call, demand, lambda: handed_on_peer(services, call, request.certificate), lambda _header: requested
    )
