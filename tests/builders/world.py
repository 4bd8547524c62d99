"""An installation in one test: a real API server, operator and issuer in this process, each with its own rights."""

import asyncio
import base64
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from clusterlib.cluster import Cluster
from mintls.controllers.metrics import Metrics
from mintls.controllers.operator import Operator
from mintls.controllers.settings import OperatorSettings
from mintls.issuer.run import Ports, run_issuer
from mintls.issuer.settings import Address, Limits, Settings
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError, NotFound
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CLIENT_CERTIFICATES,
    CONFIGMAPS,
    LEASES,
    NAMESPACES,
    OAUTH_CLIENTS,
    SECRETS,
    SPENT_IDENTIFIERS,
    Resource,
)
from mintls.kube.timelimits import LIMITS, TimeLimits
from mintls.reconcile.installation import Installation

SYSTEM = "mintls-system"
REPOSITORY = Path(__file__).parents[2]

type Object = dict[str, Any]


class ShiftedClock:
    """The real clock, moved by as much as a test says: months pass in an instant, and seconds still go by."""

    def __init__(self) -> None:
        self._shift = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self._shift

    def pass_(self, time: timedelta) -> None:
        self._shift += time

    def come_back(self) -> None:
        """To the real time."""
        self._shift = timedelta()


@dataclass
class Requests:
    """Requests of one API client: each write, and what was read one by one. The Lease's are left out."""

    writes: list[tuple[str, str, int]] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    def count(self, verb: str, resource: str, status: int, _seconds: float) -> None:
        if verb == "get":
            self.reads.append(resource)
        if verb not in {"get", "list", "watch"} and not resource.startswith("leases"):
            self.writes.append((verb, resource, status))


