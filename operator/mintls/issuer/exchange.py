"""One request and its answer, as the endpoints see them: no HTTP library in sight."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from mintls.core.oauth.forwarded_certificate import HeaderLines
from mintls.issuer.audit import Trail
from mintls.issuer.peer import Peer

type Clock = Callable[[], datetime]
"""Now, as aware UTC."""

# RFC 6749 section 5.1; Pragma is for the caches of its time.
NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Without a repr of its body or its credentials.

    Attributes:
        now: When it came (aware UTC); every check of it uses this one time.
        content_type: ``Content-Type``, ``None`` if there was none.
        authorization: ``Authorization``, ``None`` if there was none.
        body: The body, whole.
        method: The method.
        path: Path and query of the URL as they were sent, percent-encoded.
        target: What the path names, such as a client id; "" if it names nothing.
        peer: Gives the certificate of the connection, ``None`` if there is none; raises ``InvalidClient`` if it cannot
            be read.
        trail: What the audit log will say of it.
        header: Gives the lines of any other header, which only some requests need.
    """

    now: datetime
    content_type: str | None
    authorization: str | None
    body: bytes
    method: str
    path: str
    target: str
    peer: Callable[[], Peer | None]
    trail: Trail
    header: HeaderLines

    @property
    def query(self) -> str:
        """The query of the URL, percent-encoded; "" if there is none."""
        return self.path.partition("#")[0].partition("?")[2]

    @property
    def accept(self) -> str | None:
        """``Accept``, whose several lines are one list (RFC 9110 section 5.3); ``None`` if there was none."""
        return ", ".join(self.header("Accept")) or None

    def __repr__(self) -> str:
        return f"Call(method={self.method!r}, path={self.path!r})"


class Answer(msgspec.Struct, frozen=True):
    """An answer. Without a repr of its body, which may hold a token.

    Attributes:
        status: HTTP status.
        body: The body.
        headers: Headers beside Content-Type and Content-Length.
        content_type: Media type of the body.
        closes: Whether the connection ends with it.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: NO_STORE)
    content_type: str = "application/json"
    closes: bool = False

    def __repr__(self) -> str:
        return f"Answer(status={self.status})"
