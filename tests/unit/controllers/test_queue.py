"""The queue: each key once, never worked on twice at a time, and nobody starves."""

import asyncio
import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from builders.pki import DAY, NOW
from mintls.controllers.keys import Key, Kind
from mintls.controllers.queue import FAIRNESS, Lane, ReconcileQueue

A, B, C = (Key(Kind.CERTIFICATE, "shop", name) for name in "abc")


async def take(queue: ReconcileQueue) -> Key:
    return await asyncio.wait_for(queue.take(), 1)


async def taken_now(queue: ReconcileQueue, count: int) -> list[Key]:
    return [await take(queue) for _ in range(count)]


async def test_a_key_that_is_asked_for_twice_comes_once() -> None:
    queue = ReconcileQueue()
    queue.add(A)
    queue.add(A)
    assert await take(queue) == A
    queue.done(A)
    assert queue.idle()


async def test_what_everything_was_in_at_a_start_is_given_back() -> None:
    queue = ReconcileQueue()
    for number in range(1000):
        queue.add(Key(Kind.CERTIFICATE, "shop", str(number)), Lane.RENEWAL)
    await taken_now(queue, 1000)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.take(), 0.001)
    assert sys.getsizeof(queue._renewals) < 1000


async def test_keys_come_in_the_order_in_which_they_were_first_asked_for() -> None:
    queue = ReconcileQueue()
    for key in (B, A, C, B):
        queue.add(key)
    assert await taken_now(queue, 3) == [B, A, C]


async def test_a_burst_in_one_namespace_keeps_nobody_else_waiting() -> None:
    queue = ReconcileQueue()
    bulk = [Key(Kind.CERTIFICATE, "shop", f"{number}") for number in range(100)]
    other, authority = Key(Kind.CERTIFICATE, "bank", "a"), Key(Kind.AUTHORITY, "", "default")
    for key in (*bulk, other, authority):
        queue.add(key)
    queue.add(other)
    assert await taken_now(queue, 4) == [bulk[0], other, authority, bulk[1]]
    assert queue.depth(Lane.URGENT) == 98
    queue.done(other)
    queue.add(other)
    assert await taken_now(queue, 2) == [bulk[2], other]


async def test_a_key_that_is_asked_for_while_it_is_worked_on_comes_again_afterwards_and_not_before() -> None:
    queue = ReconcileQueue()
    queue.add(A)
    await take(queue)
    queue.add(A)
    queue.add(A)
    assert queue.depth(Lane.URGENT) == 0
    assert not queue.idle()
    queue.done(A)
    assert await take(queue) == A
    queue.done(A)
    assert queue.idle()


async def test_what_somebody_waits_for_comes_before_what_is_due() -> None:
    queue = ReconcileQueue()
    queue.add(A, Lane.RENEWAL)
    queue.add(B, Lane.URGENT)
    assert await taken_now(queue, 2) == [B, A]


async def test_a_key_moves_to_the_faster_lane_and_never_back() -> None:
    queue = ReconcileQueue()
    queue.add(A, Lane.RENEWAL)
    queue.add(A, Lane.URGENT)
    assert (queue.depth(Lane.URGENT), queue.depth(Lane.RENEWAL)) == (1, 0)
    queue.add(A, Lane.RENEWAL)
    assert (queue.depth(Lane.URGENT), queue.depth(Lane.RENEWAL)) == (1, 0)


async def test_asked_for_while_worked_on_it_comes_in_the_faster_of_the_lanes() -> None:
    queue = ReconcileQueue()
    queue.add(A)
    await take(queue)
    queue.add(A, Lane.RENEWAL)
    queue.add(A, Lane.URGENT)
    queue.add(A, Lane.RENEWAL)
    queue.done(A)
    assert (queue.depth(Lane.URGENT), queue.depth(Lane.RENEWAL)) == (1, 0)


async def test_a_renewal_waits_for_no_more_than_a_few_urgent_ones() -> None:
    queue = ReconcileQueue()
    queue.add(A, Lane.RENEWAL)
    for number in range(10 * FAIRNESS):
        queue.add(Key(Kind.CLIENT, "shop", str(number)))
    assert A in await taken_now(queue, FAIRNESS)


async def test_of_what_is_due_comes_first_what_ends_first_and_before_all_what_has_nothing() -> None:
    """After a start, or when the machine has slept, everything is due at once."""
    queue = ReconcileQueue()
    queue.add(A, Lane.RENEWAL, NOW + DAY)
    queue.add(B, Lane.RENEWAL, NOW - DAY)
    queue.add(C, Lane.RENEWAL)
    assert await taken_now(queue, 3) == [C, B, A]
    queue.add(B, Lane.RENEWAL, NOW)
    for key in (A, B, C):
        queue.done(key)
    queue.add(A, Lane.RENEWAL, NOW + DAY)
    queue.add(A, Lane.RENEWAL, NOW - DAY)
    assert await taken_now(queue, 2) == [A, B]
    assert queue.depth(Lane.RENEWAL) == 0


async def test_one_that_waits_is_woken() -> None:
    queue = ReconcileQueue()
    waiting = [asyncio.create_task(queue.take()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    done, pending = await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_COMPLETED)
    assert [task.result() for task in done] == [A]
    queue.add(B)
    assert await asyncio.wait_for(pending.pop(), 1) == B


async def test_one_that_gave_up_waiting_takes_nothing_with_it() -> None:
    queue = ReconcileQueue()
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    queue.add(A)
    assert await take(queue) == A


class QueueMachine(RuleBasedStateMachine):
    """Against a plain model: which keys wait, which are worked on, which of those were asked for again."""

    active = Bundle("active")

    def __init__(self) -> None:
        super().__init__()
        self.queue = ReconcileQueue()
        self.waiting: dict[Key, Lane] = {}
        self.working: dict[Key, Lane | None] = {}
        self.passed_over = 0

    @rule(key=st.sampled_from([Key(Kind.CLIENT, "n", name) for name in "abcdef"]), lane=st.sampled_from(list(Lane)))
    def add(self, key: Key, lane: Lane) -> None:
        self.queue.add(key, lane)
        if key in self.working:
            before = self.working[key]
            self.working[key] = lane if before is None else min(before, lane)
        else:
            self.waiting[key] = min(lane, self.waiting.get(key, lane))

    @precondition(lambda self: self.waiting)
    @rule(target=active)
    def take(self) -> Key:
        coroutine = self.queue.take()
        try:
            coroutine.send(None)
        except StopIteration as stop:
            key: Key = stop.value
        else:
            raise AssertionError("there is a key, and it waits for one")
        assert key not in self.working, "worked on twice at a time"
        lane = self.waiting.pop(key)
        slow = Lane.RENEWAL in self.waiting.values()
        self.passed_over = self.passed_over + 1 if lane == Lane.URGENT and slow else 0
        assert self.passed_over < FAIRNESS, "a renewal starves"
        self.working[key] = None
        return key

    @rule(key=consumes(active))
    def done(self, key: Key) -> None:
        self.queue.done(key)
        lane = self.working.pop(key)
        if lane is not None:
            self.waiting[key] = lane

    @invariant()
    def holds_what_waits(self) -> None:
        for lane in Lane:
            assert self.queue.depth(lane) == sum(each == lane for each in self.waiting.values())
        assert self.queue.idle() == (not self.waiting and not self.working)


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
