"""``POST /token``: client credentials (RFC 6749 section 4.4) and token exchange (RFC 8693), bound to certificates."""

import msgspec

from mintls.core.oauth.access_token import access_token_claims, sign_access_token
from mintls.core.oauth.confirmation import confirmation, token_type
from mintls.core.oauth.token_exchange import ACCESS_TOKEN, asked_audiences, exchanged_scope, parse_exchange
from mintls.core.oauth.token_request import (
    TOKEN_EXCHANGE,
    grant_audience,
    grant_scope,
    parse_token_request,
    permit_grant,
)
from mintls.issuer.endpoints.proof import next_nonce, prove_key
from mintls.issuer.endpoints.steps import access_token_key, authenticate_client, read_parameters
from mintls.issuer.endpoints.subject import find_subject
from mintls.issuer.exchange import NO_STORE, Answer, Call
from mintls.issuer.services import Services


class TokenResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 6749 section 5.1. Without a repr of its token."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str = ""
    issued_token_type: str = ""

    def __repr__(self) -> str:
        return f"TokenResponse(expires_in={self.expires_in}, scope={self.scope!r})"


async def token(services: Services, call: Call) -> Answer:
    """Issue a token.

    Raises:
        OAuthError: It is refused.
    """
    form = read_parameters(services, call)
    request = parse_token_request(form)
    exchange = parse_exchange(form) if request.grant_type == TOKEN_EXCHANGE else None
    client, certificate = await authenticate_client(services, call, form)
    permit_grant(client, request.grant_type)
    subject = await find_subject(services, call, client, exchange) if exchange else None
    scope = exchanged_scope(client, request.scope, subject) if subject else grant_scope(client, request.scope)
    audience = grant_audience(client, asked_audiences(form) if subject else request.resources)
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
        behalf=subject.represented_by(client.registration.client_id) if subject else None,
    )
    call.trail.scope, call.trail.audience, call.trail.jti, call.trail.expires = scope, audience, claims.jti, claims.exp
    lifetime = claims.exp - claims.iat
    issued = ACCESS_TOKEN if subject else ""
    response = TokenResponse(sign_access_token(claims, key), token_type(claims.cnf), lifetime, scope, issued)
    return Answer(200, msgspec.json.encode(response), headers=next_nonce(services, call) if jkt else NO_STORE)
