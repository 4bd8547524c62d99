"""A queue of keys: each at most once, never worked on twice at the same time, in two lanes."""

import asyncio
import heapq
from collections import OrderedDict
from datetime import datetime
from enum import IntEnum
from itertools import count

from mintls.controllers.keys import Key

FAIRNESS = 8
"""Every so many picks one comes from the slow lane first, so that a burst of new objects cannot starve renewals."""


type _Place = tuple[float, int]
"""When what an object has ends, and which of those that end then was first."""


class Lane(IntEnum):
    """Where a key waits."""

    URGENT = 0
    """Somebody changed something and waits for it."""
    RENEWAL = 1
    """It is time, and nobody waits: renewals, and everything at start."""


class _Turns:
    """Keys in the order in which they came, but one namespace after the other.

    Ten thousand new objects of one of them are no reason for somebody else to wait. What belongs to no namespace has
    turns of its own.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return key in self._waiting.get(key.namespace, ())

    def add(self, key: Key) -> None:
        if key not in self:
            self._waiting.setdefault(key.namespace, OrderedDict())[key] = None
            self._count += 1

    def pop(self) -> Key:
        namespace, keys = self._waiting.popitem(last=False)
        key, _ = keys.popitem(last=False)
        if keys:
            self._waiting[namespace] = keys
        self._count -= 1
        return key


class ReconcileQueue:
    """Level-triggered: a key says that something may have changed, never what.

    A key that is added while it is worked on comes again afterwards. The number of keys is bounded by the number of
    objects. The urgent lane is first come, first served, and a namespace at a time; in the other one who has the least
    time left comes first.
    """

    def __init__(self) -> None:
        self._urgent = _Turns()
        self._renewals: dict[Key, _Place] = {}
        self._heap: list[tuple[_Place, Key]] = []
        self._active: dict[Key, tuple[Lane, float] | None] = {}
        self._available = asyncio.Event()
        self._order = count()
        self._picks = 0

    def add(self, key: Key, lane: Lane = Lane.URGENT, ends: datetime | None = None) -> None:
        """Ask for a look at the object; in the faster of the lanes that it was asked for.

        Args:
            key: Of the object.
            lane: Where it waits.
            ends: Until when what it has is good; ``None`` for what does not end, or has nothing: that comes first.
        """
        self._add(key, lane, ends.timestamp() if ends else float("-inf"))

    def _add(self, key: Key, lane: Lane, ends: float) -> None:
        if key in self._active:
            before = self._active[key]
            self._active[key] = (lane, ends) if before is None else min(before, (lane, ends))
            return
        if lane == Lane.URGENT:
            self._renewals.pop(key, None)
            self._urgent.add(key)
        elif key in self._urgent:
            return
        elif key not in self._renewals or ends < self._renewals[key][0]:
            place = self._renewals[key] = (ends, next(self._order))
            heapq.heappush(self._heap, (place, key))
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
        asked = self._active.pop(key)
        if asked is not None:
            self._add(key, *asked)

    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return not (self._active or self._urgent or self._renewals)

    def depth(self, lane: Lane) -> int:
        """How many keys wait in the lane."""
        return len(self._urgent if lane == Lane.URGENT else self._renewals)

    def _pick(self) -> Key | None:
        self._picks += 1
        if self._urgent and (self._picks % FAIRNESS or not self._renewals):
            return self._urgent.pop()
        return self._pick_renewal()

    def _pick_renewal(self) -> Key | None:
        while self._heap:
            place, key = heapq.heappop(self._heap)
            if self._renewals.get(key) == place:  # else it has another place since, or is in the faster lane
                del self._renewals[key]
                return key
        self._renewals.clear()  # it is empty, and as large as it was at the start, when everything was in it
        return None
