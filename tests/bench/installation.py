"""A real Kubernetes API with everything that the issuer watches, and the issuer as a process."""

import asyncio
import base64
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import aiohttp

from bench.load import Caller
from bench.machine import LOAD_CORE, SERVER_CORE, CannotMeasure, confine, cpu_seconds, pinned, running
from builders.issuer import signing_key_made
from builders.pki import Authority, Leaf, authority, uri
from builders.world import REPOSITORY, SYSTEM, World, free_port
from clusterlib import record
from clusterlib.cluster import Cluster
from clusterlib.files import tail
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.progress import Progress
from clusterlib.session import running_cluster
from mintls.core.oauth.registration import default_client_id, spiffe_id
from mintls.core.oauth.signing_keys import encode_signing_keys
from mintls.core.pki.certificate import encode_pem, key_fingerprint
from mintls.core.pki.origin import Origin
from mintls.kube.client import ApiClient
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, NAMESPACES, SECRETS

NAMESPACE = "shop"
AUDIENCE = "https://orders.shop.svc"
SCOPE = "orders.read orders.write"
_AT_ONCE = 32
_START_SECONDS = 120
_KINDS = ("oauthclients", "clientcertificates", "certificateauthorities", "spentidentifiers")


@dataclass(frozen=True)
class Process:
    """An issuer that is ready: its process id, and how long that took from its start.

    Attributes:
        pid: Process id.
        port: Where it is asked.
        ready_after: Seconds until it was ready.
        ready_cpu: Seconds of processor time until then.
    """

    pid: int
    port: int
    ready_after: float
    ready_cpu: float


@dataclass
class Installation:
    """What is installed. ``folder`` has logs and files with keys; it goes with the run."""

    world: World
    folder: Path
    authority: Authority = field(default_factory=authority)
    callers: list[Caller] = field(default_factory=list)

    @cached_property
    def server(self) -> Leaf:
        """The issuer's own certificate."""
        return self.authority.server()

    @asynccontextmanager
    async def issuer(self, *, source: Path | None = None, python: tuple[str, ...] = ()) -> AsyncIterator[Process]:
        """``mintls issuer`` while the block lasts, ready.

        Args:
            source: Another commit's ``operator`` folder: then it has a port of its own, too.
            python: Further arguments of Python.
        """
        probes = free_port()
        ports = (free_port(), free_port()) if source else self.world.ports
        own = [
            *("--address", f"127.0.0.1:{ports[0]}"),
            *("--mtls-address", f"127.0.0.1:{ports[1]}"),
            *("--probe-address", f"127.0.0.1:{probes}"),
        ]
        command = [
            *(sys.executable, *python, "-m", "mintls", "issuer", *own),
            *("--kubeconfig", str(self.world.kubeconfig("mintls-issuer"))),
            *("--issuer-url", self.world.installation.issuer_url, "--mtls-url", self.world.installation.mtls_url),
        ]
        # The installed package is this tree's; PYTHONPATH comes before it. Bytecode is kept, as an image has it.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPATH": f"{source}:{environment.get('PYTHONPATH', '')}"} if source else {}
        # The API server stays off the core of what is measured.
        self._confine({LOAD_CORE})
        began, log = time.monotonic(), self.folder / "issuer.log"
        with running(pinned(SERVER_CORE, command), log, environment) as pid:
            await _until_ready(probes, log)
            yield Process(pid, ports[1], time.monotonic() - began, cpu_seconds(pid))

    async def grow(self, clients: int) -> None:
        """Register further clients, until there are so many: an OAuthClient and a ClientCertificate for each.

        No operator runs: the certificates are made here, as it would make them. Objects have no status, of which the
        issuer keeps nothing.
        """
        self._confine({SERVER_CORE, LOAD_CORE})
        gate = asyncio.Semaphore(_AT_ONCE)
        missing = range(len(self.callers), clients)
        self.callers += await asyncio.gather(*(self._pair(client_name(number), gate) for number in missing))

    async def _pair(self, name: str, gate: asyncio.Semaphore) -> Caller:
        async with gate:
            await self.world.client(NAMESPACE, name, scopes=SCOPE.split(), audiences=[AUDIENCE])
            created = await self.world.certificate(NAMESPACE, name)
        identity = spiffe_id("cluster.local", NAMESPACE, name)
        leaf = self.authority.client(uri(identity), origin=Origin("ClientCertificate", created["metadata"]["uid"]))
        return Caller(default_client_id(NAMESPACE, name), identity, leaf.tls_crt.decode(), leaf.tls_key.decode())

    async def trust(self) -> None:
        """What the operator would write: the authority's keys, the issuer's certificate, the signing keys."""
        created = await self.world.authority()
        key = {
            "role": "active",
            "fingerprint": key_fingerprint(self.authority.root),
            "notAfter": "2036-01-01T00:00:00Z",
            "certificate": self.authority.bundle,
            "intermediate": encode_pem(self.authority.intermediate).decode(),
        }
        path, uid = f"{CERTIFICATE_AUTHORITIES.item(None, 'default')}/status", created["metadata"]["uid"]
        await self.world.api.replace_status(path, uid, {"keys": [key]})
        server = {"tls.crt": self.server.tls_crt, "tls.key": self.server.tls_key}
        await self._secret("mintls-issuer-tls", server)
        await self._secret("mintls-signing-keys", {"keys.json": encode_signing_keys([signing_key_made()])})

    async def _secret(self, name: str, data: dict[str, bytes]) -> None:
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded}
        await self.world.api.create(SECRETS.collection(SYSTEM), body)

    def server_files(self) -> Path:
        """A folder with the issuer's own certificate and the CA (``tls.crt``, ``tls.key``, ``ca.crt``)."""
        folder = self.folder / "server"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.server.write(folder)
        (folder / "ca.crt").write_text(self.authority.bundle)
        return folder

    def _confine(self, cores: set[int]) -> None:
        known = record.load(ClusterDir.of(self.world.cluster.name))
        if known is not None:
            confine([int(pid) for pid in known.pids.values()], cores)


def client_name(number: int) -> str:
    """Name of the client with a number, from 0."""
    return f"client-{number:05}"


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installation]:
    """A cluster with all that the issuer needs but clients, and nothing that runs yet."""
    with running_cluster(options=Options(), progress=Progress()) as cluster:
        _apply(cluster)
        async with ApiClient.connect(str(cluster.kubeconfig)) as admin, AsyncExitStack() as stack:
            world = World(cluster, admin, folder, stack)
            await world.api.create(NAMESPACES.collection(), {"metadata": {"name": NAMESPACE}})
            installation = Installation(world, folder)
            await installation.trust()
            yield installation


def _apply(cluster: Cluster) -> None:
    manifests = REPOSITORY / "hack" / "manifests"
    rights = [manifests / name for name in ("namespace.yaml", "operator-rbac.yaml", "issuer-rbac.yaml")]
    for path in (REPOSITORY / "crds", *rights):
        cluster.kubectl("apply", "-f", str(path))
    for kind in _KINDS:
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=20s", f"crd/{kind}.mintls.dev")


async def _until_ready(port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            try:
                async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)
    raise CannotMeasure(f"the issuer is not ready after {_START_SECONDS} s; its log ends: {tail(log)}")
