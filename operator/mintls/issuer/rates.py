"""How fast each caller is, in this replica: a time for each client, and one for each address."""

from datetime import datetime
from math import ceil

from mintls.core.oauth.errors import Reason, TemporarilyUnavailable
from mintls.core.oauth.rate_limit import Rate, take
from mintls.issuer.recent import Recent

_REMEMBERED = 65_536


class Limiter:
    """Callers of one kind. Whoever was not seen for the longest is forgotten first, and may begin anew.

    Args:
        rate: What each may do; ``None`` for anything.
    """

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._full_at: Recent[str, float] = Recent(_REMEMBERED)

    def take(self, caller: str, now: datetime) -> None:
        """Count a request.

        Raises:
            TemporarilyUnavailable: It is one too many; it says when to come back.
        """
        if self._rate is None:
            return
        full_at, wait = take(self._full_at.get(caller) or 0.0, self._rate, now.timestamp())
        self._full_at.put(caller, full_at)
        if wait:
            raise TemporarilyUnavailable(Reason.TOO_MANY_REQUESTS, retry_after=ceil(wait))
