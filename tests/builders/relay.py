"""A TCP relay before a server, for tests in which the server is away: from some clients, and only as long as told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Relay:
    """Passes bytes to ``host:port`` until it is cut; ``address`` is where clients connect.

    Three ways to be away: ``cut`` closes what is open and refuses what comes, ``freeze`` accepts and passes nothing (a
    dead link), ``drop`` closes what is open and goes on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self.address = ""
        self.connections = 0

    def cut(self) -> None:
        self._refusing = True
        self.drop()

    def freeze(self) -> None:
        self._flowing.clear()

    def restore(self) -> None:
        self._refusing = False
        self._flowing.set()

    def drop(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._refusing:
            writer.transport.abort()
            return
        onward_reader, onward_writer = await asyncio.open_connection(*self._target)
        self._open |= {writer, onward_writer}
        try:
            await asyncio.gather(self._pass(reader, onward_writer), self._pass(onward_reader, writer))
        finally:
            self._open -= {writer, onward_writer}
            writer.transport.abort()
            onward_writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


@asynccontextmanager
async def relay_to(host: str, port: int) -> AsyncIterator[Relay]:
    relay = Relay(host, port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield relay
    finally:
        server.close()
        relay.restore()
        relay.drop()
        await asyncio.sleep(0)
