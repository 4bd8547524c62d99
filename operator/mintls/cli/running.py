"""Run a coroutine as a process: uvloop, a stop on SIGTERM and SIGINT, memory that is given back, an exit code."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import uvloop

from mintls.cli.allocator import give_back_what_is_freed

logger = logging.getLogger(__name__)


def run(part: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run until it returns; SIGTERM and SIGINT set the event that it is given."""

    async def with_signals() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        allocator = asyncio.create_task(give_back_what_is_freed(), name="allocator")
        try:
            await part(stop)
        finally:
            allocator.cancel()

    uvloop.run(with_signals())