@dataclass
class RunningOperator:
    """An operator in a task of this test."""

    operator: Operator
    requests: Requests
    stop: asyncio.Event
    task: asyncio.Task[None]
    api: ApiClient

    async def writes(self, count: int, since: int = 0) -> list[tuple[str, str, int]]:
        """The writes after the first ``since``, as soon as there are ``count``, and whatever came with them.

        The API shows a write a moment before its answer has come back and is counted here.
        """
        for _ in range(200):
            if len(self.requests.writes) >= since + count:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        return self.requests.writes[since:]

    async def at_rest(self, seconds: float = 1.0) -> list[tuple[str, str, int]]:
        """All writes, as soon as there was none for that long: an event comes after what it tells of."""
        count = -1
        while count != len(self.requests.writes):
            count = len(self.requests.writes)
            await asyncio.sleep(seconds)
        return self.requests.writes

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 15)

    async def kill(self) -> None:
        """As a process that dies: nothing is released, no request can be made any more."""
        await self.api.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class World:
    """What a test sees."""

    def __init__(self, cluster: Cluster, admin: ApiClient, folder: Path, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self.api = admin
        self.folder = folder
        self.clock = ShiftedClock()
        self.ports = (free_port(), free_port())
        self.installation = Installation(
            trust_domain="cluster.local",
            cluster_domain="cluster.local",
            operator_namespace=SYSTEM,
            issuer_url=f"https://localhost:{self.ports[0]}",
            mtls_url=f"https://localhost:{self.ports[1]}",
            issuer_names=("localhost", "127.0.0.1"),
        )
        self.running: RunningOperator | None = None
        self._stack = stack
        self._namespaces: list[str] = []

    # --- what is installed ---

    async def namespace(self) -> str:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "shop-"}}
        name: str = (await self.api.create(NAMESPACES.collection(), body))["metadata"]["name"]
        self._namespaces.append(name)
        return name

    async def authority(self, name: str = "default", **spec: Any) -> Object:
        body = {"apiVersion": CERTIFICATE_AUTHORITIES.api_version, "kind": "CertificateAuthority"}
        return await self.api.create(
            CERTIFICATE_AUTHORITIES.collection(), {**body, "metadata": {"name": name}, "spec": spec}
        )

    async def client(self, namespace: str, name: str = "billing", **spec: Any) -> Object:
        body = {"apiVersion": OAUTH_CLIENTS.api_version, "kind": "OAuthClient", "metadata": {"name": name}}
        return await self.api.create(OAUTH_CLIENTS.collection(namespace), {**body, "spec": spec})

    async def certificate(self, namespace: str, name: str = "billing", **spec: Any) -> Object:
        body = {"apiVersion": CLIENT_CERTIFICATES.api_version, "kind": "ClientCertificate"}
        whole = {"clientRef": {"name": name}, "secretName": f"{name}-mtls", **spec}
        return await self.api.create(
            CLIENT_CERTIFICATES.collection(namespace), {**body, "metadata": {"name": name}, "spec": whole}
        )

    def let_issuer_register_in(self, namespace: str, grant: str = "registration") -> None:
        """The rights that the chart gives for an item of ``issuer.registration``."""
        kubectl = self.cluster.kubectl
        account = f"--serviceaccount={SYSTEM}:mintls-issuer"
        for place, name, what in (
            (namespace, "register", ("--verb=create,delete,get,update", "--resource=oauthclients.mintls.dev")),
            (SYSTEM, f"register-{namespace}", ("--verb=list,watch", "--resource=secrets", f"--resource-name={grant}")),
        ):
            kubectl("-n", place, "create", "role", name, *what)
            kubectl("-n", place, "create", "rolebinding", name, f"--role={name}", account)

    # --- what runs ---

    async def client_as(
        self,
        account: str,
        on_request: Callable[..., None] | None = None,
        server: str = "",
        limits: TimeLimits = LIMITS,
    ) -> ApiClient:
        path = self.kubeconfig(account, server)
        connected = ApiClient.connect(str(path), on_request=on_request, limits=limits)
        return await self._stack.enter_async_context(connected)

    def kubeconfig(self, account: str, server: str = "") -> Path:
        """The account's own credentials; ``server``: ``host:port`` or URL of something before the API server."""
        token = self._token(account)
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        config["users"][0]["user"] = {"token": token}
        if server:
            config["clusters"][0]["cluster"]["server"] = server if "://" in server else f"https://{server}"
        path = self.folder / f"{account}.kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def service_account(self, account: str) -> tuple[Path, dict[str, str]]:
        """What a pod of the account has mounted, and the variables that Kubernetes sets in it."""
        folder = self.folder / f"{account}-mounted"
        folder.mkdir(mode=0o700, exist_ok=True)
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
        (folder / "ca.crt").write_bytes(base64.b64decode(authority))
        (folder / "token").write_text(self._token(account))
        host, port = self.server()
        return folder, {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}

    def _token(self, account: str) -> str:
        return self.cluster.kubectl("-n", SYSTEM, "create", "token", account, "--duration", "1h").strip()

    def server(self) -> tuple[str, int]:
        """Host and port of the API server."""
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        url = urlsplit(config["clusters"][0]["cluster"]["server"])
        return str(url.hostname), int(url.port or 443)

    async def operator(
        self, identity: str = "operator-0", server: str = "", limits: TimeLimits = LIMITS, **settings: Any
    ) -> RunningOperator:
        requests = Requests()
        api = await self.client_as("mintls-operator", requests.count, server, limits)
        whole = {"issuer_replicas": (f"127.0.0.1:{self.ports[1]}",), "lease_seconds": 3.0, **settings}
        operator = Operator(
            OperatorSettings(installation=self.installation, identity=identity, **whole), api, self.clock, Metrics()
        )
        stop = asyncio.Event()
        running = RunningOperator(operator, requests, stop, asyncio.create_task(operator.run(stop)), api)
        self._stack.push_async_callback(_end, stop, running.task)
        return running

    async def issuer(
        self, *, ready: bool = True, ports: tuple[int, int] | None = None, **settings: Any
    ) -> asyncio.Event:
        open_port, mtls_port = ports or self.ports
        whole = Settings(
            issuer_url=self.installation.issuer_url,
            mtls_url=self.installation.mtls_url,
            open_address=Address("127.0.0.1", open_port),
            mtls_address=Address("127.0.0.1", mtls_port),
            probe_address=Address("127.0.0.1", 0),
            limits=Limits(drain_seconds=0.1, shutdown_seconds=1.0),
            **settings,
        )
        stop, listening = asyncio.Event(), asyncio.Event()

        def on_ready(_ports: Ports) -> None:
            listening.set()

        api = await self.client_as("mintls-issuer")
        task = asyncio.create_task(
            run_issuer(whole, api, stop, clock=self.clock, write_audit=lambda _line: None, on_ready=on_ready)
        )
        self._stack.push_async_callback(_end, stop, task)
        if ready:
            await asyncio.wait_for(listening.wait(), 20)
        return stop

    # --- what is seen ---

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        return await self.api.get(resource.item(namespace, name))

    async def secret(self, namespace: str, name: str = "billing-mtls") -> dict[str, bytes]:
        body = await self.get(SECRETS, namespace, name)
        return {key: base64.b64decode(value) for key, value in body["data"].items()}

    async def ready(self, resource: Resource, namespace: str | None, name: str, *, within: float = 20.0) -> Object:
        """Wait until it is Ready at its present generation."""

        async def look() -> Object | None:
            found = await self.get(resource, namespace, name)
            return found if condition(found, "Ready")["status"] == "True" and is_current(found) else None

        return await eventually(look, within=within)

    async def shop(self) -> str:
        """A new namespace with a client and a certificate ``billing``, both Ready."""
        name = await self.namespace()
        await self.client(name)
        await self.certificate(name)
        await self.ready(CLIENT_CERTIFICATES, name, "billing")
        await self.ready(OAUTH_CLIENTS, name, "billing")
        return name

    async def reason(self, resource: Resource, namespace: str | None, name: str, reason: str) -> Object:
        """Wait until Ready has this reason; returns the condition."""

        async def look() -> Object | None:
            found = condition(await self.get(resource, namespace, name), "Ready")
            return found if found["reason"] == reason else None

        return await eventually(look)

    async def clean(self) -> None:
        """Leave the cluster as it was."""
        for resource in (CLIENT_CERTIFICATES, OAUTH_CLIENTS, CERTIFICATE_AUTHORITIES):
            async for page in self.api.list_pages(resource.collection()):
                for item in page["items"]:
                    meta = item["metadata"]
                    await self._delete(resource.item(meta.get("namespace"), meta["name"]))
        for resource in (SECRETS, LEASES, SPENT_IDENTIFIERS):
            await self._delete(resource.collection(SYSTEM))
        for name in ("default", "other", "corporate"):
            for which in ("crl", "issued"):
                await self._delete(CONFIGMAPS.item(SYSTEM, f"mintls-{which}-{name}"))
        for name in self._namespaces:
            await self._delete(NAMESPACES.item(None, name))

    async def _delete(self, path: str) -> None:
        with contextlib.suppress(NotFound):
            await self.api.delete(path)


