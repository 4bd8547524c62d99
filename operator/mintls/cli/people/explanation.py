"""What an access token says, and whether it can be believed and used with a credential. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jwt

from mintls.cli.people.credential import Finding
from mintls.cli.people.report import in_words
from mintls.core.oauth.signing_algorithms import ALGORITHMS

_TYPES = ("at+jwt", "application/at+jwt")
_JUDGED = frozenset({"iss", "iat", "exp", "cnf"})
"""What has a line of its own; when it was issued (``iat``) is said by nothing that one could act on."""


def explain(token: str, jwks: Mapping[str, Any], issuer: str, thumbprint: str, now: datetime) -> list[Finding]:
    """Everything that can be said of an access token (RFC 9068); the token itself is in no finding.

    Args:
        token: The JWT.
        jwks: The issuer's key set (RFC 7517 section 5).
        issuer: Who should have issued it.
        thumbprint: ``x5t#S256`` of the certificate that it was asked for with.
        now: Aware.
    """
    try:
        whole = jwt.decode_complete(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return [Finding("token", well=False, text="it is no JWT: only /introspect knows what it says")]
    header, claims = whole["header"], whole["payload"]
    return [
        _kind(header),
        _signature(token, header, jwks),
        Finding("iss", claims.get("iss") == issuer, _text(claims.get("iss"))),
        *(Finding(name, well=True, text=_text(value)) for name, value in claims.items() if name not in _JUDGED),
        _lifetime(claims, now),
        _binding(claims.get("cnf"), thumbprint),
    ]


def _kind(header: Mapping[str, Any]) -> Finding:
    kind = str(header.get("typ", ""))
    return Finding("typ", kind.lower() in _TYPES, kind or "none: RFC 9068 section 2.1 wants at+jwt")


def _signature(token: str, header: Mapping[str, Any], jwks: Mapping[str, Any]) -> Finding:
    kid = header.get("kid")
    known = next((key for key in jwks.get("keys", ()) if key.get("kid") == kid), None)
    if known is None:
        return Finding("signature", well=False, text=f"the issuer's /jwks has no key {kid}")
    try:
        key = jwt.PyJWK(known)
        jwt.PyJWS().decode(token, key.key, algorithms=list(ALGORITHMS))
    except jwt.PyJWTError:
        return Finding("signature", well=False, text=f"it is not of the key {kid} ({header.get('alg')})")
    return Finding("signature", well=True, text=f"{header['alg']} of the issuer's key {kid}")


def _lifetime(claims: Mapping[str, Any], now: datetime) -> Finding:
    try:
        ends = datetime.fromtimestamp(claims["exp"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return Finding("exp", well=False, text="none: RFC 9068 section 2.2 requires it")
    words = f"ends {in_words(ends - now)}" if now < ends else f"ended {in_words(ends - now)}"
    return Finding("exp", now < ends, f"{ends:%Y-%m-%dT%H:%M:%SZ}, {words}")


def _binding(confirmation: Any, thumbprint: str) -> Finding:
    if confirmation is None:
        return Finding("cnf", well=True, text="none: whoever has the token can use it")
    if not isinstance(confirmation, dict) or "x5t#S256" not in confirmation:
        return Finding("cnf", well=True, text=f"bound otherwise than to a certificate: {_text(confirmation)}")
    bound = confirmation["x5t#S256"]
    if bound == thumbprint:
        return Finding("cnf", well=True, text=f"bound to this certificate, x5t#S256 {bound}")
    return Finding("cnf", well=False, text=f"bound to another certificate, x5t#S256 {bound}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
