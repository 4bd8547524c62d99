"""When a JWK Set elsewhere is fetched again, and how long its last keys count."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from builders.pki import HOUR, MINUTE, NOW, SECOND
from mintls.core.oauth.client_keys import ClientKeys
from mintls.core.oauth.key_cache import ON_DEMAND, STALE_FOR, Failed, Got, KeyCache, Outcome, Unchanged

NEVER = KeyCache(due=NOW)
GOT = Got(ClientKeys(), '"1"', 10 * MINUTE)


def test_it_is_due_when_its_document_is_fresh_no_longer() -> None:
    known = NEVER.after(GOT, NOW)
    assert (known.due, known.etag, known.problem) == (NOW + 10 * MINUTE, '"1"', "")
    again = known.after(Unchanged(MINUTE), NOW + HOUR)
    assert (again.due, again.etag) == (NOW + HOUR + MINUTE, '"1"')


def test_its_keys_count_for_hours_after_it_was_had_last() -> None:
    known = NEVER.after(GOT, NOW).after(Failed("away"), NOW + HOUR)
    assert known.keys is not None
    assert known.keys.usable(NOW + STALE_FOR - SECOND)
    assert not known.keys.usable(NOW + STALE_FOR)
    again = known.after(Unchanged(MINUTE), NOW + 2 * HOUR).keys
    assert again is not None
    assert again.usable(NOW + STALE_FOR)


def test_a_source_that_is_away_is_asked_with_growing_waits() -> None:
    known, now, waits = NEVER, NOW, []
    for _ in range(9):
        known = known.after(Failed("away"), now)
        waits.append(int((known.due - now).total_seconds()))
        now = known.due
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert known.after(GOT, now).failures == 0


_OUTCOMES = st.lists(st.sampled_from([GOT, Unchanged(MINUTE), Failed("away")]))


@given(_OUTCOMES)
def test_on_demand_it_is_asked_now_and_then_whatever_came_of_it(outcomes: list[Outcome]) -> None:
    known = NEVER
    assert known.may_be_asked(NOW)
    for outcome in outcomes:
        known = known.after(outcome, NOW)
        assert not known.may_be_asked(NOW + ON_DEMAND - timedelta(microseconds=1))
        assert known.may_be_asked(NOW + ON_DEMAND)


@given(_OUTCOMES)
def test_it_is_always_due_some_time(outcomes: list[Outcome]) -> None:
    known = NEVER
    for outcome in outcomes:
        known = known.after(outcome, NOW)
        assert NOW < known.due <= NOW + HOUR
