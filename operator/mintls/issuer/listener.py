"""A listening socket of aiohttp with the limits that aiohttp does not have, and with answers of our own throughout."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from mintls.issuer.settings import Address, Limits

_BACKLOG = 1024
_SHUTDOWN_SECONDS = 2.0


type Refuse = Callable[[web.BaseRequest, int], web.Response]
"""Makes the answer to a request that never gets as far as the application, by its status."""


type Direct = dict[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]]
DIRECT: web.AppKey[Direct] = web.AppKey("direct", dict)
"""What of an application is found by method and path alone, as they are sent: without its router and its middlewares,
which cost more than they do here. Whatever is not among it goes the long way."""


class End(asyncio.Protocol):
    """Takes a connection only to end it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """End it."""
        transport.close()


class _Protocol(web.RequestHandler):
    """aiohttp's, but for what it says to malformed HTTP: it would show the line, in which a credential may be."""

    __slots__ = ("_refuse",)

    def __init__(self, server: web.Server, refuse: Refuse, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # allowed, and the audit log says more
            logger=_quiet_logger(),
            keepalive_timeout=limits.idle_seconds,
            tcp_keepalive=False,  # whoever is silent for as long as the system waits is long gone
            lingering_time=2.0,
            auto_decompress=False,
        )
        self._refuse = refuse

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Log it as aiohttp does, and answer in the issuer's words.

        Raises:
            ConnectionError: Some of an answer was sent already.
        """
        del message
        super().handle_error(request, status, exc, "")
        response = self._refuse(request, status)
        response.force_close()
        response.headers["Connection"] = (
            "close"  # aiohttp takes what it cannot read for HTTP/1.0, where that goes unsaid
        )
        return response


async def listen(
    protocol: Callable[[], asyncio.Protocol], address: Address, limits: Limits, tls: ssl.SSLContext | None
) -> asyncio.Server:
    """A listening socket, whose handshakes have their limits.

    Raises:
        OSError: The address cannot be had.
    """
    return await asyncio.get_running_loop().create_server(
        protocol,
        address.host or None,
        address.port,
        ssl=tls,
        backlog=_BACKLOG,
        ssl_handshake_timeout=limits.handshake_seconds if tls else None,
        ssl_shutdown_timeout=_SHUTDOWN_SECONDS if tls else None,
    )


class Listener:
    """Serves one application at one address. As a context manager it listens inside of its ``async with``.

    Attributes:
        port: The port that it listens at, which the system chose if 0 was asked for.
    """

    def __init__(
        self, app: web.Application, address: Address, limits: Limits, tls: ssl.SSLContext | None, refuse: Refuse
    ) -> None:
        self._address = address
        self._limits = limits
        self._tls = tls
        self._refuse = refuse
        self._direct = app.get(DIRECT, {})
        self._runner = web.AppRunner(app, shutdown_timeout=limits.shutdown_seconds)
        self._server: asyncio.Server | None = None
        self.port = address.port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        self._guard()
        try:
            self._server = await listen(self._protocol, self._address, self._limits, self._tls)
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Accept nothing more, end idle connections, wait for requests in progress."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()

    def _protocol(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._limits.connections:
            return End()
        return _Protocol(server, self._refuse, self._limits)

    def _guard(self) -> None:
        """Stand between aiohttp's protocol and the application, which both trust what they get from the parser."""
        server = self._runner.server
        if server is None:
            return
        server.request_factory = _with_target(server.request_factory)
        server.request_handler = _looked_at(server.request_handler, self._direct, self._refuse)


type _Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_NO_TARGET = URL("")


def _with_target(make: Callable[..., web.BaseRequest]) -> Callable[..., web.BaseRequest]:
    """Give a request without a target an empty one: the parser takes ``CONNECT`` without, and makes ``None`` of it.

    Nobody would ever answer it, or end its connection.
    """

    def made(message: RawRequestMessage, *others: Any) -> web.BaseRequest:
        if getattr(message, "url", None) is None:
            message = message._replace(url=_NO_TARGET, path="", version=HttpVersion11)
        return make(message, *others)

    return made


def _looked_at(handle: _Handle, direct: Direct, refuse: Refuse) -> _Handle:
    """Refuse what has no target, and an ``Expect`` (RFC 9110 section 10.1.1), which the application would repeat."""

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        found = direct.get((request.method, request.raw_path))
        if found is not None and isinstance(request, web.Request) and hdrs.EXPECT not in request.headers:
            return await found(request)
        if request.rel_url == _NO_TARGET:
            response = refuse(request, 400)
            response.force_close()
            return response
        if request.headers.get("Expect", "100-continue").lower() != "100-continue":
            return refuse(request, 417)
        return await handle(request)

    return look


class _Brief(logging.Filter):
    """Malformed HTTP is the caller's affair: one line without the bytes, which could hold a credential."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Cut the record down to its message."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info, record.exc_text = None, None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True


def _quiet_logger() -> logging.Logger:
    logger = logging.getLogger("mintls.issuer.http")
    if not any(isinstance(present, _Brief) for present in logger.filters):
        logger.addFilter(_Brief())
    return logger
