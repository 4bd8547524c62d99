"""Durations in Go's spelling, as Kubernetes objects write them (``1h30m``), and back."""

import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache

# Go's time.ParseDuration; microseconds by either of the two signs that look like a Greek mu.
_MICROSECONDS = {
    "ns": Fraction(1, 1000),
    "us": Fraction(1),
    "µs": Fraction(1),
    "μs": Fraction(1),
    "ms": Fraction(1000),
    "s": Fraction(1_000_000),
    "m": Fraction(60_000_000),
    "h": Fraction(3_600_000_000),
}
_TERM = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
# Go keeps a duration in 64 signed bits of nanoseconds: about 292 years.
_LONGEST = timedelta(microseconds=(2**63 - 1) // 1000)


_PERCENTAGE = re.compile(r"([1-9][0-9]?)%")


class DurationError(ValueError):
    """A text that is not a duration, or one that nothing here can wait for."""


@lru_cache(maxsize=256)
def parse_duration(text: str) -> timedelta:
    """Read a duration as Go's ``time.ParseDuration`` does.

    Args:
        text: One or more decimal numbers, each with a unit: ``24h``, ``1h30m``, ``1.5h``, ``45s``, ``500ms``; or ``0``.

    Returns:
        The duration, zero or longer, exact to the microsecond.

    Raises:
        DurationError: For anything else: negative ones, days, more than 292 years, fractions of a microsecond.
    """
    if text == "0":
        return timedelta(0)
    terms = _TERM.findall(text)
    if not terms or "".join(number + unit for number, unit in terms) != text:
        raise DurationError(
            f"duration {text!r} is not understood; write numbers with the units h, m and s, such as 24h, 1h30m or 45s"
        )
    microseconds = sum(Fraction(number.rstrip(".")) * _MICROSECONDS[unit] for number, unit in terms)
    if microseconds.denominator != 1:
        raise DurationError(f"duration {text!r} is finer than a microsecond; write whole seconds")
    if microseconds > _LONGEST // timedelta(microseconds=1):
        raise DurationError(f"duration {text!r} is longer than Kubernetes can hold; write at most 2562047h")
    return timedelta(microseconds=int(microseconds))


def parse_renew_before(text: str) -> timedelta | Fraction:
    """Read how long before its end something is renewed.

    Args:
        text: A duration, as for :func:`parse_duration`, or a whole percentage of the lifetime: ``1%`` to ``99%``.

    Returns:
        The duration; or the share of the lifetime, more than 0 and less than 1.

    Raises:
        DurationError: It is neither.
    """
    percentage = _PERCENTAGE.fullmatch(text)
    return Fraction(int(percentage[1]), 100) if percentage else parse_duration(text)


def spell_duration(duration: timedelta) -> str:
    """The shortest spelling in hours, minutes and seconds: ``24h``, ``1h30m``, ``0.5s``.

    Args:
        duration: Zero or longer.

    Raises:
        DurationError: For a negative duration.
    """
    if duration < timedelta(0):
        raise DurationError(f"duration {duration} is negative; nothing can be waited for that long")
    seconds, microseconds = divmod(duration // timedelta(microseconds=1), 1_000_000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    fraction = f".{microseconds:06d}".rstrip("0") if microseconds else ""
    terms = (f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds}{fraction}s")
    return "".join(terms[:2]) + (terms[2] if seconds or fraction or not (hours or minutes) else "")
