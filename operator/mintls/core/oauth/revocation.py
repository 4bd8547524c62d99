"""Revoking a token (RFC 7009): one token, by the client that it was issued to.

Whole clients are revoked elsewhere, by ``tokensNotBefore`` and ``suspended`` of the OAuthClient.
"""

from datetime import UTC, datetime

from mintls.core.oauth.access_token import AccessTokenClaims
from mintls.core.oauth.client import Client
from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.introspection import is_active
from mintls.core.oauth.spent import Spent, Use


def revoke(claims: AccessTokenClaims | None, *, caller: Client, issuer: str, now: datetime) -> Spent | None:
    """What has to be written down so that the token counts no more.

    Args:
        claims: Of the token, if the issuer signed it.
        caller: Who asks, authenticated.
        issuer: ``iss`` of this issuer.
        now: Aware UTC.

    Returns:
        ``None`` if the token counts for nothing as it is: that is no error (RFC 7009 section 2.2).

    Raises:
        InvalidRequest: It is another client's (section 2.1). No secret is told: nobody makes such a token up.
    """
    if claims is None:
        return None
    if claims.client_id != caller.registration.client_id:
        raise InvalidRequest(Reason.FOREIGN_TOKEN, f"issued to {claims.client_id[:256]!r}")
    return revocation_of(claims) if is_active(claims, caller, issuer, now) else None


def revocation_of(claims: AccessTokenClaims) -> Spent:
    """What stands for the revocation of a token."""
    return Spent(Use.ACCESS_TOKEN, claims.client_id, claims.jti, datetime.fromtimestamp(claims.exp, UTC))
