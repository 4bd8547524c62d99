"""One heap of due times for all objects, instead of a timer for each: 10,000 waiting objects cost next to nothing."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime

from mintls.controllers.keys import Key

type Clock = Callable[[], datetime]

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is read again: it may have jumped, or the machine may have slept."""

_SLACK = 100  # entries of earlier settings that are not worth tidying up


class Scheduler:
    """Calls ``due`` with each key when its time has come. A key has one time, the latest that was set."""

    def __init__(self, due: Callable[[Key], None], clock: Clock) -> None:
        """Prepare.

        Args:
            due: Called in the event loop; has to be quick.
            clock: The time, aware UTC.
        """
        self._due = due
        self._clock = clock
        # By POSIX timestamps: a number takes half of the memory that a datetime does.
        self._heap: list[tuple[float, Key]] = []
        self._times: dict[Key, float] = {}
        self._changed = asyncio.Event()

    def set(self, key: Key, when: datetime | None) -> None:
        """Set the key's time, or take it away."""
        if when is None:
            self._times.pop(key, None)
            return
        due = when.timestamp()
        if self._times.get(key) == due:
            return
        self._times[key] = due
        heapq.heappush(self._heap, (due, key))
        if len(self._heap) > 2 * len(self._times) + _SLACK:
            self._tidy_up()
        if self._heap[0][1] == key:
            self._changed.set()

    def _tidy_up(self) -> None:
        """Forget earlier settings, which else stay until their time has come."""
        self._heap = [(due, key) for key, due in self._times.items()]
        heapq.heapify(self._heap)

    def __len__(self) -> int:
        """How many keys have a time."""
        return len(self._times)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._changed.clear()
            wait = self._call_due()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _call_due(self) -> float:
        """Call what is due.

        Returns:
            Seconds to the next one, ``LONGEST_SLEEP`` at most.
        """
        while self._heap:
            due, key = self._heap[0]
            if self._times.get(key) != due:
                heapq.heappop(self._heap)  # an earlier setting of the key
                continue
            wait = due - self._clock().timestamp()
            if wait > 0:
                return min(wait, LONGEST_SLEEP)
            heapq.heappop(self._heap)
            del self._times[key]
            self._due(key)
        return LONGEST_SLEEP
