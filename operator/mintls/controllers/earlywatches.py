"""Watches of our own from the operator's first list on, until kopf's have caught up.

kopf lists everything by itself, and has a task for each object: with 10,000 clients that takes as long as all the rest
of a start, and until it is done kopf tells of nothing new. So it begins when what was found at the start has been
looked at, and nobody who makes an object meanwhile waits for that::

    our list ──► watches of our own ───────────────────────► given up
                      └─ all was looked at ──► kopf lists ──┴─► kopf watches
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import RESOURCES
from mintls.controllers.tasks import running
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError

logger = logging.getLogger(__name__)

_ALONE_SECONDS = 120.0
"""kopf begins after that at the latest: a watch that nobody opens anew ends after some minutes."""
_LOOK_SECONDS = 0.1


async def follow(api: ApiClient, positions: Mapping[ObjectStore[Any], str]) -> None:
    """Feed the stores; returns when one of the watches cannot go on.

    Args:
        api: Is asked.
        positions: For each store the ``resourceVersion`` of the list that it is from.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            for store, position in positions.items():
                tasks.create_task(_follow(api, store, position))
    except* (ApiError, _EndedError) as errors:
        logger.info("what changes is heard of by the next list: %s", errors.exceptions[0])
    except* Exception:
        logger.exception("the watches at the start: a defect; the next list hears of what changes")


class _EndedError(Exception):
    """The API server has ended a watch, as it does after some minutes."""


async def _follow(api: ApiClient, store: ObjectStore[Any], position: str) -> None:
    path = RESOURCES[store.type].collection()
    async with contextlib.aclosing(api.watch(path, resource_version=position)) as events:
        async for event, body in events:
            store.told(event, body)
    raise _EndedError(f"the watch of {path} has ended")


@dataclass(frozen=True)
class Handover:
    """From our own watches to kopf's.

    Attributes:
        ours: Our own watches; until cancelled, or until they cannot go on.
        is_worked_off: Whether what was found at the start has been looked at.
        kopf: kopf's watches; for ever.
        has_listed: Whether kopf has told of everything that there is.
        sweep: Lists everything, and takes note of what is gone: kopf does not tell of that.
    """

    ours: Callable[[], Coroutine[Any, Any, None]]
    is_worked_off: Callable[[], bool]
    kopf: Callable[[], Coroutine[Any, Any, None]]
    has_listed: Callable[[], bool]
    sweep: Callable[[], Awaitable[object]]

    async def run(self) -> None:
        """Watch until cancelled."""
        async with contextlib.AsyncExitStack() as at_first:
            ours = await at_first.enter_async_context(running(self.ours(), "watches of our own"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ALONE_SECONDS):
                    await _until(lambda: ours.done() or self.is_worked_off())
            async with running(self.kopf(), "kopf's watches") as kopf:
                await _until(lambda: kopf.done() or self.has_listed())
                has_missed = ours.done()
                await at_first.aclose()
                if has_missed:
                    await self.sweep()
                await kopf


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - no event tells of it
        await asyncio.sleep(_LOOK_SECONDS)
