"""Conditions as metav1.Condition and kstatus want them."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from builders.objects import after
from builders.pki import NOW
from mintls.api.v1alpha1.meta import Condition, ConditionStatus
from mintls.reconcile.conditions import Finding, conditions, find, holds, ready, stalled, waiting


def test_a_new_condition_begins_now_in_whole_seconds() -> None:
    (condition,) = conditions((), ready("Issued", "well"), generation=3, now=NOW + timedelta(microseconds=7))
    assert condition == Condition(
        type="Ready",
        status=ConditionStatus.TRUE,
        reason="Issued",
        message="well",
        last_transition_time=NOW,
        observed_generation=3,
    )


def test_the_transition_time_stays_while_only_reason_and_message_change() -> None:
    first = conditions((), waiting("A", "a"), generation=1, now=NOW)
    second = conditions(first, stalled("B", "b"), generation=2, now=after(hours=1))
    before, now = find(first, "Ready"), find(second, "Ready")
    assert before is not None
    assert now is not None
    assert (now.last_transition_time, now.reason, now.observed_generation) == (NOW, "B", 2)


def test_the_transition_time_is_that_of_the_change_of_status() -> None:
    first = conditions((), waiting("A", "a"), generation=1, now=NOW)
    second = conditions(first, ready("B", "b"), generation=1, now=after(hours=1))
    assert [condition.last_transition_time for condition in second] == [after(hours=1)]


def test_a_condition_of_which_nothing_was_found_is_dropped() -> None:
    first = conditions((), stalled("A", "a"), generation=1, now=NOW)
    assert find(conditions(first, waiting("B", "b"), generation=1, now=NOW), "Stalled") is None


def test_one_that_comes_back_begins_anew() -> None:
    first = conditions((), stalled("A", "a"), generation=1, now=NOW)
    between = conditions(first, ready("B", "b"), generation=1, now=after(hours=1))
    again = find(conditions(between, stalled("A", "a"), generation=1, now=after(hours=2)), "Stalled")
    assert again is not None
    assert again.last_transition_time == after(hours=2)


def test_an_unknown_condition_does_not_hold() -> None:
    unknown = Condition(type="Ready", status=ConditionStatus.UNKNOWN, reason="A", message="a", last_transition_time=NOW)
    assert not holds((unknown,), "Ready")
    assert not holds((), "Ready")


def test_of_reconciling_and_stalled_at_most_one_is_there() -> None:
    """kstatus: either it goes on by itself or somebody has to act."""
    for findings in (ready("A", "a"), waiting("A", "a"), stalled("A", "a")):
        types = {finding.type for finding in findings}
        assert "Ready" in types
        assert not {"Reconciling", "Stalled"} <= types


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("AB")), min_size=1, max_size=8))
def test_the_transition_time_is_when_the_present_status_began(history: list[tuple[bool, str]]) -> None:
    now, current = NOW, tuple[Condition, ...]()
    began, before = NOW, None
    for status, reason in history:
        if status != before:
            began, before = now, status
        current = conditions(
            current, [Finding("Ready", status=status, reason=reason, message="")], generation=1, now=now
        )
        assert current[0].last_transition_time == began
        now += timedelta(minutes=1)
