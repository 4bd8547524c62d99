"""Whether the API server answers at all, and who waits until it does again.

Waits that grow are right towards a server that answers with errors. One that was away has to be asked as soon as it is
back: the first request of anybody in this process that is answered tells all others.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

OUTAGE_SECONDS = 1.0
"""So long nobody had an answer, or it was no outage: a request that always fails would be made again without end."""


class Reachability:
    """Told of each request whether there was an answer; belongs to one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; ``clock`` gives seconds of a monotonic clock."""
        self._clock = clock
        self._away_since: float | None = None
        self._back = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []

    @property
    def away(self) -> bool:
        """Whether the last request had no answer."""
        return self._away_since is not None

    def on_back(self, listener: Callable[[], None]) -> None:
        """Call it each time that there is an answer after an outage; it has to be quick."""
        self._listeners.append(listener)

    def answered(self) -> None:
        """There was an answer, be it an error."""
        since, self._away_since = self._away_since, None
        if since is None or self._clock() - since < OUTAGE_SECONDS:
            return
        self._back.set()
        self._back = asyncio.Event()
        for listener in self._listeners:
            listener()

    def failed(self) -> None:
        """There was none."""
        if self._away_since is None:
            self._away_since = self._clock()

    async def pause(self, seconds: float) -> None:
        """Sleep, but no longer than until the API server is back after an outage."""
        back = self._back
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await back.wait()
