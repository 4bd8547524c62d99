"""Many certificates that are asked for at once: how long until the last is Ready, and what that costs."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from bench.apiserver import writes
from bench.cluster import NAMESPACE
from bench.machine import CannotMeasure, cpu_seconds, must_run, rss_mib
from builders.world import World
from mintls.kube.client import ApiClient
from mintls.kube.errors import Gone
from mintls.kube.paths import CLIENT_CERTIFICATES, Resource

AT_ONCE = 32
_SETTLED_SECONDS = 2.0
_MOST_SECONDS = 1200.0

type Object = dict[str, Any]


class Outcome(msgspec.Struct, frozen=True):
    """What a burst took.

    Attributes:
        count: Certificates.
        seconds: From the first request to the last Ready.
        rate: Certificates a second.
        writes: Writes that the API server carried out for each, but for its creation.
        cpu_ms: Processor time of whoever issues, for each, in milliseconds.
        rss_mib: Its memory then.
    """

    count: int
    seconds: float
    rate: float
    writes: float
    cpu_ms: float
    rss_mib: float


class Issuer(Protocol):
    """Somebody who issues certificates for objects."""

    @property
    def resource(self) -> Resource:
        """What kind of objects."""
        ...

    def body(self, name: str) -> Object:
        """An object that asks for a certificate."""
        ...


@dataclass(frozen=True)
class Mintls:
    """A ClientCertificate of an OAuthClient of the same name."""

    resource: Resource = CLIENT_CERTIFICATES

    def body(self, name: str) -> Object:
        """An object that asks for a certificate."""
        spec = {"clientRef": {"name": name}, "secretName": f"{name}-mtls"}
        return {"metadata": {"name": name}, "spec": spec}


async def burst(world: World, issuer: Issuer, names: Sequence[str], pid: int) -> Outcome:
    """Create them all, and wait until all are Ready.

    Raises:
        CannotMeasure: They are not after a long time.
    """
    before, cpu = await asyncio.to_thread(writes, world.cluster), cpu_seconds(pid)
    began = time.monotonic()
    async with ready_of(world.api, issuer.resource, names) as ready:
        await create(world, issuer, names)
        seconds = await _while_running(ready, pid) - began
    await asyncio.sleep(_SETTLED_SECONDS)  # events come after what they tell of
    spent = cpu_seconds(pid) - cpu
    made = (await asyncio.to_thread(writes, world.cluster) - before).total() - len(names)
    count = len(names)
    return Outcome(count, seconds, count / seconds, made / count, spent / count * 1000, rss_mib(pid))


async def _while_running(ready: Awaitable[float], pid: int) -> float:
    waiting = asyncio.ensure_future(ready)
    while not waiting.done():
        await asyncio.wait([waiting], timeout=1)
        must_run(pid, "who is to issue")
    return await waiting


async def create(world: World, issuer: Issuer, names: Sequence[str]) -> None:
    """Ask for a certificate of each name."""
    path = issuer.resource.collection(NAMESPACE)
    head = {"apiVersion": issuer.resource.api_version, "kind": issuer.resource.kind}
    await at_once(world.api.create(path, head | issuer.body(name)) for name in names)


async def at_once(requests: Any) -> None:
    """Make requests, not too many of them side by side."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: Awaitable[Any]) -> None:
        async with gate:
            await request

    await asyncio.gather(*map(one, requests))


@contextlib.asynccontextmanager
async def ready_of(
    api: ApiClient, resource: Resource, names: Sequence[str], holds: Callable[[Object], bool] | None = None
) -> AsyncIterator[Awaitable[float]]:
    """Gives what tells when the last of these was Ready, by the monotonic clock; begun before they are made.

    Args:
        api: Whoever looks.
        resource: What they are.
        names: Which ones.
        holds: What is waited for instead of Ready.
    """
    version = ""
    async for page in api.list_pages(resource.collection(NAMESPACE)):
        version = page["metadata"]["resourceVersion"]
    opened = asyncio.Event()
    looking = asyncio.create_task(
        _all_ready(api, resource, set(names), version, holds=holds or is_ready, on_open=opened.set)
    )
    opening = asyncio.create_task(opened.wait())
    await asyncio.wait([looking, opening], return_when=asyncio.FIRST_COMPLETED)
    opening.cancel()

    async def last() -> float:
        try:
            return await asyncio.wait_for(looking, _MOST_SECONDS)
        except TimeoutError:
            raise CannotMeasure(f"not all {len(names)} {resource.plural} are Ready after {_MOST_SECONDS:g} s") from None

    try:
        yield last()
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _all_ready(
    api: ApiClient,
    resource: Resource,
    missing: set[str],
    version: str,
    *,
    holds: Callable[[Object], bool],
    on_open: Callable[[], None],
) -> float:
    path = resource.collection(NAMESPACE)
    while missing:
        try:
            async with contextlib.aclosing(api.watch(path, resource_version=version, on_open=on_open)) as events:
                async for kind, item in events:
                    version = item["metadata"]["resourceVersion"]
                    if kind in {"ADDED", "MODIFIED"} and holds(item):
                        missing.discard(item["metadata"]["name"])
                    if not missing:
                        break
        except Gone:
            async for page in api.list_pages(path):
                version = page["metadata"]["resourceVersion"]
                missing -= {item["metadata"]["name"] for item in page["items"] if holds(item)}
    return time.monotonic()


def is_ready(item: Object) -> bool:
    """Whether the condition Ready holds."""
    conditions = item.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
