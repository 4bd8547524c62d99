"""Buckets: what a caller gets through, whatever it tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.oauth.rate_limit import Rate, take

RATES = st.builds(Rate, st.floats(0.01, 10_000), st.integers(1, 1_000))


def answered(rate: Rate, times: list[float]) -> list[bool]:
    full_at, answers = 0.0, []
    for now in times:
        full_at, wait = take(full_at, rate, now)
        answers.append(wait == 0)
    return answers


def test_a_burst_at_once_and_then_the_rate() -> None:
    at_once = answered(Rate(2, 3), [100.0] * 5)
    assert at_once == [True, True, True, False, False]
    assert answered(Rate(2, 3), [100.0] * 3 + [100.4, 100.5, 100.6, 101.0]) == [True] * 3 + [False, True, False, True]


def test_how_long_to_wait_is_long_enough_and_no_longer() -> None:
    full_at, wait = take(take(0.0, Rate(0.5, 1), 100.0)[0], Rate(0.5, 1), 100.5)
    assert wait == pytest.approx(1.5)
    assert take(full_at, Rate(0.5, 1), 100.5 + wait - 0.01)[1] > 0
    assert take(full_at, Rate(0.5, 1), 100.5 + wait)[1] == 0


@given(RATES, st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_the_burst_and_what_came_meanwhile(rate: Rate, steps: list[float]) -> None:
    times = [1e9]
    for step in steps:
        times.append(times[-1] + step)
    let_through = sum(answered(rate, times))
    assert let_through <= rate.burst + (times[-1] - times[0]) * rate.per_second + 1


@given(RATES, st.floats(1e9, 2e9), st.floats(0, 1e9))
def test_a_clock_that_is_set_back_locks_nobody_out(rate: Rate, before: float, back: float) -> None:
    full_at, _ = take(0.0, rate, before)
    _, wait = take(full_at, rate, before - back)
    assert wait <= 1 / rate.per_second + 1e-3
