"""One heap of due times, by an injected clock that jumps, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from builders.objects import after
from builders.pki import NOW
from builders.virtual_time import in_virtual_time, now
from mintls.controllers.keys import Key, Kind
from mintls.controllers.scheduler import LONGEST_SLEEP, Scheduler

A, B = Key(Kind.CERTIFICATE, "shop", "a"), Key(Kind.CERTIFICATE, "shop", "b")


class WallClock:
    """The time of day; ``jump`` sets it, as an administrator or a resumed machine does."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def __call__(self) -> datetime:
        return NOW + self.offset + timedelta(seconds=now())

    def jump(self, by: timedelta) -> None:
        self.offset += by


class Running:
    def __init__(self) -> None:
        self.clock = WallClock()
        self.calls: list[tuple[Key, float]] = []
        self.scheduler = Scheduler(lambda key: self.calls.append((key, round(now(), 3))), self.clock)


@asynccontextmanager
async def running() -> AsyncIterator[Running]:
    parts = Running()
    task = asyncio.create_task(parts.scheduler.run())
    try:
        yield parts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@in_virtual_time
async def test_a_key_comes_when_its_time_has_come_and_once() -> None:
    async with running() as run:
        run.scheduler.set(A, after(90))
        await asyncio.sleep(89.9)
        assert run.calls == []
        await asyncio.sleep(500)
        assert run.calls == [(A, 90.0)]
        assert len(run.scheduler) == 0


@in_virtual_time
async def test_keys_come_in_the_order_of_their_times_whatever_order_they_were_set_in() -> None:
    async with running() as run:
        run.scheduler.set(A, after(20))
        run.scheduler.set(B, after(10))
        await asyncio.sleep(30)
        assert run.calls == [(B, 10.0), (A, 20.0)]


@in_virtual_time
async def test_a_time_in_the_past_is_due_at_once() -> None:
    async with running() as run:
        await asyncio.sleep(1)
        run.scheduler.set(A, after(hours=-3))
        await asyncio.sleep(0.1)
        assert run.calls == [(A, 1.0)]


@in_virtual_time
async def test_the_latest_time_that_was_set_counts() -> None:
    async with running() as run:
        run.scheduler.set(A, after(10))
        run.scheduler.set(A, after(40))
        run.scheduler.set(B, after(40))
        run.scheduler.set(B, after(5))
        await asyncio.sleep(100)
        assert run.calls == [(B, 5.0), (A, 40.0)]


@in_virtual_time
async def test_a_time_that_is_taken_away_does_not_come() -> None:
    async with running() as run:
        run.scheduler.set(A, after(10))
        run.scheduler.set(A, None)
        run.scheduler.set(B, None)
        await asyncio.sleep(100)
        assert run.calls == []


@in_virtual_time
async def test_a_key_can_be_set_again_when_it_was_called() -> None:
    async with running() as run:
        run.scheduler.set(A, after(10))
        await asyncio.sleep(11)
        run.scheduler.set(A, after(10))
        await asyncio.sleep(1)
        assert [key for key, _ in run.calls] == [A, A]


@in_virtual_time
async def test_when_the_clock_jumps_forward_what_is_due_comes_within_half_a_minute() -> None:
    async with running() as run:
        run.scheduler.set(A, after(hours=8))
        await asyncio.sleep(10)
        run.clock.jump(timedelta(hours=9))
        await asyncio.sleep(LONGEST_SLEEP)
        assert [key for key, _ in run.calls] == [A]


@in_virtual_time
async def test_when_the_clock_jumps_back_nothing_comes_too_early() -> None:
    async with running() as run:
        run.scheduler.set(A, after(60))
        await asyncio.sleep(30)
        run.clock.jump(timedelta(hours=-1))
        await asyncio.sleep(3600)
        assert run.calls == []
        await asyncio.sleep(31)
        assert [key for key, _ in run.calls] == [A]


@in_virtual_time
async def test_setting_and_unsetting_for_hours_leaves_no_heap_behind() -> None:
    """A look each second that finds the same renewal time, or none, must not keep an entry each."""
    async with running() as run:
        for _ in range(10_000):
            run.scheduler.set(A, after(days=1))
            run.scheduler.set(A, None)
        for number in range(10_000):
            run.scheduler.set(B, after(days=1, seconds=number))
        assert len(run.scheduler) == 1
        assert len(run.scheduler._heap) < 1000


@settings(max_examples=50, deadline=None)
@given(
    plan=st.lists(
        st.tuples(
            st.integers(0, 50),  # seconds until this is done
            st.sampled_from("abcd"),
            st.one_of(st.none(), st.integers(-10, 120)),  # due so many seconds after now
        ),
        max_size=12,
    )
)
def test_each_key_comes_exactly_when_its_last_time_says(plan: list[tuple[int, str, int | None]]) -> None:
    @in_virtual_time
    async def scenario() -> None:
        async with running() as run:
            expected: dict[Key, float] = {}
            came: list[tuple[Key, float]] = []
            for wait, name, seconds in plan:
                await asyncio.sleep(wait)
                key, time = Key(Kind.CLIENT, "n", name), round(now(), 3)
                came += [pair for pair in expected.items() if pair[1] <= time]
                expected = {key: at for key, at in expected.items() if at > time}
                run.scheduler.set(key, None if seconds is None else run.clock() + timedelta(seconds=seconds))
                expected.pop(key, None)
                if seconds is not None:
                    expected[key] = round(max(time, time + seconds), 3)
                await asyncio.sleep(0.001)
            await asyncio.sleep(1000)
            assert sorted(run.calls, key=str) == sorted([*came, *expected.items()], key=str)

    scenario()
