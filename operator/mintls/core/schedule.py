"""When: renewal and retry times. Jitter is a hash of the object's uid, so computing again gives the same answer."""

import hashlib
from datetime import datetime, timedelta
from fractions import Fraction

# A third of the lifetime leaves room for two more attempts of the same length before the end.
_DEFAULT_SHARE = 3
# At most a tenth of the wait is spread: enough that objects made at one moment do not renew at one moment.
_JITTER_SHARE = 10
# A retry may come up to a quarter sooner; less than half, so that waits still grow from failure to failure.
_BACKOFF_JITTER_SHARE = 4
_SECOND = timedelta(seconds=1)
_ZERO = timedelta(0)


def jitter(uid: str, spread: timedelta) -> timedelta:
    """A share of ``spread`` that belongs to an object for ever.

    Args:
        uid: The object's ``metadata.uid``.
        spread: Zero or longer.

    Returns:
        From zero up to, not including, ``spread``; zero if that is zero.
    """
    share = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8])
    microseconds = spread // timedelta(microseconds=1)
    return timedelta(microseconds=(microseconds * share) >> 64)


def renewal_time(
    not_before: datetime,
    not_after: datetime,
    renew_before: timedelta | Fraction | None,
    uid: str,
    *,
    backdate: timedelta = _ZERO,
) -> datetime:
    """When a certificate is due for renewal.

    Args:
        not_before: Its notBefore, aware UTC.
        not_after: Its notAfter, aware UTC, later than ``not_before``.
        renew_before: How long before its end, as a time or a share of its lifetime; None for a third of it. One that is
            not shorter than the lifetime would mean to renew for ever, and counts as None, too.
        uid: Of the object that wants the certificate, for the jitter.
        backdate: By how much ``not_before`` lies before the issuing. That time was never lived, so it is no part of the
            lifetime here; one that is not shorter than the validity is ignored.

    Returns:
        Whole seconds, aware UTC; after the issuing (not before it, for lifetimes of seconds) and before the end. The
        jitter makes it earlier, never later, by a tenth of ``renew_before`` at most.
    """
    issued = not_before + backdate if backdate < not_after - not_before else not_before
    lifetime = not_after - issued
    window = _window(renew_before, lifetime)
    # A window of nearly the whole lifetime leaves little before it: the jitter must not eat that up either.
    spread = min(window, lifetime - window) / _JITTER_SHARE
    due = not_after - window - jitter(uid, spread)
    return max(due.replace(microsecond=0), not_before)


def _window(renew_before: timedelta | Fraction | None, lifetime: timedelta) -> timedelta:
    if isinstance(renew_before, Fraction):
        renew_before = lifetime * renew_before.numerator / renew_before.denominator
    return renew_before if renew_before is not None and _ZERO < renew_before < lifetime else lifetime / _DEFAULT_SHARE


def backoff(
    failures: int,
    uid: str,
    first: timedelta = _SECOND,
    ceiling: timedelta = timedelta(minutes=10),
) -> timedelta:
    """How long to wait after a failure: doubling, with a ceiling.

    Args:
        failures: How many in a row so far; zero or fewer is no wait.
        uid: Of the object, for the jitter.
        first: The wait after the first failure, longer than zero.
        ceiling: No wait is longer.

    Returns:
        Up to a quarter less than the exact wait, the same quarter's share for each failure of one object, so that waits
        grow, and objects that failed together do not come back together.
    """
    if failures <= 0:
        return _ZERO
    # Doubled no further than just beyond the ceiling: a long row of failures would overflow a timedelta.
    doublings = min(failures - 1, (ceiling // first).bit_length())
    exact = min(ceiling, first * (1 << doublings))
    return exact - jitter(uid, exact / _BACKOFF_JITTER_SHARE)
