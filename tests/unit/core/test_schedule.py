"""Renewal and retry times: examples a person can check, and properties for every lifetime."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.schedule import backoff, jitter, renewal_time

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
UID = "3d6f3a0e-8f0b-4d06-9a51-0c6b5a1f9b77"

_uids = st.uuids().map(str)
_lifetimes = st.integers(2, 20 * 365 * 86400).map(lambda seconds: timedelta(seconds=seconds))


def _before_end(lifetime: timedelta, renew_before: timedelta | None = None, uid: str = UID) -> timedelta:
    return START + lifetime - renewal_time(START, START + lifetime, renew_before, uid)


# Jitter


def test_an_objects_jitter_is_always_the_same() -> None:
    # Computed apart: int(sha256(UID)[:16], 16) / 2**64 * 3600 s. A change of it moves every renewal there is.
    assert jitter(UID, HOUR) == jitter(UID, HOUR)
    assert str(jitter(UID, HOUR)) == "0:53:44.373399"


@given(_uids, st.timedeltas(timedelta(0), 999 * DAY))
def test_jitter_is_from_zero_up_to_the_spread(uid: str, spread: timedelta) -> None:
    assert timedelta(0) <= jitter(uid, spread) < max(spread, timedelta(microseconds=1))


def test_jitter_spreads_objects_evenly() -> None:
    quarters = [int(jitter(f"uid-{number}", HOUR) / (HOUR / 4)) for number in range(1000)]
    assert all(200 < quarters.count(quarter) < 300 for quarter in range(4))


# Renewal


def test_by_default_a_certificate_is_renewed_a_third_of_its_life_before_the_end() -> None:
    assert 8 * HOUR <= _before_end(DAY) <= 8 * HOUR + 48 * MINUTE + SECOND


def test_the_wanted_time_before_the_end_is_kept() -> None:
    assert HOUR <= _before_end(DAY, HOUR) <= HOUR + 6 * MINUTE + SECOND


@pytest.mark.parametrize("percent", [1, 33, 50, 99])
def test_a_share_is_of_the_lifetime_that_the_certificate_has(percent: int) -> None:
    for lifetime in (DAY, HOUR):
        exact = renewal_time(START, START + lifetime, lifetime * percent / 100, UID)
        assert renewal_time(START, START + lifetime, Fraction(percent, 100), UID) == exact
        backdated = renewal_time(START - HOUR, START + lifetime, Fraction(percent, 100), UID, backdate=HOUR)
        assert backdated == exact


@pytest.mark.parametrize("renew_before", [DAY, 2 * DAY, timedelta(0), -HOUR])
def test_a_renewal_that_would_never_end_falls_back_to_a_third(renew_before: timedelta) -> None:
    assert _before_end(DAY, renew_before) == _before_end(DAY)


def test_a_shorter_life_than_wanted_is_what_counts() -> None:
    # A leaf that its CA cut short to an hour, of which two were to be left.
    assert _before_end(HOUR, 2 * HOUR) == _before_end(HOUR)


def test_time_before_the_issuing_is_no_lifetime() -> None:
    end = START + DAY
    backdated = START - HOUR
    # Of 25 hours 24 are lived: to renew 24 hours before the end would mean at once, and again, and again.
    assert renewal_time(backdated, end, DAY, UID) < START
    assert renewal_time(backdated, end, DAY, UID, backdate=HOUR) == renewal_time(START, end, None, UID)
    assert renewal_time(backdated, end, None, UID, backdate=HOUR) == renewal_time(START, end, None, UID)


def test_a_backdate_longer_than_the_validity_is_ignored() -> None:
    assert renewal_time(START, START + HOUR, None, UID, backdate=DAY) == renewal_time(START, START + HOUR, None, UID)


def test_objects_made_together_are_not_renewed_together() -> None:
    times = {renewal_time(START, START + DAY, None, f"uid-{number}") for number in range(1000)}
    assert len(times) > 800


@given(_lifetimes, st.none() | st.timedeltas(-DAY, 20 * 365 * DAY), _uids)
def test_a_renewal_is_due_within_the_lifetime_on_a_whole_second(
    lifetime: timedelta, renew_before: timedelta | None, uid: str
) -> None:
    due = renewal_time(START, START + lifetime, renew_before, uid)
    assert START <= due < START + lifetime
    assert due.microsecond == 0
    assert due.tzinfo is UTC
    assert due == renewal_time(START, START + lifetime, renew_before, uid)


@given(_lifetimes, st.timedeltas(SECOND, 20 * 365 * DAY), _uids)
def test_jitter_makes_a_renewal_earlier_by_a_tenth_at_most_and_never_later(
    lifetime: timedelta, renew_before: timedelta, uid: str
) -> None:
    window = renew_before if renew_before < lifetime else lifetime / 3
    before_end = _before_end(lifetime, renew_before, uid)
    assert window <= before_end <= window + window / 10 + SECOND


@given(st.integers(100, 20 * 365 * 86400), st.floats(0.01, 0.99), _uids)
def test_a_renewed_certificate_is_not_due_again_at_once(seconds: int, share: float, uid: str) -> None:
    lifetime = timedelta(seconds=seconds)
    due = renewal_time(START, START + lifetime, lifetime * share, uid)
    assert due - START >= (lifetime - lifetime * share) * 0.9 - SECOND


# Retries


def test_waits_double_up_to_the_ceiling() -> None:
    exact = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    waits = [backoff(failures, UID) / SECOND for failures in range(1, 13)]
    assert all(0.75 * wanted < wait <= wanted for wait, wanted in zip(waits, exact, strict=True))


@pytest.mark.parametrize("failures", [0, -1])
def test_without_a_failure_there_is_no_wait(failures: int) -> None:
    assert backoff(failures, UID) == timedelta(0)


@given(st.integers(1, 10**9), _uids, st.timedeltas(SECOND / 10, DAY), st.timedeltas(SECOND, 99 * 365 * DAY))
def test_waits_never_shrink_nor_exceed_the_ceiling(
    failures: int, uid: str, first: timedelta, ceiling: timedelta
) -> None:
    wait = backoff(failures, uid, first, ceiling)
    assert timedelta(0) < wait <= ceiling
    assert wait <= backoff(failures + 1, uid, first, ceiling)
    assert wait == backoff(failures, uid, first, ceiling)


def test_objects_that_failed_together_do_not_come_back_together() -> None:
    assert len({backoff(10, f"uid-{number}") for number in range(1000)}) > 990
