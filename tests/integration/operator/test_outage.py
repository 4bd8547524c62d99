"""The API server is away for a while."""

import asyncio
import time

import pytest

from builders.relay import Relay, relay_to
from builders.waiting import until
from builders.world import RunningOperator, World, eventually
from mintls.controllers.operator import LeaseLostError
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster


async def _ready_shop(world: World, relay: Relay, lease_seconds: float) -> tuple[RunningOperator, str]:
    """A client with its certificate, by an operator behind the relay that has nothing under way any more."""
    await world.authority()
    operator = await world.operator(server=relay.address, lease_seconds=lease_seconds)
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await operator.at_rest()
    return operator, shop


async def test_what_was_created_during_an_outage_is_ready_soon_after_it(world: World) -> None:
    async with relay_to(*world.server()) as relay:
        operator, shop = await _ready_shop(world, relay, lease_seconds=30.0)

        relay.cut()
        await world.client(shop, "late")
        await world.certificate(shop, "late")
        await world.api.delete(SECRETS.item(shop, "billing-mtls"))
        await asyncio.sleep(6)
        relay.restore()
        back = time.monotonic()

        await world.ready(CLIENT_CERTIFICATES, shop, "late")
        await world.ready(OAUTH_CLIENTS, shop, "late")
        assert await eventually(lambda: world.secret(shop))
        assert time.monotonic() - back < 8
        assert not operator.task.done(), "the same process goes on"


async def test_a_lease_that_nobody_took_meanwhile_is_held_again_and_the_same_process_goes_on(world: World) -> None:
    async with relay_to(*world.server()) as relay:
        operator, shop = await _ready_shop(world, relay, lease_seconds=3.0)

        relay.cut()
        await until(lambda: operator.operator._lease.lapsed, within=5)
        assert "nothing is written" in operator.operator.ready()
        # Many times as long as another one would have waited.
        await asyncio.sleep(9)
        await world.client(shop, "late")
        await world.certificate(shop, "late")
        relay.restore()
        back = time.monotonic()

        await world.ready(CLIENT_CERTIFICATES, shop, "late")
        assert time.monotonic() - back < 3
        assert operator.operator.ready() == ""
        assert not operator.task.done(), "the same process goes on"


async def test_an_operator_that_cannot_renew_its_lease_stops_before_another_may_begin(world: World) -> None:
    async with relay_to(*world.server()) as relay:
        operator, shop = await _ready_shop(world, relay, lease_seconds=3.0)
        other = await world.operator("other", lease_seconds=3.0)

        relay.freeze()

        await until(lambda: operator.operator._lease.lapsed, within=5)
        assert other.requests.writes == []
        await world.client(shop, "late")
        await world.certificate(shop, "late")
        await world.ready(CLIENT_CERTIFICATES, shop, "late")

        made = len(operator.requests.writes)
        relay.restore()
        with pytest.raises(LeaseLostError):
            await asyncio.wait_for(operator.task, 15)
        assert operator.requests.writes[made:] == [], "somebody else leads"
