"""A foreign writer who fights for a Secret: repairs come at once, then with growing waits, and he is named."""

from datetime import timedelta
from typing import Any

import pytest

from builders.credentials import Life, issued
from builders.objects import after
from mintls.reconcile.certificate.decide import decide
from mintls.reconcile.certificate.values import Keep, Postponed
from mintls.reconcile.reasons import Reason

MINUTE = timedelta(minutes=1)


def scribble(made: Life) -> None:
    made.secret.edit(**{"client-id": b"somebody-else"})
    writers = [{"manager": "scribbler", "operation": "Update", "time": "2026-01-01T00:00:00Z"}]
    made.secret.edit_metadata(managedFields=writers)


def fight(made: Life, rounds: int) -> list[timedelta]:
    """He writes as soon as it was put right; the waits before each repair."""
    waits = []
    for _ in range(rounds):
        scribble(made)
        conclusion = made.look()
        assert conclusion is not None
        wait = timedelta(0)
        if isinstance(decide(made.observe()), Postponed):
            assert conclusion.look_again is not None
            wait = conclusion.look_again - made.now
            made.now = conclusion.look_again
            made.look()
        assert isinstance(decide(made.observe()), Keep)
        waits.append(wait)
    return waits


def test_the_first_five_repairs_come_at_once_and_then_the_waits_grow_up_to_ten_minutes() -> None:
    waits = fight(issued(), 20)
    assert waits[:5] == [timedelta(0)] * 5
    assert timedelta(0) < waits[5] < waits[6] < waits[7] < waits[8]
    assert 5 * MINUTE < waits[-1] <= 10 * MINUTE


def test_while_it_waits_the_condition_names_him_and_what_to_do() -> None:
    made = issued()
    fight(made, 5)
    scribble(made)
    made.look()
    ready = made.condition("Ready")
    assert ready is not None
    assert (ready.status, ready.reason) == ("False", Reason.SECRET_CONTESTED)
    for part in (
        'Secret "billing-mtls" was put right 5 times',
        '"scribbler"',
        "the next attempt is at",
        "end what writes",
    ):
        assert part in ready.message
    assert made.said[-1].warning


def test_looking_again_while_it_waits_writes_nothing() -> None:
    made = issued()
    fight(made, 5)
    scribble(made)
    made.look()
    before = made.status_writes, made.secret.written, len(made.said)
    scribble(made)
    made.look()
    assert (made.status_writes, made.secret.written, len(made.said)) == before


def test_twenty_fights_cost_few_writes_in_an_hour() -> None:
    made = issued()
    while made.now < after(hours=1):
        scribble(made)
        conclusion = made.look()
        assert conclusion is not None
        made.now = max(made.now + timedelta(seconds=1), min(conclusion.look_again or made.now, after(hours=1)))
    assert made.secret.written < 25
    assert made.status_writes < 50


def test_a_deletion_again_and_again_is_told_as_one() -> None:
    made = issued()
    for _ in range(5):
        made.secret.delete()
        made.look()
    made.secret.delete()
    made.look()
    ready = made.condition("Ready")
    assert ready is not None
    assert ready.reason == Reason.SECRET_CONTESTED
    assert "the last time deleted" in ready.message


def test_a_repair_that_held_ends_the_row() -> None:
    made = issued()
    fight(made, 6)
    made.now += 11 * MINUTE
    assert fight(made, 5) == [timedelta(0)] * 5


def test_a_changed_spec_does_not_wait() -> None:
    made = issued()
    fight(made, 7)
    scribble(made)
    made.edit_spec(duration="12h")
    made.look()
    assert made.ready()


def test_what_we_change_ourselves_is_no_fight() -> None:
    made = issued()
    for hours in range(1, 11):
        made.edit_spec(duration=f"{hours}h")
        made.look()
    assert made.repairs is None


def test_a_clock_that_was_set_back_does_not_make_it_wait_longer() -> None:
    made = issued()
    fight(made, 9)
    scribble(made)
    made.now -= timedelta(hours=1)
    made.look()
    assert made.ready()


@pytest.mark.parametrize("harmless", [{"labels": {"team": "a"}}])
def test_foreign_labels_are_no_fight(harmless: dict[str, Any]) -> None:
    made = issued()
    for number in range(10):
        assert made.secret.body is not None
        labels = {**made.secret.body["metadata"]["labels"], **harmless["labels"], "number": str(number)}
        made.secret.edit_metadata(labels=labels)
        made.look()
    assert made.ready()
    assert made.secret.written == 1
