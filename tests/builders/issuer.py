"""Registrations, signing keys and a whole issuer on loopback; each test changes the one thing that it is about."""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

from builders.pki import CLIENT_ID, DAY, HOUR, NOW, Authority, Leaf, authority, ec_key
from builders.processes import output
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.signing_keys import SigningKey, key_id
from mintls.core.oauth.spent import Spent
from mintls.core.oauth.token_exchange import ReviewedAccount
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.core.pki.trust import TrustAnchors
from mintls.issuer.directory import ServerCertificate
from mintls.issuer.ledger import LedgerUnavailable
from mintls.issuer.registry import RegistryRefuses, RegistryUnavailable
from mintls.issuer.reviews import ReviewUnavailable
from mintls.issuer.run import Issuer
from mintls.issuer.settings import Address, Limits, Settings
from mintls.issuer.spans import Record
from mintls.reconcile.registeredclient import as_client, grant_name
from mintls.reconcile.registration import admit

ISSUER_URL = "https://localhost:8443"
MTLS_URL = "https://localhost:9443"
OPERATOR_ID = "spiffe://cluster.local/ns/mintls-system/operator"
SETTINGS = Settings(
    issuer_url=ISSUER_URL,
    mtls_url=MTLS_URL,
    open_address=Address("127.0.0.1", 0),
    mtls_address=Address("127.0.0.1", 0),
    probe_address=Address("127.0.0.1", 0),
    limits=Limits(drain_seconds=0.0, shutdown_seconds=2.0, body_seconds=1.0),
)


def registration(name: str = "billing", namespace: str = "shop", **changes: Any) -> Registration:
    """A client in good standing: two scopes, one audience, its SPIFFE ID, the authority ``default``."""
    value = Registration(
        namespace=namespace,
        name=name,
        uid=f"uid-of-{namespace}-{name}",
        generation=1,
        created=NOW - DAY,
        client_id=f"{namespace}:{name}",
        client_name="",
        token_endpoint_auth_method="tls_client_auth",
        subject=SubjectName(SubjectKind.SAN_URI, f"spiffe://cluster.local/ns/{namespace}/client/{name}"),
        certificates=(),
        authorities=("default",),
        grant_types=("client_credentials",),
        scopes=("orders.read", "orders.write"),
        default_scopes=("orders.read",),
        audiences=("https://orders.shop.svc",),
        access_token_lifetime=timedelta(minutes=10),
        certificate_bound=True,
        suspended=False,
        tokens_not_before=None,
    )
    return replace(value, **changes)


def signing_key_made(created: datetime = NOW - HOUR, **changes: Any) -> SigningKey:
    """A key that has signed for an hour."""
    key = ec_key()
    value = SigningKey(
        kid=key_id(key.public_key()), alg="ES256", private_key=key, created_at=created, sign_from=created
    )
    return replace(value, **changes)


def server_certificate(leaf: Leaf) -> ServerCertificate:
    return ServerCertificate(chain=leaf.tls_crt, key=leaf.tls_key, not_after=leaf.facts.not_after)


