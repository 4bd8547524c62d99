"""Who waits for an API server that is away."""

import asyncio

import pytest

from builders.virtual_time import in_virtual_time, now
from mintls.kube.reachability import OUTAGE_SECONDS, Reachability


@in_virtual_time
async def test_whoever_waits_is_told_by_the_first_answer_after_an_outage() -> None:
    subject, told = Reachability(now), list[float]()
    subject.on_back(lambda: told.append(now()))
    subject.failed()
    waiting = [asyncio.create_task(subject.pause(3600)) for _ in range(3)]
    await asyncio.sleep(15)
    subject.failed()
    assert subject.away
    assert not any(task.done() for task in waiting)
    back = now()
    subject.answered()
    await asyncio.gather(*waiting)
    assert now() == back
    assert told == [back]
    assert not subject.away


@in_virtual_time
async def test_a_pause_ends_by_itself() -> None:
    subject, began = Reachability(now), now()
    subject.failed()
    await subject.pause(4)
    assert now() - began == pytest.approx(4)


@in_virtual_time
async def test_a_request_that_fails_again_and_again_between_answers_is_no_outage() -> None:
    subject, told = Reachability(now), list[float]()
    subject.on_back(lambda: told.append(now()))
    waiting = asyncio.create_task(subject.pause(60))
    for _ in range(10):
        subject.failed()
        await asyncio.sleep(OUTAGE_SECONDS * 0.9)
        subject.answered()
    assert told == []
    assert not waiting.done()
    await waiting


@in_virtual_time
async def test_an_outage_is_told_once() -> None:
    subject, told = Reachability(now), list[float]()
    subject.on_back(lambda: told.append(now()))
    subject.failed()
    await asyncio.sleep(OUTAGE_SECONDS)
    subject.answered()
    subject.answered()
    assert len(told) == 1
