"""A listening socket of aiohttp with the limits that aiohttp does not have."""

import asyncio
import logging
import ssl
from types import TracebackType
from typing import Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from mintls.issuer.settings import Address, Limits

_BACKLOG = 1024
_SHUTDOWN_SECONDS = 2.0


class _Refuse(asyncio.Protocol):
    """Takes a connection only to end it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Listener:
    """Serves one application at one address. As a context manager it listens inside of its ``async with``.

    Attributes:
        port: The port that it listens at, which the system chose if 0 was asked for.
    """

    def __init__(self, app: web.Application, address: Address, limits: Limits, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._limits = limits
        self._tls = tls
        self._runner = web.AppRunner(
            app,
            access_log=None,  # the audit log says more
            logger=_quiet_logger(),
            keepalive_timeout=limits.idle_seconds,
            lingering_time=2.0,
            auto_decompress=False,
            shutdown_timeout=limits.shutdown_seconds,
        )
        self._server: asyncio.Server | None = None
        self.port = address.port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol,
                self._address.host or None,
                self._address.port,
                ssl=self._tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=self._limits.handshake_seconds if self._tls else None,
                ssl_shutdown_timeout=_SHUTDOWN_SECONDS if self._tls else None,
            )
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
            return _Refuse()
        return server()


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
