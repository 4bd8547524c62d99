"""Waiting for what plain values say."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], within: float = 20.0, every: float = 0.01) -> float:
    """Wait until it holds; how many seconds that took, by the loop's clock. TimeoutError if it takes longer."""
    clock = asyncio.get_running_loop().time
    began = clock()
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(every)
    return clock() - began
