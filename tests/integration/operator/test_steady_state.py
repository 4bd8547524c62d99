"""In steady state nothing is written; the witness is the API server's own count."""

import asyncio
import re

import pytest

from builders.world import World
from clusterlib.cluster import Cluster
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

SECONDS = 60
WRITE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$")
# Leases are how replicas agree on who writes, and how the API server and the controller manager say that they live.
OURS = ("oauthclients", "clientcertificates", "certificateauthorities", "secrets", "configmaps", "events")


def writes(cluster: Cluster) -> dict[str, float]:
    """What the API server counted: mutating requests by verb and resource."""
    counts: dict[str, float] = {}
    for line in cluster.kubectl("get", "--raw", "/metrics").splitlines():
        found = WRITE.match(line)
        if not found:
            continue
        labels = dict(re.findall(r'(\w+)="([^"]*)"', found["labels"]))
        if labels["resource"] in OURS and labels["verb"] in {"POST", "PUT", "PATCH", "APPLY", "DELETE"}:
            key = f"{labels['verb']} {labels['resource']}"
            counts[key] = counts.get(key, 0) + float(found["count"])
    return counts


async def settled(cluster: Cluster) -> dict[str, float]:
    """Wait until earlier tests' namespaces are gone and the last event is posted."""
    before = await asyncio.to_thread(writes, cluster)
    for _ in range(20):
        await asyncio.sleep(4)
        now = await asyncio.to_thread(writes, cluster)
        if now == before:
            return now
        before = now
    raise AssertionError("the cluster does not come to rest")


async def test_nothing_is_written_for_a_minute_and_across_a_restart(world: World, installed: Cluster) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    for number in range(20):
        await world.client(shop, f"client-{number}")
        await world.certificate(shop, f"client-{number}")
    for number in range(20):
        await world.ready(CLIENT_CERTIFICATES, shop, f"client-{number}")
        await world.ready(OAUTH_CLIENTS, shop, f"client-{number}")
    before = await settled(installed)

    await asyncio.sleep(SECONDS / 2)
    await operator.end()
    restarted = await world.operator("restarted")
    await asyncio.sleep(SECONDS / 2)

    assert before["POST secrets"] >= 20, "the count is of the right API server"
    assert await asyncio.to_thread(writes, installed) == before
    assert restarted.requests.writes == []
