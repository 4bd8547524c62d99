"""What is known of a JWK Set elsewhere, and when it is fetched again: pure bookkeeping over times and outcomes."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mintls.core.oauth.client_keys import ClientKeys

STALE_FOR = timedelta(hours=6)
"""How long the last keys count while their source is away, from when they were fetched: long enough for an outage,
short enough that keeping us from the source does not keep a key alive that was taken out there."""
ON_DEMAND = timedelta(seconds=30)
"""Fetches because of an unknown certificate or key are at least so far apart: anybody can present one."""
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=5), timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Got:
    """The document came.

    Attributes:
        keys: What is in it.
        etag: Its ``ETag``, "" for none.
        fresh_for: How long it is fresh.
    """

    keys: ClientKeys
    etag: str
    fresh_for: timedelta


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The document is still the one that is known (304 of RFC 9110 section 15.4.5)."""

    fresh_for: timedelta


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not come, or is of no use; ``problem`` says why, in words for the client's owner."""

    problem: str


type Outcome = Got | Unchanged | Failed


@dataclass(frozen=True, slots=True)
class KeyCache:
    """What is known of one JWK Set.

    Attributes:
        keys: What was in it last; ``None`` before it came for the first time.
        etag: Its ``ETag``, "" for none.
        due: When it is fetched next by itself.
        attempted: When it was fetched last, with or without success; ``None`` for never.
        failures: How often in a row it did not come.
        problem: Why it did not come the last time; "" if it did.
    """

    due: datetime
    keys: ClientKeys | None = None
    etag: str = ""
    attempted: datetime | None = None
    failures: int = 0
    problem: str = ""

    def may_be_asked(self, now: datetime) -> bool:
        """Whether it may be fetched now because somebody presents what is not in it."""
        return self.attempted is None or now >= self.attempted + ON_DEMAND

    def after(self, outcome: Outcome, now: datetime) -> "KeyCache":
        """What is known after a fetch.

        Args:
            outcome: What came of it.
            now: When it ended (aware UTC).
        """
        match outcome:
            case Got(keys, etag, fresh_for):
                return KeyCache(now + fresh_for, replace(keys, usable_until=now + STALE_FOR), etag, now)
            case Unchanged(fresh_for):
                known = replace(self.keys, usable_until=now + STALE_FOR) if self.keys else None
                return KeyCache(now + fresh_for, known, self.etag, now)
            case Failed(problem):
                wait = min(_FIRST_WAIT * 2 ** min(self.failures, 16), _LONGEST_WAIT)
                return replace(self, due=now + wait, attempted=now, failures=self.failures + 1, problem=problem)
