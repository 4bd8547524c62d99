"""Waiting for what plain values say, and for what programs outside come to."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], within: float = 20.0, every: float = 0.01) -> float:
    """Wait until it holds; how many seconds that took, by the loop's clock. TimeoutError if it takes longer."""
    clock = asyncio.get_running_loop().time
    began = clock()
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(every)
    return clock() - began


def poll[T](condition: Callable[[], T], what: str = "", seconds: float = 60) -> T:
    """Ask again and again, for *seconds* at most, until the answer counts as true; returns it.

    For what a process outside does, which no event of ours tells of. AssertionError names *what* was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what or condition}"
        time.sleep(0.1)
    return found
