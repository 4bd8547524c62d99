"""A real Kubernetes API with everything that the issuer watches, and the issuer as a process."""

import asyncio
import base64
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import aiohttp

from bench.cluster import NAMESPACE, kubernetes, pids
from bench.load import Caller
from bench.machine import LOAD_CORE, SERVER_CORE, CannotMeasure, confine, cpu_seconds, pinned, running
from builders.issuer import signing_key_made
from builders.pki import Authority, Leaf, authority, uri
from builders.world import SYSTEM, World, free_port
from clusterlib.files import tail
from mintls.core.oauth.registration import default_client_id, spiffe_id
from mintls.core.oauth.signing_keys import encode_signing_keys
from mintls.core.pki.certificate import encode_pem, key_fingerprint
from mintls.core.pki.origin import Origin
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, SECRETS

AUDIENCE = "https://orders.shop.svc"
SCOPE = "orders.read orders.write"
_AT_ONCE = 32
_START_SECONDS = 120


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
        command, variables = issuer_command(self.world, ports, probes, python, older=source is not None)
        # The installed package is this tree's; PYTHONPATH comes before it. Bytecode is kept, as an image has it.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPATH": f"{source}:{environment.get('PYTHONPATH', '')}"} if source else {}
        environment |= variables
        # The API server stays off the core of what is measured.
        self._confine({LOAD_CORE})
        began, log = time.monotonic(), self.folder / "issuer.log"
        with running(pinned(SERVER_CORE, command), log, environment) as pid:
            await until_ready(probes, log)
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
        confine(list(pids(self.world.cluster).values()), cores)


def client_name(number: int) -> str:
    """Name of the client with a number, from 0."""
    return f"client-{number:05}"


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installation]:
    """A cluster with all that the issuer needs but clients, and nothing that runs yet."""
    async with kubernetes(folder) as world:
        installation = Installation(world, folder)
        await installation.trust()
        yield installation


def issuer_command(
    world: World, ports: tuple[int, int], probes: int, python: tuple[str, ...] = (), *, older: bool = False
) -> tuple[list[str], dict[str, str]]:
    """``mintls issuer`` and its variables, as in a pod.

    Args:
        world: The cluster.
        ports: Where it listens.
        probes: Where it is asked whether it is ready.
        python: Further arguments of Python.
        older: Whether it may be of a commit that takes a kubeconfig alone.
    """
    folder, variables = world.service_account("mintls-issuer")
    account = ("--kubeconfig", str(world.kubeconfig("mintls-issuer"))) if older else ("--service-account", str(folder))
    command = [
        *(sys.executable, *python, "-m", "mintls", "issuer"),
        *("--address", f"127.0.0.1:{ports[0]}", "--mtls-address", f"127.0.0.1:{ports[1]}"),
        *("--probe-address", f"127.0.0.1:{probes}"),
        *account,
        *("--issuer-url", world.installation.issuer_url, "--mtls-url", world.installation.mtls_url),
    ]
    return command, variables


async def until_ready(port: int, log: Path) -> None:
    """Wait for ``/readyz``; raises CannotMeasure with the end of the log."""
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
    raise CannotMeasure(f"it is not ready after {_START_SECONDS} s; its log ends: {tail(log)}")
