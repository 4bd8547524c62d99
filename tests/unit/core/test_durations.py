"""Durations as Go spells them: a table from Go's documentation and habits, and the way back."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.durations import DurationError, parse_duration, parse_renew_before, spell_duration

READ = [
    ("0", timedelta(0)),
    ("0s", timedelta(0)),
    ("24h", timedelta(days=1)),
    ("8760h", timedelta(days=365)),
    ("1h30m", timedelta(minutes=90)),
    ("90m", timedelta(minutes=90)),
    ("1h0m0s", timedelta(hours=1)),
    ("45s", timedelta(seconds=45)),
    ("1.5h", timedelta(minutes=90)),
    (".5s", timedelta(milliseconds=500)),
    ("1.s", timedelta(seconds=1)),
    ("500ms", timedelta(milliseconds=500)),
    ("7us", timedelta(microseconds=7)),
    ("7\N{MICRO SIGN}s", timedelta(microseconds=7)),
    ("7\N{GREEK SMALL LETTER MU}s", timedelta(microseconds=7)),
    ("3000ns", timedelta(microseconds=3)),
    ("30m1h", timedelta(minutes=90)),
    ("1m1m", timedelta(minutes=2)),
    ("0.1s", timedelta(milliseconds=100)),
]
REFUSED = [
    ("", "24h, 1h30m or 45s"),
    ("24", "24h, 1h30m or 45s"),
    ("1d", "24h, 1h30m or 45s"),
    ("1 h", "24h, 1h30m or 45s"),
    ("1h ", "24h, 1h30m or 45s"),
    ("1h\n", "24h, 1h30m or 45s"),
    ("-1h", "24h, 1h30m or 45s"),
    ("+1h", "24h, 1h30m or 45s"),
    ("h", "24h, 1h30m or 45s"),
    (".h", "24h, 1h30m or 45s"),
    ("1H", "24h, 1h30m or 45s"),
    ("1,5h", "24h, 1h30m or 45s"),
    ("1e3s", "24h, 1h30m or 45s"),
    ("P1D", "24h, 1h30m or 45s"),
    ("\N{ARABIC-INDIC DIGIT ONE}h", "24h, 1h30m or 45s"),
    ("1ns", "finer than a microsecond"),
    ("2562048h", "at most 2562047h"),
    ("9" * 400 + "h", "at most 2562047h"),
]


@pytest.mark.parametrize(("text", "duration"), READ)
def test_what_go_reads_is_read(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize(("text", "told"), REFUSED)
def test_anything_else_is_refused_and_told_what_is_right(text: str, told: str) -> None:
    with pytest.raises(DurationError, match=told) as caught:
        parse_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(days=1), "24h"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(hours=1, seconds=5), "1h5s"),
        (timedelta(seconds=61), "1m1s"),
        (timedelta(milliseconds=500), "0.5s"),
        (timedelta(microseconds=60_000_001), "1m0.000001s"),
    ],
)
def test_the_shortest_spelling_is_written(duration: timedelta, text: str) -> None:
    assert spell_duration(duration) == text


def test_a_negative_duration_has_no_spelling() -> None:
    with pytest.raises(DurationError, match="negative"):
        spell_duration(timedelta(seconds=-1))


_durations = st.timedeltas(timedelta(0), timedelta(hours=2_562_047))


@given(_durations)
def test_a_duration_survives_its_spelling(duration: timedelta) -> None:
    assert parse_duration(spell_duration(duration)) == duration


@given(st.integers(0, 9999), st.integers(0, 9999), st.integers(0, 9999))
def test_the_terms_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{hours}h{minutes}m{seconds}s") == expected
    assert parse_duration(f"{seconds}s{hours}h{minutes}m") == expected


@given(st.text("0123456789.hms -+ndu", max_size=12))
def test_any_text_is_a_duration_or_refused_as_one(text: str) -> None:
    try:
        duration = parse_duration(text)
    except DurationError:
        return
    assert duration >= timedelta(0)


@pytest.mark.parametrize(
    ("text", "read"),
    [("33%", Fraction(33, 100)), ("1%", Fraction(1, 100)), ("99%", Fraction(99, 100)), ("90m", timedelta(minutes=90))],
)
def test_what_is_renewed_before_its_end_is_a_duration_or_a_share(text: str, read: timedelta | Fraction) -> None:
    assert parse_renew_before(text) == read


@pytest.mark.parametrize("text", ["", "0%", "100%", "033%", "33.3%", "33 %", "33", "%", "-1%", "1h1%", "٣%"])
def test_and_nothing_else(text: str) -> None:
    with pytest.raises(DurationError):
        parse_renew_before(text)
