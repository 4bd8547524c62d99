"""How many requests a caller may make: a bucket that fills at a steady rate (RFC 6585 section 4 is what is answered).

The whole state of a caller is the time at which its bucket will be full again: who is forgotten has a full one.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """What is allowed.

    Attributes:
        per_second: Requests a second that can go on for ever; above 0.
        burst: Requests at once by a caller that was silent before; at least 1.
    """

    per_second: float
    burst: int


def take(full_at: float, rate: Rate, now: float) -> tuple[float, float]:
    """Make a request.

    Args:
        full_at: When the caller's bucket will be full again, in seconds; 0 for a caller that nobody knows.
        rate: What is allowed.
        now: Seconds, of the same clock.

    Returns:
        When the bucket will be full after it; and how many seconds the caller has to wait, 0 if the request may be
        answered. A refused one takes nothing out.
    """
    whole = rate.burst / rate.per_second
    # Never further away than an empty bucket is: a clock that was set back must not lock anybody out.
    at = min(max(full_at, now), now + whole)
    after = at + 1 / rate.per_second
    wait = after - now - whole
    # What floating point makes of nothing is nothing.
    return (at, wait) if wait > 1e-6 else (after, 0.0)
