"""Whether a resource may be accessed with a token.

RFC 6750 for the request, RFC 8705 section 3 and RFC 9449 section 7 for the possession. All that is wrong with
a token is said in the same words; which of it is wrong learns the audit log alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mintls.core.oauth.access_token import AccessTokenClaims
from mintls.core.oauth.accounting import AccountOf
from mintls.core.oauth.client import Client
from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT
from mintls.core.oauth.client_authentication import PathTo, authenticate
from mintls.core.oauth.confirmation import Confirmation
from mintls.core.oauth.errors import InsufficientScope, InvalidClient, InvalidRequest, InvalidToken, Reason
from mintls.core.oauth.form import Form
from mintls.core.oauth.introspection import is_active
from mintls.core.oauth.token_request import is_scope
from mintls.core.pki.certificate import CertificateFacts

# RFC 6750 section 2.1: b64token; RFC 9449 section 7.1 has the same. Schemes have no case (RFC 9110 section 11.1).
_CREDENTIALS = re.compile(r"(bearer|dpop) +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_PARAMETERS = frozenset({"audience", "scope", "possession"})


class Possession(StrEnum):
    """What is demanded of tokens that are bound to nothing; of a bound one the proof always is."""

    STRICT = "strict"
    """They are refused."""
    OPTIONAL = "optional"
    """They are taken: whoever has one may use it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a resource demands of a token.

    Attributes:
        audience: What ``aud`` has to contain, letter by letter.
        scope: Scopes that it has to have, all of them; as written, for the challenge.
        possession: Whether it has to be bound.
    """

    audience: str
    scope: str
    possession: Possession

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes as a set."""
        return frozenset(self.scope.split())


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token as a request presents it.

    Attributes:
        scheme: ``bearer`` or ``dpop``.
        value: The token. Not in the repr.
    """

    scheme: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Presented:
    """The caller's certificate and what is known of it.

    Attributes:
        certificate: Whose key it has proven.
        path_to: Finds the path from it to an authority.
        account_of: Finds the ClientCertificate that it was issued for.
    """

    certificate: CertificateFacts
    path_to: PathTo
    account_of: AccountOf


def wanted(query: Form) -> Wanted:
    """What a proxy demands by its query. A name that it gets wrong must not make the demand a smaller one.

    Raises:
        InvalidRequest: A parameter is unknown, or its value malformed, or ``audience`` is missing (RFC 9068 section 4
            has a resource look at it).
    """
    unknown = query.names - _PARAMETERS
    if unknown:
        raise InvalidRequest(Reason.MALFORMED_DEMAND, f"parameter {min(unknown)[:64]!r}")
    audience, scope = query.one("audience"), query.one("scope") or ""
    possession = query.one("possession") or Possession.STRICT
    if audience is None or (scope and not is_scope(scope)) or possession not in set(Possession):
        raise InvalidRequest(Reason.MALFORMED_DEMAND, f"possession {possession[:32]!r}, scope {scope[:128]!r}")
    return Wanted(audience, scope, Possession(possession))


def access_token(authorization: tuple[str, ...]) -> AccessToken:
    """The token of a request (RFC 6750 section 2.1, RFC 9449 section 7.1).

    One in a form or a query is none (RFC 9700 section 4.3.2).

    Args:
        authorization: The lines of ``Authorization``.

    Raises:
        InvalidToken: There is none, or it is malformed.
    """
    if len(authorization) > 1:
        raise InvalidToken(Reason.WRONG_TOKEN, f"Authorization is there {len(authorization)} times")
    scheme = authorization[0].partition(" ")[0].lower() if authorization else ""
    if scheme not in {"bearer", "dpop"}:
        raise InvalidToken(Reason.NO_ACCESS_TOKEN, f"Authorization has scheme {scheme[:32]!r}")
    found = _CREDENTIALS.fullmatch(authorization[0].strip(" "))
    if not found:
        raise InvalidToken(Reason.WRONG_TOKEN, "no b64token")
    return AccessToken(found[1].lower(), found[2])


def permit(
    claims: AccessTokenClaims | None,
    demand: Wanted,
    *,
    subject: Client | None,
    revoked: bool,
    scheme: str,
    presented: Callable[[], Presented | None],
    proven_key: Callable[[], str],
    issuer: str,
    now: datetime,
) -> AccessTokenClaims:
    """Make sure that a token gives access.

    Args:
        claims: Of the token, if the issuer signed it.
        demand: What the resource demands.
        subject: The client that the token was issued to, as it is registered now; ``None`` if it is no longer.
        revoked: Whether the token itself was revoked.
        scheme: ``bearer`` or ``dpop``, as the token is presented.
        presented: Gives the caller's certificate; asked only if the token is bound to one. Raises ``InvalidClient``.
        proven_key: Gives the thumbprint of the key of the request's DPoP proof; asked only if the token is bound to
            one. Raises ``InvalidDpopProof``.
        issuer: ``iss`` of this issuer.
        now: Aware UTC.

    Raises:
        InvalidToken: It does not, and no other scope would help.
        InvalidDpopProof: It is bound to a key that the request does not prove.
        InsufficientScope: It lacks a scope.
    """
    if claims is None:
        raise InvalidToken(Reason.WRONG_TOKEN, "not of this issuer, or broken")
    if subject is None or not is_active(claims, subject, issuer, now):
        raise InvalidToken(Reason.WRONG_TOKEN, "expired, or its client is suspended, gone, or has revoked all")
    if revoked:
        raise InvalidToken(Reason.WRONG_TOKEN, "revoked")
    if demand.audience not in claims.audiences:
        raise InvalidToken(Reason.WRONG_AUDIENCE, f"for {', '.join(sorted(claims.audiences))[:256]}")
    bound_to_key = claims.cnf is not None and claims.cnf.jkt is not None
    if bound_to_key != (scheme == "dpop"):  # RFC 9449 section 7.2: never as a bearer token
        raise InvalidToken(Reason.NO_POSSESSION, f"presented by scheme {scheme}")
    if claims.cnf is not None and bound_to_key:
        _prove_key(claims.cnf, proven_key)
    elif claims.cnf is not None:
        _prove(claims.cnf, subject, presented, now)
    elif demand.possession is not Possession.OPTIONAL:
        raise InvalidToken(Reason.UNBOUND_TOKEN)
    missing = demand.scopes - set(claims.scope.split())
    if missing:
        raise InsufficientScope(Reason.MISSING_SCOPE, " ".join(sorted(missing))[:256], scope=demand.scope)
    return claims


def _prove_key(bound: Confirmation, proven_key: Callable[[], str]) -> None:
    """RFC 9449 section 4.3, the last rule."""
    jkt = proven_key()
    if jkt != bound.jkt:
        raise InvalidToken(Reason.NO_POSSESSION, f"bound to key {bound.jkt}, proven: {jkt}")


def _prove(bound: Confirmation, subject: Client, presented: Callable[[], Presented | None], now: datetime) -> None:
    """RFC 8705 section 3: the token's certificate is the one whose key the caller has proven.

    That one has to be good now, too: what ended or was revoked after the token had been issued ends the token.
    """
    try:
        found = presented()
        if found is None or found.certificate.thumbprint != bound.x5t_s256:
            shown = found.certificate.thumbprint if found else "no certificate"
            raise InvalidToken(Reason.NO_POSSESSION, f"bound to {bound.x5t_s256}, presented: {shown}")
        if subject.registration.token_endpoint_auth_method != PRIVATE_KEY_JWT:
            authenticate(subject, found.certificate, found.path_to, found.account_of, now)
        elif not found.certificate.not_before <= now <= found.certificate.not_after:
            raise InvalidToken(Reason.NO_POSSESSION, "the certificate is not valid now")
    except InvalidClient as error:
        raise InvalidToken(Reason.NO_POSSESSION, f"{error.reason} {error.detail}".strip()) from error
