"""What a caller may know of a token (RFC 7662)."""

from datetime import datetime
from typing import Any

from mintls.core.oauth.access_token import AccessTokenClaims
from mintls.core.oauth.client import Client
from mintls.core.oauth.confirmation import token_type
from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.form import Form

INACTIVE: dict[str, Any] = {"active": False}
"""The answer for every token that is not good, or none of the caller's business (RFC 7662 section 2.2)."""


def introspected_token(form: Form) -> str:
    """``token`` of the request; ``token_type_hint`` is not needed, there is one kind (RFC 7662 section 2.1).

    Raises:
        InvalidRequest: It is missing.
    """
    token = form.one("token")
    if token is None:
        raise InvalidRequest(Reason.MISSING_TOKEN)
    return token


def introspect(
    claims: AccessTokenClaims | None,
    *,
    caller: Client,
    subject: Client | None,
    revoked: bool,
    issuer: str,
    now: datetime,
) -> dict[str, Any]:
    """The answer to an introspection request.

    Args:
        claims: Of the token, if the issuer signed it.
        caller: Who asks, authenticated.
        subject: The client that the token was issued to, as it is registered now; ``None`` if it is no longer.
        revoked: Whether the token itself was revoked (RFC 7009).
        issuer: ``iss`` of this issuer.
        now: Aware UTC.
    """
    if claims is None or revoked or not is_active(claims, subject, issuer, now) or not concerns(claims, caller):
        return INACTIVE
    answer: dict[str, Any] = {
        **claims.extra,
        "active": True,
        "token_type": token_type(claims.cnf),
        "client_id": claims.client_id,
        "sub": claims.sub,
        "iss": claims.iss,
        "aud": claims.aud,
        "exp": claims.exp,
        "iat": claims.iat,
        "jti": claims.jti,
    }
    if claims.act is not None:
        answer["act"] = claims.act  # RFC 8693 section 4.1
    if claims.scope:
        answer["scope"] = claims.scope
    if claims.cnf is not None:
        answer["cnf"] = claims.cnf  # RFC 8705 section 3.2, RFC 9449 section 6.2
    return answer


def is_active(claims: AccessTokenClaims, subject: Client | None, issuer: str, now: datetime) -> bool:
    """Whether time and the registration of its client still let the token count. Arguments as ``introspect``."""
    if claims.iss != issuer or claims.exp <= now.timestamp() or subject is None:
        return False
    registration = subject.registration
    # A token that is older than the client was issued to an earlier one of the same id.
    limits = (registration.created, registration.tokens_not_before)
    return not registration.suspended and all(limit is None or claims.iat >= limit.timestamp() for limit in limits)


def concerns(claims: AccessTokenClaims, caller: Client) -> bool:
    """A client may ask about its own tokens, a resource about those that are for it."""
    registration = caller.registration
    return claims.client_id == registration.client_id or not claims.audiences.isdisjoint(registration.audiences)