@asynccontextmanager
async def world_on(cluster: Cluster, folder: Path) -> AsyncIterator[World]:
    async with ApiClient.connect(str(cluster.kubeconfig)) as admin:
        async with AsyncExitStack() as stack:
            world = World(cluster, admin, folder, stack)
            await world.clean()
            yield world
        await world.clean()


async def eventually[T](
    look: Callable[[], Awaitable[T | None]], *, within: float = 20.0, every: float = 0.05, expected: str = ""
) -> T:
    """Look until there is something; what was seen last is in the error."""
    deadline = asyncio.get_running_loop().time() + within
    last: Any = None
    while asyncio.get_running_loop().time() < deadline:
        try:
            last = found = await look()
        except (ApiError, KeyError, StopIteration) as error:
            last = error
        else:
            if found:
                return found
        await asyncio.sleep(every)
    raise AssertionError(f"not within {within:g} s: {expected or look.__qualname__}; seen last: {last!r}")


def condition(item: Object, type_: str) -> Object:
    """The condition, or a KeyError that ``eventually`` waits out."""
    for found in item.get("status", {}).get("conditions", []):
        if found["type"] == type_:
            return dict(found)
    raise KeyError(f"no condition {type_} in {json.dumps(item.get('status', {}))}")


def is_current(item: Object) -> bool:
    return bool(item["status"].get("observedGeneration") == item["metadata"]["generation"])


async def next_second() -> None:
    """``creationTimestamp`` has whole seconds: wait until a later object is later there, too."""
    await asyncio.sleep(1.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _end(stop: asyncio.Event, task: asyncio.Task[None]) -> None:
    stop.set()
    done, _ = await asyncio.wait([task], timeout=15)
    if not done:
        task.cancel()
        logging.getLogger(__name__).error("%s did not stop within 15 s", task)
    await asyncio.gather(task, return_exceptions=True)
