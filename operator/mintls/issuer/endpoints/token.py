"""``POST /token``: the client credentials grant (RFC 6749 section 4.4) with tokens bound to certificates (RFC 8705)."""

import msgspec

from mintls.core.oauth.access_token import access_token_claims, sign_access_token
from mintls.core.oauth.confirmation import confirmation, token_type
from mintls.core.oauth.token_request import grant_audience, grant_scope, parse_token_request, permit_grant
from mintls.issuer.endpoints.proof import next_nonce, prove_key
from mintls.issuer.endpoints.steps import access_token_key, authenticate_client, read_parameters
from mintls.issuer.exchange import NO_STORE, Answer, Call
from mintls.issuer.services import Services


class TokenResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 6749 section 5.1. Without a repr of its token."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str = ""

    def __repr__(self) -> str:
        return f"TokenResponse(expires_in={self.expires_in}, scope={self.scope!r})"


async def token(services: Services, call: Call) -> Answer:
    """Issue a token.

    Raises:
        OAuthError: It is refused.
    """
    form = read_parameters(services, call)
    request = parse_token_request(form)
    client, certificate = await authenticate_client(services, call, form)
    permit_grant(client, request.grant_type)
    scope = grant_scope(client, request.scope)
    audience = grant_audience(client, request.resources)
    key = access_token_key(services, call, client)
    jkt = await prove_key(services, call, client) if client.registration.dpop_bound else None
    claims = access_token_claims(
        client,
        issuer=services.settings.issuer_url,
        audience=audience,
        scope=scope,
        confirmation=confirmation(client, certificate, call.now, jkt=jkt),
        certificate_end=certificate.not_after if certificate else None,
        jti=services.identifier(),
        now=call.now,
    )
    call.trail.scope, call.trail.audience, call.trail.jti, call.trail.expires = scope, audience, claims.jti, claims.exp
    lifetime = claims.exp - claims.iat
    response = TokenResponse(sign_access_token(claims, key), token_type(claims.cnf), lifetime, scope)
    return Answer(200, msgspec.json.encode(response), headers=next_nonce(services, call) if jkt else NO_STORE)