@dataclass
class ManualClock:
    """A clock that stands until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class MemoryLedger:
    """What the Kubernetes API would hold; ``up`` is whether it answers."""

    spent: dict[str, Spent] = field(default_factory=dict)
    up: bool = True

    async def spend(self, spent: Spent) -> bool:
        if not self.up:
            raise LedgerUnavailable("the API server is away")
        return self.spent.setdefault(spent.name, spent) is spent


@dataclass
class MemoryReviewer:
    """What Kubernetes would say of tokens; ``up`` is whether it answers."""

    accounts: dict[tuple[str, str], ReviewedAccount] = field(default_factory=dict)
    up: bool = True

    async def review(self, token: str, audience: str) -> ReviewedAccount | None:
        if not self.up:
            raise ReviewUnavailable("the API server is away")
        return self.accounts.get((token, audience))


@dataclass
class MemoryRegistry:
    """OAuthClients as the Kubernetes API would keep them, and the watch that brings them to an issuer.

    ``up`` is whether it answers, ``refusal`` what its schema finds wrong with every object.
    """

    clock: ManualClock = field(default_factory=ManualClock)
    clients: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    up: bool = True
    refusal: str = ""
    _put: Callable[[dict[str, Any]], None] = lambda _client: None

    def watched_by(self, issuer: Issuer) -> None:
        def put(client: dict[str, Any]) -> None:
            issuer.directory.put_client(admit(as_client(client), issuer.settings.installation))

        self._put = put

    async def count(self, namespace: str, grant: str) -> int:
        self._answer()
        own = [client for client in self.clients.values() if client["metadata"]["namespace"] == namespace]
        return sum(grant_name(client) == grant for client in own)

    async def find(self, namespace: str, name: str) -> dict[str, Any] | None:
        self._answer()
        return self.clients.get((namespace, name))

    async def create(self, client: dict[str, Any]) -> dict[str, Any]:
        created = {"creationTimestamp": self.clock.now.isoformat(), "uid": f"uid-of-{client['metadata']['name']}"}
        return self._write({**client, "metadata": {**client["metadata"], **created, "generation": 1}})

    async def replace(self, client: dict[str, Any]) -> dict[str, Any]:
        known = self.clients[_name(client)]
        generation = known["metadata"]["generation"] + (known["spec"] != client["spec"])
        return self._write({**client, "metadata": {**client["metadata"], "generation": generation}})

    async def delete(self, client: dict[str, Any]) -> None:
        self._answer()
        self.clients.pop(_name(client), None)

    def _write(self, client: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        if self.refusal:
            raise RegistryRefuses(self.refusal)
        self.clients[_name(client)] = client
        self._put(client)
        return client

    def _answer(self) -> None:
        if not self.up:
            raise RegistryUnavailable("the API server is away")


def _name(client: dict[str, Any]) -> tuple[str, str]:
    return (client["metadata"]["namespace"], client["metadata"]["name"])


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        head, _, body = raw.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(int(status.split(" ")[1]), headers, body)


def form(**parameters: str) -> dict[str, str]:
    """A token request of the client ``shop:billing``."""
    return {"grant_type": "client_credentials", "client_id": "shop:billing"} | parameters


class Connection:
    """A keep-alive connection by Python's ssl."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def tls(self) -> ssl.SSLObject:
        value = self._writer.get_extra_info("ssl_object")
        assert isinstance(value, ssl.SSLObject)
        return value

    async def request(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        lines = {"Host": "localhost", "Content-Length": str(len(body))} | dict(headers or {})
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._writer.write(head.encode() + b"\r\n" + body)
        await self._writer.drain()
        return await self.reply(has_body=method != "HEAD")

    async def reply(self, *, has_body: bool = True) -> Reply:
        raw = await self._reader.readuntil(b"\r\n\r\n")
        reply = Reply.parse(raw)
        length = int(reply.headers.get("content-length", "0")) if has_body else 0
        return replace(reply, body=await self._reader.readexactly(length))

    async def post(self, path: str, parameters: Mapping[str, str], **headers: str) -> Reply:
        lines = {"Content-Type": "application/x-www-form-urlencoded"} | headers
        return await self.request("POST", path, body=urlencode(parameters).encode(), headers=lines)

    async def send(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def closed(self) -> bool:
        return await self._reader.read(1) == b""

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (ssl.SSLError, ConnectionError):
            return


@dataclass
class Bench:
    """An issuer on loopback, the authority that it trusts as ``default``, and clients to call it with."""

    issuer: Issuer
    clock: ManualClock
    authority: Authority
    directory: Path
    audit: list[dict[str, Any]] = field(default_factory=list)
    open_port: int = 0
    mtls_port: int = 0
    ext_authz_port: int = 0
    key: SigningKey = field(default_factory=signing_key_made)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    registry: MemoryRegistry = field(default_factory=MemoryRegistry)
    reviewer: MemoryReviewer = field(default_factory=MemoryReviewer)

    def put(self, value: Registration) -> None:
        self.issuer.directory.put_client(value)

    def trust(self, name: str, *authorities: Authority) -> None:
        anchors = TrustAnchors(
            roots=tuple(value.root for value in authorities),
            intermediates=tuple(value.intermediate for value in authorities),
        )
        self.issuer.directory.put_authority(name, anchors)

    def serve_as(self, leaf: Leaf) -> None:
        self.issuer.directory.put_server_certificate(server_certificate(leaf))

    @property
    def ca_file(self) -> Path:
        path = self.directory / "ca.crt"
        if not path.exists():
            path.write_text(self.authority.bundle)
        return path

    def url(self, path: str, *, mtls: bool = True) -> str:
        return f"https://localhost:{self.mtls_port if mtls else self.open_port}{path}"

    async def curl(self, path: str, *arguments: str, leaf: Leaf | None = None, mtls: bool = True) -> Reply:
        """Call with curl; a status of 0 means that curl got no answer, the body is then what it said."""
        command = ["curl", "--silent", "--show-error", "--include", "--max-time", "10", "--cacert", str(self.ca_file)]
        if leaf is not None:
            crt, key = leaf.write(self.directory, f"c{leaf.facts.serial:x}")
            command += ["--cert", str(crt), "--key", str(key)]
        ended = await output([*command, *arguments, self.url(path, mtls=mtls)], stderr=subprocess.PIPE)
        return Reply.parse(ended.stdout) if ended.returncode == 0 else Reply(0, {}, ended.stderr)

    async def token(self, leaf: Leaf | None, *, mtls: bool = True, **parameters: str) -> Reply:
        """POST /token with curl."""
        data = [argument for pair in form(**parameters).items() for argument in ("--data-urlencode", "=".join(pair))]
        return await self.curl("/token", *data, leaf=leaf, mtls=mtls)

    def client_context(self, leaf: Leaf | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if leaf is not None:
            crt, key = leaf.write(self.directory, f"c{leaf.facts.serial:x}")
            context.load_cert_chain(crt, key)
        return context

    @asynccontextmanager
    async def connect(
        self, leaf: Leaf | None = None, *, mtls: bool = True, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[Connection]:
        """A keep-alive connection."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1",
            self.mtls_port if mtls else self.open_port,
            ssl=context or self.client_context(leaf),
            server_hostname="localhost",
        )
        connection = Connection(reader, writer)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def running_issuer(
    directory: Path, settings: Settings = SETTINGS, record: Record | None = None
) -> AsyncIterator[Bench]:
    """An issuer with one client, ``shop:billing``, whose certificates ``bench.authority.client()`` makes."""
    clock = ManualClock()
    audit: list[dict[str, Any]] = []
    ledger = MemoryLedger()
    registry = MemoryRegistry(clock)
    reviewer = MemoryReviewer()
    issuer = Issuer(
        *(settings, ledger, registry, reviewer),
        clock=clock,
        write_audit=lambda line: audit.append(json.loads(line)),
        record=record,
    )
    bench = Bench(issuer, clock, authority(), directory, audit, ledger=ledger, registry=registry, reviewer=reviewer)
    registry.watched_by(issuer)
    bench.put(registration())
    bench.trust("default", bench.authority)
    issuer.directory.put_signing_keys((bench.key,))
    bench.serve_as(bench.authority.server())
    async with AsyncExitStack() as stack:
        fetching = asyncio.create_task(issuer.remote_keys.run())
        stack.push_async_callback(_end, fetching)
        ports = await issuer.serve(stack)
        bench.open_port, bench.mtls_port, bench.ext_authz_port = ports.open, ports.mtls, ports.ext_authz
        yield bench


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


__all__ = ["CLIENT_ID", "Bench", "Connection", "ManualClock", "Reply", "form", "registration", "running_issuer"]
