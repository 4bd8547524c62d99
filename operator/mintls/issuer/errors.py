"""How an error looks over HTTP. The only place that knows which error has which status."""

from collections.abc import Mapping

import msgspec

from mintls.core.oauth.dpop import ALGORITHMS as DPOP_ALGORITHMS
from mintls.core.oauth.errors import (
    AccessDenied,
    InsufficientScope,
    InvalidClient,
    InvalidClientMetadata,
    InvalidDpopProof,
    InvalidRedirectUri,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    OAuthError,
    Reason,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnknownKey,
    UnprovenRequest,
    UnsupportedGrantType,
    UseDpopNonce,
)
from mintls.issuer.exchange import NO_STORE, Answer

_STATUS: Mapping[type[OAuthError], int] = {
    InvalidRequest: 400,
    InvalidClient: 401,
    UnknownKey: 401,
    UnauthorizedClient: 400,
    UnsupportedGrantType: 400,
    InvalidScope: 400,
    InvalidTarget: 400,
    InvalidToken: 401,
    InsufficientScope: 403,
    AccessDenied: 403,
    InvalidClientMetadata: 400,
    InvalidRedirectUri: 400,
    InvalidDpopProof: 400,
    UnprovenRequest: 401,
    UseDpopNonce: 400,
    TemporarilyUnavailable: 503,
}
DPOP_NONCE = "DPoP-Nonce"
# A proxy whose certificate ended while a connection stayed open has the next one by now: it has to connect anew.
_CLOSING = frozenset({Reason.BODY_TOO_LARGE, Reason.BODY_TOO_SLOW, Reason.NOT_A_PROXY})
# RFC 9110 sections 15.5.14 and 15.5.9: refused before it was read as OAuth. RFC 6585 section 4: whatever it says.
_STATUS_BY_REASON: Mapping[Reason, int] = {
    Reason.BODY_TOO_LARGE: 413,
    Reason.BODY_TOO_SLOW: 408,
    Reason.TOO_MANY_REQUESTS: 429,
}


def error_body(code: str, description: str) -> bytes:
    """The JSON of RFC 6749 section 5.2."""
    return msgspec.json.encode({"error": code, "error_description": description})


def answer_error(error: OAuthError, realm: str, authorization: str | None) -> Answer:
    """The answer for an error.

    Args:
        error: What was raised.
        realm: The issuer's identifier, for the challenge.
        authorization: The ``Authorization`` header of the request.
    """
    status = _STATUS_BY_REASON.get(error.reason) or _STATUS[type(error)]
    headers = dict(NO_STORE)
    if status == 401 or isinstance(error, InsufficientScope):
        headers["WWW-Authenticate"] = _challenge(error, realm, authorization)
    if isinstance(error, UseDpopNonce):
        headers[DPOP_NONCE] = error.nonce
    if isinstance(error, TemporarilyUnavailable):
        headers["Retry-After"] = str(error.retry_after)
    return Answer(status, error_body(error.code, error.description), headers=headers, closes=error.reason in _CLOSING)


def _challenge(error: OAuthError, realm: str, authorization: str | None) -> str:
    """``WWW-Authenticate``, which every 401 has (RFC 9110 section 15.5.2), and each 403 (RFC 6750 section 3).

    A client that tried a scheme gets the same scheme back (RFC 6749 section 5.2). For TLS client authentication none is
    registered at IANA; the name used says what is needed.
    """
    scheme = (authorization or "").partition(" ")[0].lower()
    bearer, dpop = f'Bearer realm="{realm}"', f'DPoP realm="{realm}", algs="{" ".join(DPOP_ALGORITHMS)}"'
    if error.reason is Reason.NO_ACCESS_TOKEN:
        return f"{bearer}, {dpop}"  # RFC 6750 section 3.1: no error where no token is
    if isinstance(error, InvalidToken | InsufficientScope | UnprovenRequest):
        # RFC 6750 section 3, RFC 9449 section 7.1: by the scheme that was tried.
        scope = f', scope="{error.scope}"' if isinstance(error, InsufficientScope) else ""
        return f'{dpop if scheme == "dpop" else bearer}, error="{error.code}"{scope}'
    if scheme in {"basic", "bearer"}:
        return f'{scheme.capitalize()} realm="{realm}"'
    return f'TLS-Client-Certificate realm="{realm}"'
