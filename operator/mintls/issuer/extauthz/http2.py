"""gRPC for calls of one message each way, on the sockets of asyncio (RFC 9113, and gRPC's own PROTOCOL-HTTP2).

h2 knows HTTP/2; here are the sockets, and the limits to what one caller may cost, which no gRPC server that could
have been used has.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import h2.events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame

from mintls.issuer.extauthz.framelengths import FrameLengths
from mintls.issuer.settings import Limits

logger = logging.getLogger(__name__)

LARGEST_MESSAGE = 256 * 1024
"""Envoy takes up to 60 KiB of headers, and sends a client's certificate beside."""
_MOST_RESETS = 1000
"""Streams of one connection that its caller may take back; each costs work that nobody waits for (CVE-2023-44487)."""
_LAST_STREAM = 2**31 - 1
_PREFIX = 5

# gRPC's status codes.
_UNIMPLEMENTED, _INTERNAL = 12, 13

type Headers = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call.

    Attributes:
        connection: The TLS of the connection that it came over.
        remote: The address that it came from.
        metadata: Its metadata, names in lower case.
        message: Its message; ``None`` if that is larger than this caller's may be. Not in the repr: it holds a token.
    """

    connection: ssl.SSLObject
    remote: str
    metadata: Headers
    message: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What it is answered.

    Attributes:
        message: The message.
        closes: Whether the caller has to connect anew.
    """

    message: bytes
    closes: bool = False


