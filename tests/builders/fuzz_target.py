"""A whole issuer in a thread of its own, over real TLS, for tests that send it one request after the other."""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvloop

from builders.fuzz import PERMITTED
from builders.issuer import SETTINGS, Bench, Reply, registration, running_issuer
from builders.pki import Leaf, uri
from builders.registrations import grant
from mintls.core.oauth.client_assertion import keys_of_jwks
from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.self_signed import Jwk
from mintls.issuer.listener import Listener
from mintls.issuer.server import probe_app, refuse
from mintls.issuer.settings import RegistrationSecret, TrustedProxy

GRANT = grant(max_clients=1_000_000)
PROXIES = {form: f"proxy-{number}" for number, form in enumerate(Format)}
EVERYTHING = replace(
    SETTINGS,
    json_bodies=True,
    service_account_tokens=True,
    proxies=tuple(TrustedProxy("edge", name, form) for form, name in PROXIES.items()),
    registrations=(RegistrationSecret(GRANT.name, GRANT.namespace),),
)
"""All that is off by default is on."""

type Headers = Mapping[str, bytes]


class _Errors(logging.Handler):
    """What issuer, HTTP server and event loop log as an error: a caller can cause none.

    Not those of others: a thread that another test has left may still have something to say.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in {"mintls", "asyncio", "aiohttp"}:
            self.seen.append(self.format(record))


class Target:
    """The issuer, and a connection for each kind of caller that is kept as long as the issuer keeps it."""

    def __init__(self, bench: Bench, probe_port: int, errors: _Errors) -> None:
        self.bench = bench
        self.probe_port = probe_port
        self.errors = errors
        self._sockets: dict[str, ssl.SSLSocket] = {}
        self._leaves: dict[str, Leaf] = {}

    def __repr__(self) -> str:
        return "target"

    def leaf(self, namespace: str, name: str) -> Leaf:
        key = f"{namespace}/{name}"
        if key not in self._leaves:
            self._leaves[key] = self.bench.authority.client(uri(f"spiffe://cluster.local/ns/{namespace}/client/{name}"))
        return self._leaves[key]

    def ask(
        self,
        method: str,
        path: bytes,
        headers: Headers | None = None,
        body: bytes = b"",
        *,
        caller: str = "shop/billing",
    ) -> Reply:
        """Send a request and look at the answer; ``caller`` is an OAuthClient, or "" for the open listener."""
        lines = {"Host": b"localhost", "Content-Length": str(len(body)).encode()} | dict(headers or {})
        head = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in lines.items())
        reply = self.send(method.encode() + b" " + path + b" HTTP/1.1\r\n" + head + b"\r\n" + body, caller, method)
        assert reply is not None
        return reply

    def send(self, raw: bytes, caller: str = "", method: str = "", *, patience: float = 10.0) -> Reply | None:
        """Send octets and look at the answer, if there is one in that time (seconds)."""
        reused = caller in self._sockets
        reply = self._send(raw, caller, method, patience)
        if reply is None and reused:  # the issuer ends a connection that nobody has used for long
            reply = self._send(raw, caller, method, patience)
        if reply is not None:
            check_reply(reply, has_body=method != "HEAD")
        self.check()
        return reply

    def _send(self, raw: bytes, caller: str, method: str, patience: float) -> Reply | None:
        try:
            connection = self._connection(caller)
            connection.settimeout(patience)
            connection.sendall(raw)
            reply = _read(connection, has_body=method != "HEAD")
        except OSError:
            reply = None
        if reply is None or reply.headers.get("connection") == "close" or patience < 10:
            self._end(caller)
        return reply

    def knock(self, raw: bytes) -> None:
        """Send octets to the port without TLS."""
        with (
            socket.create_connection(("127.0.0.1", self.bench.mtls_port), timeout=2) as plain,
            contextlib.suppress(OSError),
        ):
            plain.sendall(raw)
            plain.shutdown(socket.SHUT_WR)
            plain.recv(1)

    def check(self) -> None:
        """Nothing was logged as an error, and no request failed for a defect."""
        audit, errors = list(self.bench.audit), list(self.errors.seen)
        self.bench.audit.clear()
        self.errors.seen.clear()
        assert not errors
        assert all(line["decision"] != "failed" for line in audit)

    def _connection(self, caller: str) -> ssl.SSLSocket:
        if caller not in self._sockets:
            port = self.bench.mtls_port if caller else self.bench.open_port
            context = self.bench.client_context(self.leaf(*caller.split("/")) if caller else None)
            plain = socket.create_connection(("127.0.0.1", port))
            self._sockets[caller] = context.wrap_socket(plain, server_hostname="localhost")
        return self._sockets[caller]

    def _end(self, caller: str) -> None:
        if caller in self._sockets:
            self._sockets.pop(caller).close()

    def close(self) -> None:
        for connection in self._sockets.values():
            connection.close()


def check_reply(reply: Reply, *, has_body: bool = True) -> None:
    """What holds of every answer: RFC 6749 section 5.2 for errors, a request id for all."""
    assert reply.status < 500, reply
    assert reply.headers.get("server") == "mintls", reply
    assert reply.headers.get("x-request-id"), reply
    if reply.status < 400:
        return
    assert reply.headers["content-type"] == "application/json", reply
    assert reply.headers["cache-control"] == "no-store", reply
    if not has_body:
        return
    assert reply.json.keys() == {"error", "error_description"}, reply
    assert all(value and set(value) <= PERMITTED for value in reply.json.values()), reply


@contextmanager
def target_in_thread(directory: Path) -> Iterator[Target]:
    """An issuer with everything on, and clients of each kind."""
    started, ended = threading.Event(), threading.Event()
    found: list[tuple[Bench, int]] = []

    async def serve() -> None:
        async with running_issuer(directory, EVERYTHING) as bench, _probes(bench) as probes:
            found.append((bench, probes.port))
            started.set()
            await asyncio.to_thread(ended.wait)

    errors = _Errors()
    logging.getLogger().addHandler(errors)
    thread = threading.Thread(target=lambda: uvloop.run(serve()), name="issuer")
    thread.start()
    try:
        assert started.wait(20)
        target = Target(*found[0], errors)
        _people(target)
        yield target
        target.close()
    finally:
        ended.set()
        thread.join(20)
        logging.getLogger().removeHandler(errors)
    assert not errors.seen


def _probes(bench: Bench) -> Listener:
    issuer = bench.issuer
    return Listener(
        probe_app(issuer.metrics, issuer.missing), EVERYTHING.probe_address, EVERYTHING.limits, None, refuse
    )


def _people(target: Target) -> None:
    bench = target.bench
    bench.put(registration(grant_types=("client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange")))
    bench.put(registration("dpop", dpop_bound=True))
    for name in PROXIES.values():
        bench.put(registration(name, "edge"))
    bench.issuer.directory.put_grant(GRANT)


def put_signing_client(target: Target, jwk: Mapping[str, str]) -> None:
    """The client shop:batch, which authenticates by assertions."""
    keys = keys_of_jwks([Jwk(jwk, ())], "jwks.keys")
    target.bench.put(
        registration(
            "batch", token_endpoint_auth_method="private_key_jwt", subject=None, certificate_bound=False, keys=keys
        )
    )


def _read(connection: ssl.SSLSocket, *, has_body: bool) -> Reply | None:
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    reply = Reply.parse(head + b"\r\n\r\n")
    length = int(reply.headers.get("content-length", "0")) if has_body and reply.status not in {204, 304} else 0
    while len(body) < length:
        body += connection.recv(65536)
    return replace(reply, body=body)
