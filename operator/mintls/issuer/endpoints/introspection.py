"""``POST /introspect``: what a caller may know of a token (RFC 7662), in JSON or as a signed JWT (RFC 9701)."""

import msgspec

from mintls.core.oauth.introspection import introspect, introspected_token
from mintls.core.oauth.introspection_jwt import MEDIA_TYPE, introspection_jwt, wants_jwt
from mintls.core.oauth.revocation import revocation_of
from mintls.issuer.endpoints.steps import authenticate_client, current_key, read_form
from mintls.issuer.exchange import NO_STORE, Answer, Call
from mintls.issuer.services import Services

_VARYING = {**NO_STORE, "Vary": "Accept"}


async def introspection(services: Services, call: Call) -> Answer:
    """Say whether a token is good, and what it says, to a caller whom it concerns.

    Raises:
        OAuthError: The caller is not authenticated, the request is malformed, or there is no key to sign with.
    """
    form = read_form(call)
    caller, _ = await authenticate_client(services, call, form)
    claims = services.tokens.read(introspected_token(form), call.now)
    answer = introspect(
        claims,
        caller=caller,
        subject=services.directory.client(claims.client_id) if claims else None,
        revoked=claims is not None and services.directory.is_spent(revocation_of(claims).name),
        issuer=services.settings.issuer_url,
        now=call.now,
    )
    call.trail.active = answer["active"]
    call.trail.jti = claims.jti if claims else ""
    if not wants_jwt(call.accept):
        return Answer(200, msgspec.json.encode(answer), headers=_VARYING)
    key, issuer = current_key(services, call), services.settings.issuer_url
    signed = introspection_jwt(answer, caller, issuer=issuer, now=call.now, key=key)
    return Answer(200, signed.encode("ascii"), headers=_VARYING, content_type=MEDIA_TYPE)
