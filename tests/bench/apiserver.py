"""What the API server says of itself: how often it was written to; and how long a user waits for it."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from statistics import quantiles

from prometheus_client.parser import text_string_to_metric_families

from builders.world import World
from clusterlib.cluster import Cluster
from mintls.kube.paths import CONFIGMAPS

_READS = frozenset({"GET", "LIST", "WATCH", "CONNECT"})
_LOGIN = "serviceaccounts/token"
"""With such a token the harness lets a program in, before it is started."""
_EVERY_SECONDS = 0.05


def writes(cluster: Cluster) -> Counter[str]:
    """Writes that were carried out, as ``VERB resource``, since it started; those of Leases and logins are left out."""
    found: Counter[str] = Counter()
    for sample in _samples(cluster, "apiserver_request_total"):
        verb, resource, code = (sample[name] for name in ("verb", "resource", "code"))
        if verb not in _READS and code.startswith("2") and resource not in {"", "leases"}:
            place = f"{resource}/{sample['subresource']}" if sample["subresource"] else resource
            if place != _LOGIN:
                found[f"{verb} {place}"] += int(float(sample["value"]))
    return found


def stored_mib(cluster: Cluster) -> float:
    """Size of the database behind it."""
    return sum(float(sample["value"]) for sample in _samples(cluster, "apiserver_storage_size_bytes")) / 2**20


def _samples(cluster: Cluster, name: str) -> list[dict[str, str]]:
    text = cluster.kubectl("get", "--raw", "/metrics")
    wanted = "\n".join(line for line in text.splitlines() if line.startswith((f"# TYPE {name} ", f"{name}{{"))) + "\n"
    return [
        {**sample.labels, "value": str(sample.value)}
        for family in text_string_to_metric_families(wanted)
        for sample in family.samples
    ]


@contextlib.asynccontextmanager
async def user(world: World, namespace: str) -> AsyncIterator[list[float]]:
    """Somebody who reads a ConfigMap now and again while the block lasts: milliseconds of each time."""
    waited: list[float] = []

    async def asks() -> None:
        path = CONFIGMAPS.item(namespace, "kube-root-ca.crt")
        while True:
            began = time.monotonic()
            await world.api.get(path)
            waited.append((time.monotonic() - began) * 1000)
            await asyncio.sleep(_EVERY_SECONDS)

    task = asyncio.create_task(asks())
    try:
        yield waited
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def percentile(values: list[float], percent: int) -> float:
    """Of at least one value."""
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
