"""Operators that are killed at a write of theirs, one after the other."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from builders.kills import KillingApi, Lane, Point
from builders.world import World, eventually

type Done = Callable[[], Awaitable[bool]]

QUIET_SECONDS = 1.0
MOST_LIVES = 40


def never_kindly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is killed does not end kopf kindly."""
    monkeypatch.setattr("mintls.controllers.handlers._ENDING_SECONDS", 0.2)


class Lives:
    """One operator after the other."""

    def __init__(self, world: World, proxy: KillingApi) -> None:
        self._world = world
        self._proxy = proxy
        self._lane: Lane = proxy.lane("")

    @contextlib.asynccontextmanager
    async def one(self, point: Point | None = None) -> AsyncIterator[Lane]:
        """A life that ends by force."""
        self._proxy.another_comes()
        self._lane.begin(point)
        operator = await self._world.operator(server=self._proxy.url, lease_seconds=30.0, create_authority=True)
        try:
            yield self._lane
        finally:
            self._proxy.client_dies()
            await operator.kill()

    async def undisturbed(self, done: Done) -> list[str]:
        """The writes of a single life."""
        async with self.one() as lane:
            await self._settle(done, lane)
            return list(lane.carried_out)

    async def killed(self, point: Point, done: Done) -> list[str]:
        """The writes of a life that was killed at a point, and of the one that finished what it had begun."""
        async with self.one(point) as lane:
            assert not await self._comes_to_rest(done, lane), f"it was over before it was {point}"
            written = list(lane.carried_out)
        return written + await self.undisturbed(done)

    async def in_a_row(self, done: Done) -> list[str]:
        """The writes of as many lives as it takes, each of which was killed at its first one."""
        written: list[str] = []
        for _ in range(MOST_LIVES):
            async with self.one(Point(1, "before")) as lane:
                if await self._comes_to_rest(done, lane):
                    return written
            async with self.one(Point(1, "after")) as lane:
                if await self._comes_to_rest(done, lane):
                    return written
                written += lane.carried_out[:1]
        raise AssertionError(f"it comes to no end: {written}")

    async def _comes_to_rest(self, done: Done, lane: Lane) -> bool:
        """Whether there is nothing to write any more; not, when it was stuck."""
        resting = asyncio.create_task(self._settle(done, lane))
        stuck = asyncio.create_task(lane.stuck.wait())
        try:
            await asyncio.wait({resting, stuck}, return_when=asyncio.FIRST_COMPLETED)
            if not stuck.done():
                await resting
            return not lane.stuck.is_set()
        finally:
            for task in (resting, stuck):
                task.cancel()
            await asyncio.gather(resting, stuck, return_exceptions=True)

    async def _settle(self, done: Done, lane: Lane) -> None:
        await eventually(done, within=60, every=0.2)
        await lane.at_rest(QUIET_SECONDS)
