"""Small helpers around asyncio tasks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any


@contextlib.asynccontextmanager
async def running(coroutine: Coroutine[Any, Any, None], name: str = "") -> AsyncIterator[asyncio.Task[None]]:
    """Run it as a task for as long as the block lasts."""
    task = asyncio.create_task(coroutine, name=name or None)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, or cancel it when ``stop`` is set first.

    Returns:
        Whether the work was done.
    """
    async with running(_wait(stop)) as stopped:
        task = asyncio.create_task(work)
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
                return True
            return False
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def any_of(*events: asyncio.Event, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait until one of the events is set or one of the tasks has ended; the tasks go on otherwise.

    Raises:
        Exception: What a task ended with.
        RuntimeError: A task ended without an error, though it should not end at all.
    """
    tasks = tuple(tasks)
    async with contextlib.AsyncExitStack() as stack:
        waits = [await stack.enter_async_context(running(_wait(event))) for event in events]
        await asyncio.wait([*waits, *tasks], return_when=asyncio.FIRST_COMPLETED)
    if any(event.is_set() for event in events):
        return
    for task in tasks:
        if task.done():
            task.result()
            raise RuntimeError(f"{task.get_name()} ended by itself")
