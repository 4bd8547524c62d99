"""The audit log: one JSON line for each decision about a caller. No token, no key, no body is ever in it."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

type WriteLine = Callable[[bytes], None]
"""Takes one line with its line feed."""


class Trail(msgspec.Struct, tag_field="event", tag="audit", omit_defaults=True, rename="camel", kw_only=True):
    """What is known of one request so far; each step adds what it learns, so that a refusal says how far it came.

    On the wire it begins with ``"event":"audit"``, which tells it from other log lines.

    Attributes:
        time: When the request came.
        request_id: ``X-Request-ID`` of the answer.
        endpoint: Which endpoint.
        decision: What came of it.
        reason: Why, see ``mintls.core.oauth.errors.Reason``; ``ok`` if granted.
        detail: What exactly was wrong.
        remote: Address of the caller.
        client_id: The client that the caller says it is, shortened.
        client: Namespace and name of its OAuthClient, if there is one.
        method: How that client authenticates (``token_endpoint_auth_method``).
        thumbprint: ``x5t#S256`` of the certificate.
        serial: Its serial number, in hexadecimal.
        proxy: Namespace and name of the OAuthClient of the proxy that handed the certificate on.
        scope: Granted scope.
        audience: Granted audience.
        jti: Identifier of the token that was issued or introspected.
        expires: When the issued token ends, in seconds since the epoch.
        active: What introspection said.
        subject: On whose behalf the issued token is.
        grant: Name of the Secret of the registration grant.
    """

    time: datetime
    request_id: str
    endpoint: str
    decision: Literal["granted", "refused", "failed"] = "failed"
    reason: str = ""
    detail: str = ""
    remote: str = ""
    client_id: str = ""
    client: str = ""
    method: str = ""
    thumbprint: str = ""
    serial: str = ""
    proxy: str = ""
    scope: str = ""
    audience: str | tuple[str, ...] = ""
    jti: str = ""
    expires: int = 0
    active: bool | None = None
    subject: str = ""
    grant: str = ""


_encoder = msgspec.json.Encoder()


def audit_line(trail: Trail) -> bytes:
    """The line, with its line feed."""
    return _encoder.encode(trail) + b"\n"
