"""The whole issuer from start to stop, on an API server's stand-in that can be cut off."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from builders.issuer import SETTINGS, Bench, ManualClock, MemoryLedger, MemoryRegistry, MemoryReviewer, signing_key_made
from builders.kube import ApiDouble, api_double, event
from builders.pki import NOW, Authority, Leaf, authority, uri
from mintls.core.oauth.signing_keys import encode_signing_keys
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.origin import Origin
from mintls.issuer.run import Issuer, Ports, run_issuer
from mintls.issuer.settings import Address
from mintls.kube import reflection
from mintls.kube.client import ApiClient
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CLIENT_CERTIFICATES,
    CONFIGMAPS,
    OAUTH_CLIENTS,
    SECRETS,
    SPENT_IDENTIFIERS,
)

CLIENTS = OAUTH_CLIENTS.collection()
AUTHORITIES = CERTIFICATE_AUTHORITIES.collection()
SECRET = SECRETS.collection("mintls-system")
CERTIFICATES = CLIENT_CERTIFICATES.collection()
BILLING = Origin("ClientCertificate", "uid-billing")
SPENT = SPENT_IDENTIFIERS.collection("mintls-system")
LISTS = CONFIGMAPS.collection("mintls-system")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(reflection, "LONGEST_WAIT_SECONDS", 0.1)


@dataclass
class Kube:
    """Objects by collection, listed and watched as the real API does; ``up`` is whether it answers at all."""

    double: ApiDouble
    objects: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    history: list[tuple[int, str, bytes]] = field(default_factory=list)
    version: int = 1
    up: bool = True
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def serve(self) -> None:
        for path in (CLIENTS, CERTIFICATES, AUTHORITIES, SECRET, SPENT, LISTS):
            self.double.on("GET", path, self._answer)

    def put(self, path: str, name: str, *, namespace: str = "", **content: Any) -> None:
        self.version += 1
        created = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata = {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "generation": self.version,
            "resourceVersion": str(self.version),
            "creationTimestamp": created,
        }
        item = {"metadata": {n: v for n, v in metadata.items() if v}} | content
        kind = "MODIFIED" if (path, namespace, name) in self.objects else "ADDED"
        self.objects[path, namespace, name] = item
        self._tell(path, event(kind, item))

    def delete(self, path: str, name: str, *, namespace: str = "") -> None:
        item = self.objects.pop((path, namespace, name))
        self.version += 1
        item["metadata"]["resourceVersion"] = str(self.version)
        self._tell(path, event("DELETED", item))

    def secret(self, name: str, **data: bytes) -> None:
        encoded = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
        self.put(SECRET, name, namespace="mintls-system", data=encoded)

    def cut(self) -> None:
        """The API server is gone."""
        self.up = False
        self._move()

    def _tell(self, path: str, line: bytes) -> None:
        self.history.append((self.version, path, line))
        self._move()

    def _move(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if not self.up:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        if "watch" in request.query:
            return await self._watch(request, name)
        items = [item for (path, _, key), item in self.objects.items() if path == request.path and name in {"", key}]
        return web.json_response({"metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _watch(self, request: web.Request, name: str) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        position = int(request.query["resourceVersion"])
        while self.up:
            moved = self.moved
            for version, path, line in self.history:
                subject = json.loads(line)["object"]["metadata"]["name"]
                if version > position and path == request.path and name in {"", subject}:
                    await response.write(line)
            position = self.version
            await moved.wait()
        return response


@asynccontextmanager
async def kube(directory: Path) -> AsyncIterator[tuple[Kube, ApiClient]]:
    async with api_double() as double:
        value = Kube(double)
        value.serve()
        async with ApiClient.connect(double.kubeconfig(directory)) as api:
            yield value, api


def fill(cluster: Kube, ca: Authority, server: Leaf | None = None) -> None:
    """All that the issuer needs, as the operator and a user would write it."""
    server = server or ca.server()
    key = {
        "role": "active",
        "fingerprint": "f",
        "notAfter": "2030-01-01T00:00:00Z",
        "certificate": ca.bundle,
        "intermediate": encode_pem(ca.intermediate).decode(),
    }
    cluster.put(AUTHORITIES, "default", spec={}, status={"keys": [key]})
    cluster.put(CLIENTS, "billing", namespace="shop", spec={"scopes": ["orders.read"]})
    cluster.put(CERTIFICATES, "billing", namespace="shop", spec={"clientRef": {"name": "billing"}, "secretName": "s"})
    cluster.secret("mintls-signing-keys", keys_json=encode_signing_keys([signing_key_made()]))
    cluster.secret("mintls-issuer-tls", tls_crt=server.tls_crt, tls_key=server.tls_key)


@dataclass
class Running:
    """An issuer that runs as ``mintls issuer`` runs it."""

    bench: Bench
    stop: asyncio.Event
    task: asyncio.Task[None]
    ready: asyncio.Future[Ports]
    probes: str

    async def become_ready(self) -> None:
        ports = await asyncio.wait_for(asyncio.shield(self.ready), 5)
        self.bench.open_port, self.bench.mtls_port = ports.open, ports.mtls

    async def probe(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.probes + path) as reply:
            return reply.status, await reply.text()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@asynccontextmanager
async def running(api: ApiClient, ca: Authority, directory: Path) -> AsyncIterator[Running]:
    ready: asyncio.Future[Ports] = asyncio.get_running_loop().create_future()
    stop, clock, port = asyncio.Event(), ManualClock(), free_port()
    settings = replace(SETTINGS, probe_address=Address("127.0.0.1", port))
    task = asyncio.create_task(
        run_issuer(settings, api, stop, clock=clock, write_audit=lambda _line: None, on_ready=ready.set_result)
    )
    await asyncio.sleep(0.05)  # until the probes listen
    try:
        yield Running(
            Bench(Issuer(settings, MemoryLedger(), MemoryRegistry(), MemoryReviewer()), clock, ca, directory),
            stop,
            task,
            ready,
            f"http://127.0.0.1:{port}",
        )
    finally:
        stop.set()
        await asyncio.wait_for(task, 10)


async def eventually(condition: Any) -> None:
    """Wait until an async condition holds."""
    for _ in range(200):
        if await condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it never came")


async def test_it_is_ready_only_when_it_has_everything(tmp_path: Path) -> None:
    ca = authority()
    async with kube(tmp_path) as (cluster, api), running(api, ca, tmp_path) as issuer:

        async def waits_for_objects() -> bool:
            status, text = await issuer.probe("/readyz")
            return status == 503 and "not read yet" not in text

        await eventually(waits_for_objects)
        assert (await issuer.probe("/livez")) == (200, "ok\n")
        assert (await issuer.probe("/readyz"))[1].splitlines() == [
            "no CertificateAuthority with keys",
            "no signing keys",
            "no server certificate",
        ]
        assert not issuer.ready.done()
        fill(cluster, ca)
        await issuer.become_ready()
        assert (await issuer.probe("/readyz")) == (200, "ok\n")
        assert (await issuer.bench.token(ca.client(origin=BILLING))).status == 200


async def test_it_says_why_it_cannot_read(tmp_path: Path) -> None:
    async with kube(tmp_path) as (cluster, api):
        cluster.up = False
        async with running(api, authority(), tmp_path) as issuer:

            async def says_so() -> bool:
                _, text = await issuer.probe("/readyz")
                return "oauthclients not read yet: " in text

            await eventually(says_so)


async def test_it_follows_what_changes(tmp_path: Path) -> None:
    ca = authority()
    async with kube(tmp_path) as (cluster, api), running(api, ca, tmp_path) as issuer:
        fill(cluster, ca)
        await issuer.become_ready()
        name = uri("spiffe://cluster.local/ns/shop/client/orders")
        orders = ca.client(name, origin=Origin("ClientCertificate", "uid-orders"))
        spec = {"clientRef": {"name": "orders"}, "secretName": "s"}

        async def orders_gets(status: int) -> bool:
            return (await issuer.bench.token(orders, client_id="shop:orders")).status == status

        assert await orders_gets(401)
        cluster.put(CLIENTS, "orders", namespace="shop", spec={})
        cluster.put(CERTIFICATES, "orders", namespace="shop", spec=spec)
        await eventually(lambda: orders_gets(200))
        for changed in ({"revoked": True}, {"clientRef": {"name": "billing"}}):
            cluster.put(CERTIFICATES, "orders", namespace="shop", spec=spec | changed)
            await eventually(lambda: orders_gets(401))
            cluster.put(CERTIFICATES, "orders", namespace="shop", spec=spec)
            await eventually(lambda: orders_gets(200))
        cluster.delete(CERTIFICATES, "orders", namespace="shop")
        await eventually(lambda: orders_gets(401))
        cluster.put(CERTIFICATES, "orders", namespace="shop", spec=spec)
        await eventually(lambda: orders_gets(200))
        cluster.put(CLIENTS, "orders", namespace="shop", spec={"suspended": True})
        await eventually(lambda: orders_gets(401))
        cluster.put(CLIENTS, "orders", namespace="shop", spec={})
        await eventually(lambda: orders_gets(200))
        cluster.delete(CLIENTS, "orders", namespace="shop")
        await eventually(lambda: orders_gets(401))


async def test_a_deleted_authority_is_trusted_no_longer(tmp_path: Path) -> None:
    ca = authority()
    async with kube(tmp_path) as (cluster, api), running(api, ca, tmp_path) as issuer:
        fill(cluster, ca)
        await issuer.become_ready()
        leaf = ca.client(origin=BILLING)
        assert (await issuer.bench.token(leaf)).status == 200
        cluster.delete(AUTHORITIES, "default")

        async def refused_by_tls() -> bool:
            return (await issuer.bench.token(leaf)).status == 0

        await eventually(refused_by_tls)


async def test_a_new_server_certificate_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    ca = authority()
    async with kube(tmp_path) as (cluster, api), running(api, ca, tmp_path) as issuer:
        fill(cluster, ca)
        await issuer.become_ready()
        renewed = ca.server()

        async def serves(leaf: Leaf) -> bool:
            async with issuer.bench.connect() as connection:
                return connection.tls.getpeercert(binary_form=True) == leaf.der

        cluster.secret("mintls-issuer-tls", tls_crt=renewed.tls_crt, tls_key=renewed.tls_key)
        await eventually(lambda: serves(renewed))
        cluster.secret("mintls-issuer-tls", tls_crt=renewed.tls_crt, tls_key=ca.server().tls_key)
        cluster.secret("mintls-signing-keys", keys_json=b"{}")

        async def complains() -> bool:
            text = (await issuer.probe("/metrics"))[1]
            names = ("server-certificate", "signing-keys")
            return all(f'source_errors_total{{source="{name}"}} 0' not in text for name in names)

        await eventually(complains)
        assert await serves(renewed)
        assert (await issuer.bench.token(ca.client(origin=BILLING))).status == 200
        assert (await issuer.probe("/readyz"))[0] == 200


async def test_without_the_api_it_answers_from_memory_and_catches_up(tmp_path: Path) -> None:
    ca = authority()
    async with kube(tmp_path) as (cluster, api), running(api, ca, tmp_path) as issuer:
        fill(cluster, ca)
        await issuer.become_ready()

        async def connected(value: float) -> bool:
            return (
                f'mintls_issuer_source_connected{{source="oauthclients"}} {value}'
                in (await issuer.probe("/metrics"))[1]
            )

        await eventually(lambda: connected(1.0))
        cluster.cut()
        await eventually(lambda: connected(0.0))
        assert (await issuer.bench.token(ca.client(origin=BILLING))).status == 200
        assert (await issuer.probe("/readyz"))[0] == 200
        cluster.put(CLIENTS, "billing", namespace="shop", spec={"suspended": True})
        cluster.up = True
        await eventually(lambda: connected(1.0))

        async def refused() -> bool:
            return (await issuer.bench.token(ca.client(origin=BILLING))).status == 401

        await eventually(refused)


async def test_it_stops_within_seconds_though_connections_are_open(tmp_path: Path) -> None:
    ca = authority()
    async with kube(tmp_path) as (cluster, api), running(api, ca, tmp_path) as issuer:
        fill(cluster, ca)
        await issuer.become_ready()
        async with issuer.bench.connect(ca.client(origin=BILLING)) as connection:
            assert (await connection.request("GET", "/jwks")).status == 200
            issuer.stop.set()
            await asyncio.wait_for(issuer.task, 3)
            assert await connection.closed()


async def test_it_stops_while_it_still_waits(tmp_path: Path) -> None:
    async with kube(tmp_path) as (_, api), running(api, authority(), tmp_path) as issuer:
        issuer.stop.set()
        await asyncio.wait_for(issuer.task, 3)
