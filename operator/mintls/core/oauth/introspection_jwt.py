"""An introspection response as a signed JWT, which the resource can keep as evidence (RFC 9701)."""

import re
from datetime import datetime
from typing import Any

import msgspec

from mintls.core.oauth.access_token import sign_jwt
from mintls.core.oauth.client import Client
from mintls.core.oauth.signing_keys import SigningKey

TYPE = "token-introspection+jwt"
"""``typ`` of the header (RFC 9701 section 5): tells the response from an access token of the same key."""

MEDIA_TYPE = f"application/{TYPE}"
"""Asked for by ``Accept`` (RFC 9701 section 4)."""

_JSON = "application/json"
# RFC 9110 section 12.4.2: a weight is 0 to 1 with up to three decimals.
_WEIGHT = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def wants_jwt(accept: str | None) -> bool:
    """Whether the caller asks for a JWT (RFC 9701 section 4), at least as gladly as for JSON.

    Only its own name counts: ``*/*``, which curl sends by itself, gets JSON as before.

    Args:
        accept: The ``Accept`` header, ``None`` if there was none.
    """
    weights = dict(_weighted(accept or ""))
    wanted = weights.get(MEDIA_TYPE, 0.0)
    return wanted > 0 and wanted >= weights.get(_JSON, 0.0)


def introspection_jwt(answer: dict[str, Any], caller: Client, *, issuer: str, now: datetime, key: SigningKey) -> str:
    """The response, signed (RFC 9701 section 5).

    It has no ``sub`` and no ``exp`` at its top, so that nobody takes it for an access token.

    Args:
        answer: What ``introspect`` says; what is inactive says nothing else in here either.
        caller: Who asked, and who alone it is for.
        issuer: ``iss``.
        now: Aware UTC.
        key: Signs it.
    """
    claims = {
        "iss": issuer,
        "aud": caller.registration.client_id,
        "iat": int(now.timestamp()),
        "token_introspection": answer,
    }
    return sign_jwt(msgspec.json.encode(claims), TYPE, key)


def _weighted(accept: str) -> list[tuple[str, float]]:
    return [_range(part) for part in accept.split(",")]


def _range(part: str) -> tuple[str, float]:
    """A media range and its weight (RFC 9110 section 12.5.1); one whose weight cannot be read counts as refused."""
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weights = [value.strip() for key, _, value in (item.partition("=") for item in parameters) if key.strip() == "q"]
    if not weights:
        return name, 1.0
    return name, float(weights[0]) if _WEIGHT.fullmatch(weights[0]) else 0.0
