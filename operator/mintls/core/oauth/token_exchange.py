"""A token in exchange for another one (RFC 8693): for whom the caller acts, and how far that goes.

The new token is the caller's own: its client, its binding, its lifetime. On whose behalf is in ``sub``, and who acts in
``act`` (section 4.1). It reaches no further than either of the two: no scope that the subject's token lacks or that the
caller is not registered for, no audience that the caller is not registered for, and no longer than the subject's token.
"""

from dataclasses import dataclass, field
from datetime import datetime

import jwt

from mintls.core.oauth.access_token import AccessTokenClaims, Actor, Behalf
from mintls.core.oauth.client import Client
from mintls.core.oauth.errors import InvalidRequest, InvalidScope, Reason
from mintls.core.oauth.form import Form
from mintls.core.oauth.introspection import concerns, is_active
from mintls.core.oauth.token_request import grant_scope

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
"""An access token of this issuer (RFC 8693 section 3)."""
JWT = "urn:ietf:params:oauth:token-type:jwt"
"""A service account's token, which Kubernetes has issued for this issuer."""

_SERVICE_ACCOUNT = "system:serviceaccount"


@dataclass(frozen=True, slots=True)
class ExchangeRequest:
    """What is given in exchange.

    Attributes:
        token: ``subject_token``. Not in the repr.
        type: ``subject_token_type``.
    """

    token: str = field(repr=False)
    type: str


@dataclass(frozen=True, slots=True)
class ReviewedAccount:
    """What Kubernetes says of a token (``TokenReview``), with what the token says of itself.

    Attributes:
        username: Who it is, such as ``system:serviceaccount:shop:billing``.
        expires: When the token ends, in seconds since the epoch.
    """

    username: str
    expires: int


@dataclass(frozen=True, slots=True)
class Subject:
    """On whose behalf the caller acts.

    Attributes:
        sub: Who.
        expires: When the token ends by which the caller may, in seconds since the epoch.
        scopes: Scopes of that token; ``None`` if it has no notion of them.
        actor: Who acted before the caller (RFC 8693 section 4.1), ``None`` for nobody.
    """

    sub: str
    expires: int
    scopes: frozenset[str] | None = None
    actor: Actor | None = None

    def represented_by(self, client_id: str) -> Behalf:
        """What the new token says of it: the caller acts, and within that whoever acted before."""
        return Behalf(self.sub, Actor(client_id, self.actor), self.expires)


def parse_exchange(form: Form) -> ExchangeRequest:
    """RFC 8693 section 2.1, as far as it is needed: one caller, who is the actor.

    Raises:
        InvalidRequest: A parameter is missing, or asks for what there is not.
    """
    token, kind = form.one("subject_token"), form.one("subject_token_type")
    wanted = form.one("requested_token_type") or ACCESS_TOKEN
    if token is None or kind not in {ACCESS_TOKEN, JWT}:
        raise InvalidRequest(Reason.MALFORMED_EXCHANGE, f"subject_token_type {(kind or '')[:64]!r}")
    if wanted not in {ACCESS_TOKEN, JWT}:
        raise InvalidRequest(Reason.MALFORMED_EXCHANGE, f"requested_token_type {wanted[:64]!r}")
    for name in ("actor_token", "actor_token_type"):
        if name in form:
            raise InvalidRequest(Reason.MALFORMED_EXCHANGE, name)
    return ExchangeRequest(token, kind)


def asked_audiences(form: Form) -> tuple[str, ...]:
    """``audience`` of an exchange (RFC 8693 section 2.1), which here means what ``resource`` means."""
    audience = form.one("audience")
    return form.every("resource") + ((audience,) if audience else ())


def subject_of_token(
    claims: AccessTokenClaims | None, *, caller: Client, owner: Client | None, revoked: bool, issuer: str, now: datetime
) -> Subject:
    """The subject of an access token of this issuer.

    Whoever holds a token that is bound to a certificate of somebody else could not use it anywhere; here they can only
    if it was meant for them, or is their own.

    Args:
        claims: Of the token, if the issuer signed it.
        caller: Who wants to act, authenticated.
        owner: The client that the token was issued to, as it is registered now; ``None`` if it is no longer.
        revoked: Whether the token itself was revoked.
        issuer: ``iss`` of this issuer.
        now: Aware UTC.

    Raises:
        InvalidRequest: It does not count, or was not meant for the caller (RFC 8693 section 2.2.2).
    """
    if claims is None or revoked or not is_active(claims, owner, issuer, now):
        raise InvalidRequest(Reason.WRONG_SUBJECT_TOKEN, "not active")
    if not concerns(claims, caller):
        raise InvalidRequest(Reason.WRONG_SUBJECT_TOKEN, f"for {', '.join(sorted(claims.audiences))[:256]}")
    return Subject(claims.sub, claims.exp, frozenset(claims.scope.split()), claims.act)


def subject_of_account(account: ReviewedAccount | None, caller: Client) -> Subject:
    """The subject of a service account's token.

    Args:
        account: What Kubernetes says; ``None`` if it does not know the token, or issued it for somebody else.
        caller: Who wants to act, authenticated.

    Raises:
        InvalidRequest: It does not count, or the client may not act for that account.
    """
    if account is None:
        raise InvalidRequest(Reason.WRONG_SUBJECT_TOKEN, "Kubernetes does not know it, or issued it for somebody else")
    registration = caller.registration
    allowed = {f"{_SERVICE_ACCOUNT}:{registration.namespace}:{name}" for name in registration.service_accounts}
    if account.username not in allowed:
        raise InvalidRequest(Reason.WRONG_SUBJECT_TOKEN, f"of {account.username[:256]}, not in spec.serviceAccounts")
    return Subject(account.username, account.expires)


def exchanged_scope(client: Client, asked: str | None, subject: Subject) -> str:
    """The scope of the new token: what was asked for, or all that both have.

    Raises:
        InvalidScope: Malformed, not registered, or more than the subject's token has.
    """
    if subject.scopes is None:
        return grant_scope(client, asked)
    if asked is None:
        return " ".join(scope for scope in client.registration.scopes if scope in subject.scopes)
    scope = grant_scope(client, asked)
    excess = set(scope.split()) - subject.scopes
    if excess:
        raise InvalidScope(Reason.UNREGISTERED_SCOPE, f"not in the subject_token: {' '.join(sorted(excess))[:256]}")
    return scope


def expiry_of(token: str) -> int:
    """``exp`` of a JWT that somebody else has verified, in seconds since the epoch; 0 if it has none."""
    try:
        expiry = jwt.decode(token, options={"verify_signature": False}).get("exp")
    except (jwt.InvalidTokenError, UnicodeError, RecursionError):
        return 0
    return expiry if isinstance(expiry, int) else 0
