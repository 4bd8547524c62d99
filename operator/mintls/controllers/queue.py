"""A queue of keys: each at most once, never worked on twice at the same time, in two lanes."""

import asyncio
from collections import OrderedDict
from enum import IntEnum

from mintls.controllers.keys import Key

FAIRNESS = 8
"""Every so many picks one comes from the slow lane first, so that a burst of new objects cannot starve renewals."""


class Lane(IntEnum):
    """Where a key waits."""

    URGENT = 0
    """Somebody changed something and waits for it."""
    RENEWAL = 1
    """It is time, and nobody waits: renewals, and everything at start."""


class ReconcileQueue:
    """Level-triggered: a key says that something may have changed, never what.

    A key that is added while it is worked on comes again afterwards. The number of keys is bounded by the number of
    objects.
    """

    def __init__(self) -> None:
        self._lanes: tuple[OrderedDict[Key, None], OrderedDict[Key, None]] = (OrderedDict(), OrderedDict())
        self._active: dict[Key, Lane | None] = {}
        self._available = asyncio.Event()
        self._picks = 0

    def add(self, key: Key, lane: Lane = Lane.URGENT) -> None:
        """Ask for a look at the object; in the faster of the lanes that it was asked for."""
        if key in self._active:
            before = self._active[key]
            self._active[key] = lane if before is None else min(before, lane)
            return
        if lane == Lane.URGENT:
            self._lanes[Lane.RENEWAL].pop(key, None)
        elif key in self._lanes[Lane.URGENT]:
            return
        self._lanes[lane].setdefault(key)
        self._available.set()

    async def take(self) -> Key:
        """Wait for a key; ``done`` has to follow."""
        while True:
            key = self._pick()
            if key is not None:
                self._active[key] = None
                return key
            self._available.clear()
            await self._available.wait()

    def done(self, key: Key) -> None:
        """The work on it has ended; it comes again if it was asked for meanwhile."""
        lane = self._active.pop(key)
        if lane is not None:
            self.add(key, lane)

    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return not self._active and not any(self._lanes)

    def depth(self, lane: Lane) -> int:
        """How many keys wait in the lane."""
        return len(self._lanes[lane])

    def _pick(self) -> Key | None:
        self._picks += 1
        lanes = self._lanes[::-1] if self._picks % FAIRNESS == 0 else self._lanes
        for lane in lanes:
            if lane:
                return lane.popitem(last=False)[0]
        return None
