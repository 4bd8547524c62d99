"""The issuer's signing keys over months: always exactly one signs, known long before, and gone only when it may be."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.objects import after
from builders.pki import DAY, HOUR, NOW
from mintls.core.oauth.signing_keys import SigningKey, published_keys, signing_key
from mintls.reconcile.signingkeys import (
    GRACE,
    LONGEST_TOKEN,
    PUBLISHED_AHEAD,
    SIGNS_FOR,
    Change,
    Keep,
    decide,
)

ONE_KEY = ec.generate_private_key(ec.SECP256R1())


def key(kid: str, sign_from: datetime, retire_at: datetime | None = None, created_at: datetime = NOW) -> SigningKey:
    return SigningKey(kid, "ES256", ONE_KEY, created_at, sign_from, retire_at)


def carry_out(change: Change, now: datetime) -> tuple[SigningKey, ...]:
    if change.sign_from is None:
        return change.keys
    made = key(f"k-{change.sign_from:%Y%m%d%H%M%S}", change.sign_from, created_at=now.replace(microsecond=0))
    return (*change.keys, made)


class TestTheFirstKey:
    def test_signs_at_once_because_nobody_can_know_an_earlier_one(self) -> None:
        assert decide((), NOW) == Change((), NOW)

    def test_is_kept_until_its_successor_has_to_be_published(self) -> None:
        assert decide((key("a", NOW),), NOW) == Keep(NOW + SIGNS_FOR - PUBLISHED_AHEAD)


class TestAnotherAlgorithm:
    def test_is_published_a_day_before_it_signs_like_any_successor(self) -> None:
        change = decide((key("a", NOW),), NOW + DAY, "PS256")
        takes_over = NOW + DAY + PUBLISHED_AHEAD
        assert change == Change((key("a", NOW, takes_over + LONGEST_TOKEN + GRACE),), takes_over)

    def test_comes_after_a_key_that_does_not_sign_yet(self) -> None:
        change = decide((key("a", NOW), key("b", NOW + 30 * DAY)), NOW, "ES384")
        assert isinstance(change, Change)
        assert change.sign_from is not None
        assert change.sign_from > NOW + 30 * DAY

    def test_is_made_once(self) -> None:
        made = SigningKey("b", "PS256", ONE_KEY, NOW, NOW + PUBLISHED_AHEAD)
        assert isinstance(decide((key("a", NOW), made), NOW, "PS256"), Keep)


class TestTheSuccessor:
    due = NOW + SIGNS_FOR - PUBLISHED_AHEAD

    def test_is_not_made_a_second_too_early(self) -> None:
        assert decide((key("a", NOW),), self.due - timedelta(seconds=1)) == Keep(self.due)

    def test_is_made_a_day_before_it_signs_and_sets_an_end_to_the_present_one(self) -> None:
        change = decide((key("a", NOW),), self.due)
        takes_over = NOW + SIGNS_FOR
        assert change == Change((key("a", NOW, takes_over + LONGEST_TOKEN + GRACE),), takes_over)

    def test_is_published_as_long_also_when_the_operator_was_away(self) -> None:
        late = self.due + 90 * DAY
        change = decide((key("a", NOW),), late)
        assert isinstance(change, Change)
        assert change.sign_from == late + PUBLISHED_AHEAD

    def test_does_not_change_an_end_that_was_announced(self) -> None:
        old, present = key("a", NOW - 30 * DAY, after(days=60)), key("b", NOW)
        change = decide((old, present), self.due)
        assert isinstance(change, Change)
        assert change.keys[0] == old


class TestTheEnd:
    def test_takes_a_key_out(self) -> None:
        old, present = key("a", NOW - 30 * DAY, NOW), key("b", NOW - DAY)
        assert decide((old, present), NOW) == Change((present,), None)

    def test_is_looked_at_when_it_comes(self) -> None:
        old, present = key("a", NOW - 30 * DAY, after(hours=3)), key("b", NOW - DAY)
        assert decide((old, present), NOW) == Keep(after(hours=3))

    def test_of_the_last_key_means_a_new_one_at_once(self) -> None:
        assert decide((key("a", NOW - DAY, NOW),), NOW) == Change((), NOW)


@dataclass
class Months:
    """What a resource would see: which key signed when, and which were published when."""

    keys: tuple[SigningKey, ...] = ()
    ever: dict[str, SigningKey] = field(default_factory=dict)
    last_signed: dict[str, datetime] = field(default_factory=dict)
    gone_at: dict[str, datetime] = field(default_factory=dict)
    changes: int = 0

    def look(self, now: datetime) -> datetime:
        """The operator looks until all is as it should be; when it wants to look again."""
        for _ in range(3):
            decision = decide(self.keys, now)
            if isinstance(decision, Keep):
                return decision.look_again
            self.changes += 1
            before, self.keys = self.keys, carry_out(decision, now)
            self.ever |= {each.kid: each for each in self.keys}
            for each in before:
                if each.kid not in {kept.kid for kept in self.keys}:
                    self.gone_at[each.kid] = now
        raise AssertionError("it does not come to rest")

    def sign(self, now: datetime) -> str:
        chosen = signing_key(self.keys, now)
        assert chosen is not None, "nobody could get a token"
        assert chosen in published_keys(self.keys, now)
        self.last_signed[chosen.kid] = now
        return chosen.kid


@settings(max_examples=40, deadline=None)
@given(
    delays=st.lists(
        st.one_of(
            st.integers(0, 120).map(lambda minutes: timedelta(minutes=minutes)),
            st.integers(0, 100).map(lambda days: timedelta(days=days)),
            st.integers(0, 999_999).map(lambda fraction: timedelta(microseconds=fraction)),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_over_months(delays: list[timedelta]) -> None:
    """The operator comes when it said, or late, for minutes or for months; the issuer signs all the time."""
    months, now, looks = Months(), NOW, 0
    due = months.look(now)
    first = months.sign(now)
    previous, began = first, {first: now}
    while now < after(days=200):
        wake = max(due, now) + delays[looks % len(delays)]
        while now < wake and now < after(days=400):
            kid = months.sign(now)
            if kid != previous:
                assert months.ever[kid].sign_from > months.ever[previous].sign_from, "never back to an earlier key"
                previous = kid
                began[kid] = now
            now = min(now + 7 * HOUR, wake)
        looks += 1
        due = months.look(now)
        assert due > now
    for kid, since in began.items():
        if kid != first:
            made = months.ever[kid]
            assert since - made.created_at >= PUBLISHED_AHEAD, "a resource may have an older key set"
    for kid, gone in months.gone_at.items():
        assert gone - months.last_signed[kid] >= LONGEST_TOKEN, "a token of it may still live"
    assert len(published_keys(months.keys, now)) <= 3
    assert months.changes <= 2 * looks + 2


@given(st.floats(0, 80).map(lambda days: NOW + timedelta(days=days)))
def test_what_was_decided_and_done_is_decided_no_more(now: datetime) -> None:
    keys: tuple[SigningKey, ...] = (key("a", NOW),)
    for _ in range(3):
        decision = decide(keys, now)
        if isinstance(decision, Keep):
            assert decision.look_again > now
            return
        keys = carry_out(decision, now)
    pytest.fail("it does not come to rest")


def test_a_clock_that_was_set_back_makes_no_new_key() -> None:
    assert isinstance(decide((key("a", after(days=3)),), NOW), Keep)
