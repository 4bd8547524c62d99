"""``/verify``: a proxy in front of a resource asks whether a request may pass.

RFC 6750 for the request, RFC 8705 section 3 and RFC 9449 section 7 for the possession.

Made for nginx's ``auth_request``, Traefik's ``forwardAuth``, Envoy's ``ext_authz`` and their like: they hand on the
headers of the request, pass it on 200, and give 401 and 403 to the client. None of them needs a body.
"""

from collections.abc import Callable

from mintls.core.oauth.demand import demanded, split_prefix
from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.form import parse_query
from mintls.core.oauth.metadata import base_path
from mintls.core.oauth.resource import Presented, Wanted, access_token, permit, wanted
from mintls.core.oauth.revocation import revocation_of
from mintls.issuer.endpoints.proof import RequestOf, forwarded_request, proven_at_resource, same_request
from mintls.issuer.endpoints.steps import SHOWN, forwarded_peer, note_peer, with_keys_of_now
from mintls.issuer.exchange import NO_STORE, Answer, Call
from mintls.issuer.peer import Peer
from mintls.issuer.services import Services
from mintls.issuer.settings import TrustedProxy

CLIENT_ID_HEADER, SCOPE_HEADER = "X-Token-Client-Id", "X-Token-Scope"

type PeerOf = Callable[[], Peer | None]
"""The client's certificate as the proxy hands it on, ``None`` if there is none; raises ``InvalidClient``."""


async def verify(services: Services, call: Call) -> Answer:
    """What the proxy demands is in the query; which request it is about, in ``X-Forwarded-...``.

    Raises:
        InvalidRequest: The caller is no registered proxy, or its demand is malformed.
        OAuthError: As ``decide``.
    """
    proxy = require_proxy(services, call)
    demand = wanted(parse_query(call.query))
    return await decide(services, call, demand, lambda: forwarded_peer(services, call, proxy), forwarded_request)


async def verify_behind(services: Services, call: Call) -> Answer:
    """What the proxy demands is in the path that it puts the client's path behind; the query is the client's.

    Raises:
        InvalidRequest: The caller is no registered proxy, or its demand is malformed.
        OAuthError: As ``decide``.
    """
    proxy = require_proxy(services, call)
    text, path = split_prefix(call.path, f"{base_path(services.settings.mtls_url)}/verify")
    demand = wanted(demanded(text, call.header))
    request = same_request(call.method, path)
    return await decide(services, call, demand, lambda: forwarded_peer(services, call, proxy), request)


async def decide(services: Services, call: Call, demand: Wanted, peer_of: PeerOf, requested: RequestOf) -> Answer:
    """Say whether the token in the request's own ``Authorization`` gives access.

    Args:
        services: What the endpoints work with.
        call: The request.
        demand: What the proxy demands.
        peer_of: Gives the client's certificate.
        requested: Gives the request that the proxy asks about.

    Raises:
        InvalidToken: The token does not give access.
        UnprovenRequest: Its DPoP proof does not hold.
        TemporarilyUnavailable: There are too many proofs to tell whether one was used before, or the client's keys are
            elsewhere and not to be had.
        InsufficientScope: It would with another scope.
    """
    token = access_token(call.header("Authorization"))
    claims = services.tokens.read(token.value, call.now)
    subject = services.directory.client(claims.client_id) if claims else None
    if claims is not None:
        call.trail.jti, call.trail.client_id = claims.jti, claims.client_id[:SHOWN]
    if subject is not None:
        call.trail.client = f"{subject.registration.namespace}/{subject.registration.name}"

    def presented() -> Presented | None:
        peer = peer_of()
        if peer is None:
            return None
        return Presented(peer.certificate, services.paths.finder(peer, call.now), services.directory.account)

    # Another replica may have issued the token over a certificate that is not known here yet.
    granted = await with_keys_of_now(
        services,
        subject,
        lambda known: permit(
            claims,
            demand,
            subject=known,
            revoked=claims is not None and services.directory.is_spent(revocation_of(claims).name),
            scheme=token.scheme,
            presented=presented,
            proven_key=lambda: proven_at_resource(services, call, requested, token.value, call.trail.client_id),
            issuer=services.settings.issuer_url,
            now=call.now,
        ),
    )
    call.trail.scope, call.trail.audience = granted.scope, demand.audience
    who = {CLIENT_ID_HEADER: granted.client_id, SCOPE_HEADER: granted.scope}
    return Answer(200, b"", headers={**NO_STORE, **who})


def require_proxy(services: Services, call: Call) -> TrustedProxy:
    """The proxy that calls (RFC 7662 section 2.1: whoever may ask can try tokens out).

    Raises:
        InvalidRequest: It is none. That is for whoever configures it, so it is no answer that a proxy hands on.
    """
    proxy = services.proxies.of(note_peer(call), call.now)
    if proxy is None:
        raise InvalidRequest(Reason.NOT_A_PROXY)
    call.trail.proxy = f"{proxy.namespace}/{proxy.name}"
    return proxy
