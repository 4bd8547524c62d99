"""Proofs that this replica has seen lately at a resource, in memory: there are as many as requests."""

from collections import OrderedDict
from datetime import datetime

from mintls.core.oauth.errors import Reason, TemporarilyUnavailable
from mintls.core.oauth.spent import Spent

_REMEMBERED = 262_144


class Replays:
    """Each proof once, as long as it could be used. What is full takes no more: it forgets none that is still good."""

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._expires: OrderedDict[str, datetime] = OrderedDict()

    def first(self, spent: Spent, now: datetime) -> bool:
        """Whether it was not seen before; it is from now on.

        Raises:
            TemporarilyUnavailable: There are too many.
        """
        while self._expires and next(iter(self._expires.values())) <= now:
            self._expires.popitem(last=False)
        if spent.name in self._expires:
            return False
        if len(self._expires) >= self._size:
            raise TemporarilyUnavailable(Reason.TOO_MANY_REQUESTS)
        self._expires[spent.name] = spent.expires
        return True
