"""One replica writes; the others wait."""

import asyncio
import time

import pytest

from builders.world import World
from mintls.kube.paths import CLIENT_CERTIFICATES

pytestmark = pytest.mark.cluster


async def test_the_second_replica_writes_nothing_and_takes_over_when_the_first_ends(world: World) -> None:
    await world.authority()
    first = await world.operator("first")
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    second = await world.operator("second")
    await asyncio.sleep(1.0)
    assert second.requests.writes == []

    await first.end()
    began = time.monotonic()
    await world.client(shop, "late")
    await world.certificate(shop, "late")
    await world.ready(CLIENT_CERTIFICATES, shop, "late")

    assert time.monotonic() - began < 3.0, "a clean end hands over at once"
    assert second.requests.writes


async def test_a_killed_leader_loses_and_doubles_nothing(world: World) -> None:
    await world.authority()
    first = await world.operator("first")
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, "billing-0", clientRef={"name": "billing"})
    await world.ready(CLIENT_CERTIFICATES, shop, "billing-0")
    second = await world.operator("second")
    for number in range(1, 20):
        await world.certificate(shop, f"billing-{number}", clientRef={"name": "billing"})

    await first.kill()

    for number in range(20):
        found = await world.ready(CLIENT_CERTIFICATES, shop, f"billing-{number}", within=15)
        assert found["status"]["revision"] == 1
    assert second.requests.writes
