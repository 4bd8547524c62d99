"""At each write of every plan the operator is killed, or gets no answer: it ends as if nothing had been.

Each plan is carried out in many namespaces at once: in the first one undisturbed, in each other one up to a write of
its own, which is not carried out, or is and not answered, and none after it. Then the operator is killed, and another
one finishes what it finds; or it is answered again, after it had to give up what it waited for. So one death is tried
at all writes of all plans.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import pytest

from builders.endstate import differences, end_state
from builders.kills import KillingApi, Lane, Point, killing_api
from builders.plans import ISSUING, OTHER_AUTHORITY, OTHERS, SECRET, SELECTED, Look, Plan
from builders.world import RunningOperator, World, eventually
from mintls.controllers import tasks
from mintls.kube.paths import CERTIFICATE_AUTHORITIES
from mintls.kube.timelimits import LIMITS, TimeLimits

pytestmark = pytest.mark.cluster

SIDES: tuple[Literal["before", "after"], ...] = ("before", "after")
GIVEN_UP_SECONDS = 8.0
"""Longer than it takes until all are stuck, so that none goes on too soon."""
QUIET_SECONDS = 1.0
"""Who writes nothing for so long has come to rest."""


@dataclass
class Trial:
    """A plan in a namespace of its own."""

    plan: Plan
    lane: Lane
    point: Point | None

    def __str__(self) -> str:
        return f"{self.plan.name}, {self.point or 'undisturbed'}"

    async def prepare(self, world: World) -> None:
        await self.plan.prepare(world, self.lane.name)
        await self.until(world, self.plan.prepared)
        await self.lane.at_rest(QUIET_SECONDS)

    async def act(self, world: World) -> None:
        self.lane.begin(self.point)
        await self.plan.act(world, self.lane.name)

    async def finish(self, world: World) -> None:
        await self.until(world, self.plan.done)
        await self.lane.at_rest(QUIET_SECONDS)

    async def until(self, world: World, look: Look) -> None:
        await eventually(lambda: look(world, self.lane.name), within=60, every=0.2, expected=str(self))

    async def stuck(self, world: World) -> None:
        """Wait until it is; or until it has ended with a write less than the undisturbed one, which had to wait.

        Where an issuer is slow to know a client, its status says so first.
        """
        async with tasks.running(self._is_stuck()) as stuck, tasks.running(self.finish(world)) as finished:
            await asyncio.wait({stuck, finished}, return_when=asyncio.FIRST_COMPLETED)
            if not stuck.done():
                await finished
                assert self.point is not None
                assert len(self.lane.writes) == self.point.write - 1, f"{self}: there were only {self.lane.writes}"

    async def _is_stuck(self) -> None:
        await self.lane.stuck.wait()


async def operator(world: World, proxy: KillingApi, limits: TimeLimits = LIMITS) -> RunningOperator:
    """As many workers as lanes can be stuck; always of one identity, so that it need not wait for its own Lease."""
    return await world.operator(server=proxy.url, limits=limits, workers=512, lease_seconds=30.0)


@pytest.fixture
async def proxy(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KillingApi]:
    monkeypatch.setattr("mintls.controllers.handlers._ENDING_SECONDS", 0.2)  # who is killed does not end kopf kindly
    # A request that gets no answer keeps its connection.
    monkeypatch.setattr("mintls.kube.client.CONNECTIONS", 1024)
    kubectl = world.cluster.kubectl
    kubectl("create", "clusterrole", "csr", "--verb=create", "--resource=certificatesigningrequests")
    kubectl("create", "clusterrolebinding", "csr", "--clusterrole=csr", "--group=system:serviceaccounts")
    async with killing_api(world.cluster.kubeconfig) as one:
        yield one
    kubectl("delete", "clusterrole,clusterrolebinding", "csr")
    kubectl("delete", "csr", "--all")


async def trial(world: World, proxy: KillingApi, plan: Plan, point: Point | None = None) -> Trial:
    return Trial(plan, proxy.lane(await world.namespace()), point)


PLANS = pytest.mark.parametrize("plans", [ISSUING, SECRET, OTHERS], ids=["issuing", "the Secret", "others"])


@PLANS
async def test_killed_before_and_after_each_write_it_ends_the_same(
    world: World, proxy: KillingApi, plans: tuple[Plan, ...]
) -> None:
    running = await installed(world, proxy)
    undisturbed = await carried_out(world, proxy, plans)
    stopped = await stopped_at_each_write(world, proxy, undisturbed)
    proxy.client_dies()
    await running.kill()
    proxy.another_comes()
    again = await operator(world, proxy)
    await end_the_same(world, stopped, undisturbed)
    await again.end()


@PLANS
async def test_left_without_an_answer_to_each_write_it_ends_the_same(
    world: World, proxy: KillingApi, plans: tuple[Plan, ...]
) -> None:
    running = await installed(world, proxy, TimeLimits(request=GIVEN_UP_SECONDS))
    undisturbed = await carried_out(world, proxy, plans)
    stopped = await stopped_at_each_write(world, proxy, undisturbed)
    proxy.answers_again()
    await end_the_same(world, stopped, undisturbed)
    await running.end()


async def installed(world: World, proxy: KillingApi, limits: TimeLimits = LIMITS) -> RunningOperator:
    await world.authority(trustBundle={"namespaceSelector": {"matchLabels": SELECTED}})
    await world.authority(OTHER_AUTHORITY)
    running = await operator(world, proxy, limits)
    await world.issuer()
    for name in ("default", OTHER_AUTHORITY):
        await world.ready(CERTIFICATE_AUTHORITIES, None, name)
    return running


async def carried_out(world: World, proxy: KillingApi, plans: tuple[Plan, ...]) -> list[Trial]:
    """Each plan once, undisturbed."""
    trials = [await trial(world, proxy, plan) for plan in plans]
    await asyncio.gather(*(one.prepare(world) for one in trials))
    await asyncio.gather(*(one.act(world) for one in trials))
    await asyncio.gather(*(one.finish(world) for one in trials))
    for one in trials:
        assert one.lane.writes, f"{one}: nothing was written"
        assert one.lane.issued() == one.plan.issues, f"{one}: {one.lane.writes}"
    return trials


async def stopped_at_each_write(world: World, proxy: KillingApi, undisturbed: list[Trial]) -> list[Trial]:
    """Each plan up to each of its writes, and not answered any more."""
    trials = [
        await trial(world, proxy, one.plan, Point(number, side))
        for one in undisturbed
        for number in range(1, len(one.lane.carried_out) + 1)
        for side in SIDES
    ]
    await asyncio.gather(*(one.prepare(world) for one in trials))
    await asyncio.gather(*(one.act(world) for one in trials))
    await asyncio.gather(*(one.stuck(world) for one in trials))
    return trials


async def end_the_same(world: World, stopped: list[Trial], undisturbed: list[Trial]) -> None:
    like = {one.plan.name: one for one in undisturbed}
    await asyncio.gather(*(one.finish(world) for one in stopped))
    for one in stopped:
        await same(world, one, like[one.plan.name])
        assert one.lane.issued() == one.plan.issues, f"{one}: issued {one.lane.issued()} times"


async def same(world: World, one: Trial, other: Trial) -> None:
    found: list[str] = []

    async def look() -> bool:
        found[:] = differences(await end_state(world, one.lane.name), await end_state(world, other.lane.name))
        return not found

    try:
        await eventually(look, within=5, every=0.5)
    except AssertionError:
        raise AssertionError("\n".join([f"{one}:", *found])) from None