type Handle = Callable[[Asked], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Service:
    """What is served.

    Attributes:
        methods: What answers a call, by path.
        largest: How large a message of a caller may be, by its connection, in octets.
        stops: Whether callers have to find another replica.
    """

    methods: Mapping[str, Handle]
    largest: Callable[[ssl.SSLObject], int]
    stops: Callable[[], bool]


@dataclass(slots=True)
class _Stream:
    headers: Headers
    largest: int
    received: bytearray = field(default_factory=bytearray)
    too_large: bool = False
    to_send: bytes = b""
    work: asyncio.Task[None] | None = None
    deadline: asyncio.TimerHandle | None = None

    def take(self, data: bytes) -> None:
        self.too_large = self.too_large or len(self.received) + len(data) > self.largest + _PREFIX
        if not self.too_large:
            self.received += data

    def end(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        if self.work is not None:
            self.work.cancel()


class GrpcProtocol(asyncio.Protocol):
    """A connection.

    Attributes:
        closed: Done when it is.
    """

    def __init__(self, service: Service, limits: Limits, open_connections: "set[GrpcProtocol]") -> None:
        self._service = service
        self._limits = limits
        self._open_connections = open_connections
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self._lengths = FrameLengths(self._h2.max_inbound_frame_size)
        self._streams: dict[int, _Stream] = {}
        self._resets = 0
        self._winding_down = False
        self._transport: asyncio.Transport
        self._connection: ssl.SSLObject
        self._idle: asyncio.TimerHandle | None = None
        self.closed = asyncio.get_running_loop().create_future()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet, if the caller speaks HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is not derived from it
        self._connection = transport.get_extra_info("ssl_object")
        self._open_connections.add(self)
        if self._connection.selected_alpn_protocol() != "h2":
            transport.close()
            return
        self._h2.initiate_connection()
        self._flush()
        self._begin_idling()

    def data_received(self, data: bytes) -> None:
        """Take what came apart into events, and act on each."""
        if self._transport.is_closing():
            return
        if not self._lengths.allow(data):
            logger.info("a caller broke HTTP/2: a frame is too long")
            self._h2.close_connection(ErrorCodes.FRAME_SIZE_ERROR)
            self._flush()
            self._transport.close()
            return
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except ProtocolError as error:
            logger.info("a caller broke HTTP/2: %s", type(error).__name__)
            self._flush()  # h2 says goodbye
            self._transport.close()
            return
        self._await_the_rest()
        self._flush()
        self._close_if_done()

    def connection_lost(self, _error: Exception | None) -> None:
        """Stop all work for it."""
        self._open_connections.discard(self)
        self.closed.set_result(None)
        if self._idle is not None:
            self._idle.cancel()
        for stream in self._streams.values():
            stream.end()
        self._streams.clear()

    def pause_writing(self) -> None:
        """A caller that does not read is not heard."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._transport.resume_reading()

    # What the listener calls.

    def wind_down(self) -> None:
        """Have the caller connect anew, and close when all that was begun is answered (RFC 9113 section 6.8)."""
        if not self._winding_down and not self._transport.is_closing():
            self._winding_down = True
            # Not by h2, which sends nothing more after a GOAWAY.
            self._transport.write(GoAwayFrame(last_stream_id=_LAST_STREAM).serialize())
            self._close_if_done()

    def close(self) -> None:
        """Close it now."""
        self._transport.close()

    # Events.

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=stream_id, headers=headers):
                self._begin(stream_id, headers or [])
            case h2.events.DataReceived(stream_id=stream_id, data=data, flow_controlled_length=length):
                self._h2.acknowledge_received_data(length or 0, stream_id)
                if stream_id in self._streams:
                    self._streams[stream_id].take(data or b"")
            case h2.events.StreamEnded(stream_id=stream_id) if stream_id in self._streams:
                self._start(stream_id, self._streams[stream_id])
            case h2.events.StreamReset(stream_id=stream_id):
                self._drop(stream_id)
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream_id in list(self._streams):
                    self._send_on(stream_id)
            case h2.events.ConnectionTerminated():
                self._winding_down = True

    def _begin(self, stream_id: int, headers: list[tuple[bytes, bytes]]) -> None:
        lines: dict[str, tuple[str, ...]] = {}
        for name, value in headers:
            key = name.decode("latin-1")
            lines[key] = (*lines.get(key, ()), value.decode("latin-1"))
        self._streams[stream_id] = _Stream(lines, self._service.largest(self._connection))
        self._stop_idling()

    def _start(self, stream_id: int, stream: _Stream) -> None:
        """The caller has said all."""
        if stream.deadline is not None:
            stream.deadline.cancel()
        handle = self._service.methods.get(_only(stream.headers, ":path"))
        is_call = _only(stream.headers, "content-type").startswith("application/grpc")
        if handle is None or not is_call or not (stream.too_large or _is_one_message(stream.received)):
            self._finish(stream_id, _UNIMPLEMENTED)
        else:
            message = None if stream.too_large else bytes(stream.received[_PREFIX:])
            remote = self._transport.get_extra_info("peername") or ("",)
            asked = Asked(self._connection, str(remote[0]), stream.headers, message)
            stream.work = asyncio.get_running_loop().create_task(self._answer(stream_id, handle, asked))
        stream.received.clear()

    def _drop(self, stream_id: int) -> None:
        """The caller has taken it back."""
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.end()
            self._resets += 1
        if self._resets > _MOST_RESETS:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._flush()
            self._transport.close()
        self._begin_idling()

    # Answers.

    async def _answer(self, stream_id: int, handle: Handle, asked: Asked) -> None:
        try:
            reply = await handle(asked)
        except Exception:
            logger.exception("a call over gRPC: a defect")
            self._finish(stream_id, _INTERNAL)
        else:
            stream = self._streams.get(stream_id)
            if stream is None or self._transport.is_closing():
                return
            self._h2.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])
            stream.to_send = b"\0" + len(reply.message).to_bytes(4) + reply.message
            self._send_on(stream_id)
            if stream.to_send:
                self._set_deadline(stream_id, stream)
            if reply.closes or self._service.stops():
                self._flush()
                self.wind_down()
        self._flush()
        self._close_if_done()

    def _send_on(self, stream_id: int) -> None:
        """Send as much of the answer as the caller has room for."""
        stream = self._streams[stream_id]
        if not stream.to_send:
            return
        while stream.to_send:
            room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
            if room <= 0:
                return
            self._h2.send_data(stream_id, stream.to_send[:room])
            stream.to_send = stream.to_send[room:]
        self._h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
        self._forget(stream_id)

    def _finish(self, stream_id: int, status: int) -> None:
        """End a call that there is no message for."""
        if stream_id in self._streams:
            headers = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", str(status))]
            self._h2.send_headers(stream_id, headers, end_stream=True)
            self._forget(stream_id)

    def _forget(self, stream_id: int) -> None:
        deadline = self._streams.pop(stream_id).deadline
        if deadline is not None:
            deadline.cancel()
        self._begin_idling()

    # Time.

    def _await_the_rest(self) -> None:
        """Messages that have begun to come have to come to an end."""
        for stream_id, stream in self._streams.items():
            if stream.work is None and stream.deadline is None:
                self._set_deadline(stream_id, stream)

    def _set_deadline(self, stream_id: int, stream: _Stream) -> None:
        """For the caller to say all, or to take all."""
        loop = asyncio.get_running_loop()
        stream.deadline = loop.call_later(self._limits.body_seconds, self._too_slow, stream_id)

    def _too_slow(self, stream_id: int) -> None:
        if self._streams.pop(stream_id, None) is not None:
            self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
            self._flush()
            self._begin_idling()
            self._close_if_done()

    def _begin_idling(self) -> None:
        if not self._streams and self._idle is None:
            self._idle = asyncio.get_running_loop().call_later(self._limits.idle_seconds, self._idled)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _idled(self) -> None:
        self._winding_down = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._winding_down and not self._streams and not self._transport.is_closing():
            self._h2.close_connection()
            self._flush()
            self._transport.close()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self._transport.is_closing():
            self._transport.write(data)


def _only(headers: Headers, name: str) -> str:
    """The value of a header that is there once; "" if it is not."""
    lines = headers.get(name, ())
    return lines[0] if len(lines) == 1 else ""


def _is_one_message(received: bytearray) -> bool:
    """One message as gRPC frames it, not compressed: nobody was told that it may be."""
    return received[:1] == b"\0" and int.from_bytes(received[1:_PREFIX]) == len(received) - _PREFIX
