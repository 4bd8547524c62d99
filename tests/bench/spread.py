"""Whether what is due comes evenly."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

_SECONDS = 60


def fullest_minute(times: Iterable[datetime]) -> int:
    """How many of at least one of them are in the minute, by the clock, that has the most."""
    return max(Counter(int(one.timestamp()) // _SECONDS for one in times).values())
