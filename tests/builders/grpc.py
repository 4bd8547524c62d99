"""A caller of gRPC, by h2: it can do what no well-behaved one does. Real ones are Envoy's, in test_envoy.py."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from builders.issuer import Bench
from builders.pki import Leaf

CHECK = "/envoy.service.auth.v3.Authorization/Check"


@dataclass
class Answered:
    """What came back on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    reset: bool = False
    ended: bool = False


class Caller:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.streams: dict[int, Answered] = {}
        self.goodbye = False
        self.takes = True
        self._unacknowledged = 2  # its first settings, and those that change them

    async def greet(self, settings: Mapping[SettingCodes, int]) -> None:
        self.h2.initiate_connection()
        await self.flush()
        if settings:
            self.h2.update_settings(dict(settings))
            await self.flush()
            while self._unacknowledged:
                await self.hear()

    async def flush(self) -> None:
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()

    def begin(self, path: str = CHECK, **metadata: str) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.streams[stream] = Answered()
        fixed = {":method": "POST", ":scheme": "https", ":authority": "x", ":path": path}
        lines = fixed | {"content-type": "application/grpc", "te": "trailers"} | metadata
        self.h2.send_headers(stream, [(name.replace("_", "-"), value) for name, value in lines.items()])
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool = True) -> None:
        """Send, as fast as the server gives room."""
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if not room:
                await self.hear()
                continue
            self.h2.send_data(stream, data[:room])
            data = data[room:]
            await self.flush()
        if end:
            self.h2.end_stream(stream)
        await self.flush()

    async def call(self, message: bytes, path: str = CHECK, *, compressed: bool = False, **metadata: str) -> Answered:
        stream = self.begin(path, **metadata)
        await self.send(stream, bytes([compressed]) + len(message).to_bytes(4) + message)
        return await self.answer(stream)

    async def answer(self, stream: int) -> Answered:
        while not (self.streams[stream].ended or self.streams[stream].reset) and await self.hear():
            pass
        return self.streams[stream]

    async def hear(self) -> bool:
        """Take what comes; False when the server has closed the connection."""
        data = await self._reader.read(65536)
        for event in self.h2.receive_data(data) if data else ():
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    self.streams[event.stream_id].headers |= dict(event.headers)
                case h2.events.DataReceived():
                    self.streams[event.stream_id].data += event.data
                    if self.takes:
                        self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                case h2.events.StreamEnded():
                    self.streams[event.stream_id].ended = True
                case h2.events.StreamReset():
                    self.streams[event.stream_id].reset = True
                case h2.events.SettingsAcknowledged():
                    self._unacknowledged -= 1
                case h2.events.ConnectionTerminated():
                    self.goodbye = True
        if data:
            await self.flush()
        return bool(data)

    async def until_closed(self) -> None:
        while await self.hear():
            pass


@asynccontextmanager
async def calling(
    bench: Bench, leaf: Leaf | None, *, protocol: str = "h2", settings: Mapping[SettingCodes, int] = {}
) -> AsyncIterator[Caller]:
    """A connection with the issuer's port for ext_authz."""
    context = ssl.create_default_context(cafile=str(bench.ca_file))
    context.set_alpn_protocols([protocol])
    if leaf is not None:
        context.load_cert_chain(*leaf.write(bench.directory, f"c{leaf.facts.serial:x}"))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", bench.ext_authz_port, ssl=context, server_hostname="localhost"
    )
    caller = Caller(reader, writer)
    try:
        await caller.greet(settings)
        yield caller
    finally:
        writer.transport.abort()
