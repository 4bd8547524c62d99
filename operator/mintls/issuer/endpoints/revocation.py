"""``POST /revoke``: a client gives one of its tokens up (RFC 7009)."""

from mintls.core.oauth.introspection import introspected_token
from mintls.core.oauth.revocation import revoke
from mintls.issuer.endpoints.steps import authenticate_client, read_form, spend
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services


async def revocation(services: Services, call: Call) -> Answer:
    """Make sure that the token counts no more, here and at every replica.

    ``token_type_hint`` is not needed, there is one kind (RFC 7009 section 2.1).

    Raises:
        OAuthError: The caller is not authenticated, the request is malformed, the token is another client's, or it
            could not be written down.
    """
    form = read_form(call)
    caller, _ = await authenticate_client(services, call, form)
    claims = services.tokens.read(introspected_token(form), call.now)
    call.trail.jti = claims.jti if claims else ""
    spent = revoke(claims, caller=caller, issuer=services.settings.issuer_url, now=call.now)
    if spent is not None and not services.directory.is_spent(spent.name):
        await spend(services, spent)
    return Answer(200, b"")
