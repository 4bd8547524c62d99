"""A listening socket of gRPC."""

import asyncio
import ssl
from types import TracebackType
from typing import Self

from mintls.issuer.extauthz.http2 import GrpcProtocol, Service
from mintls.issuer.listener import End, listen
from mintls.issuer.settings import Address, Limits


class GrpcListener:
    """Serves gRPC at one address. As a context manager it listens inside of its ``async with``.

    Attributes:
        port: The port that it listens at.
    """

    def __init__(self, service: Service, address: Address, limits: Limits, tls: ssl.SSLContext) -> None:
        self._service = service
        self._address = address
        self._limits = limits
        self._tls = tls
        self._connections: set[GrpcProtocol] = set()
        self._server: asyncio.Server | None = None
        self.port = address.port

    async def __aenter__(self) -> Self:
        self._server = await listen(self._protocol, self._address, self._limits, self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Accept nothing more, and wait for calls in progress."""
        if self._server is not None:
            self._server.close()
        for connection in tuple(self._connections):
            connection.wind_down()
        if self._connections:
            await asyncio.wait([one.closed for one in self._connections], timeout=self._limits.shutdown_seconds)
        for connection in tuple(self._connections):
            connection.close()

    def _protocol(self) -> asyncio.Protocol:
        if len(self._connections) >= self._limits.connections:
            return End()
        return GrpcProtocol(self._service, self._limits, self._connections)
