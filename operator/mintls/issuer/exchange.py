"""One request and its answer, as the endpoints see them: no HTTP library in sight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mintls.core.oauth.forwarded_certificate import HeaderLines
from mintls.issuer.audit import Trail
from mintls.issuer.peer import Peer

type Clock = Callable[[], datetime]
"""Now, as aware UTC."""

# RFC 6749 section 5.1; Pragma is for the caches of its time.
NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Call:
    """A request.

    Attributes:
        now: When it came (aware UTC); every check of it uses this one time.
        content_type: ``Content-Type``, ``None`` if there was none.
        authorization: ``Authorization``, ``None`` if there was none.
        accept: ``Accept``, ``None`` if there was none.
        body: The body, whole. Not in the repr: it may hold a token.
        method: The method.
        path: Path and query of the URL as they were sent, percent-encoded.
        query: The query of the URL, percent-encoded; "" if there is none.
        target: What the path names, such as a client id; "" if it names nothing.
        peer: Gives the certificate of the connection, ``None`` if there is none; raises ``InvalidClient`` if it cannot
            be read.
        trail: What the audit log will say of it.
        header: Gives the lines of any other header, which only some requests need.
    """

    now: datetime
    content_type: str | None
    authorization: str | None = field(repr=False)
    accept: str | None
    body: bytes = field(repr=False)
    method: str
    path: str
    query: str
    target: str
    peer: Callable[[], Peer | None]
    trail: Trail
    header: HeaderLines


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        status: HTTP status.
        body: The body. Not in the repr: it may hold a token.
        headers: Headers beside Content-Type and Content-Length.
        content_type: Media type of the body.
        closes: Whether the connection ends with it.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: NO_STORE)
    content_type: str = "application/json"
    closes: bool = False
