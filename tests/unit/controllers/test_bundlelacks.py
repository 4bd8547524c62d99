"""Which failures to write a trust bundle are said, and when."""

from datetime import datetime, timedelta

import pytest

from builders.objects import NOW, ca_object
from mintls.controllers.bundlelacks import BundleLacks, BundleReportController, lack_of
from mintls.controllers.keys import Key, Kind
from mintls.kube.errors import ApiError, Forbidden, Invalid, ServerError, Unreachable
from mintls.reconcile.bundlelack import NOT_OWNED, Lack

PATH = "/api/v1/namespaces/shop/configmaps/mintls-trust-bundle"
QUOTA = "exceeded quota: few, requested: count/configmaps=1, used: count/configmaps={}, limited: count/configmaps=2"
RIGHT = 'User "x" cannot create resource "configmaps" in API group "" in the namespace "shop"'
IMMUTABLE = "data: Forbidden: field is immutable when `immutable` is set"


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (Forbidden(403, "Forbidden", QUOTA.format(2), PATH), "QuotaExceeded", 'ResourceQuota "few" is exhausted'),
        (
            Forbidden(403, "Forbidden", RIGHT, PATH, verb="create"),
            "RightMissing",
            'verb "create" on resource "configmaps"',
        ),
        (Invalid(422, "Invalid", IMMUTABLE, PATH), "BundleImmutable", "delete it"),
        (Forbidden(403, "Forbidden", "webhook says no", PATH), "WriteFailed", "HTTP 403 Forbidden"),
        (Unreachable(0, "", "no answer", PATH), "WriteFailed", "no answer"),
    ],
)
def test_a_failure_has_its_reason_and_what_to_do(error: ApiError, reason: str, words: str) -> None:
    lack = lack_of(error)
    assert lack.reason == reason
    assert words in lack.message


def test_the_same_failure_has_the_same_words() -> None:
    one, other = (Forbidden(403, "Forbidden", QUOTA.format(used), PATH) for used in (2, 3))
    assert lack_of(one) == lack_of(other)


class Told:
    def __init__(self, *namespaces: str) -> None:
        self.times = 0
        self.lacks = BundleLacks(self._note)
        self.lacks.begin(namespaces)

    def _note(self) -> None:
        self.times += 1

    @property
    def all(self) -> dict[str, Lack] | None:
        return self.lacks.of(lambda _namespace: True)


def test_nothing_is_known_before_each_namespace_was_looked_at() -> None:
    told = Told("a", "b")
    told.lacks.saw("a", NOT_OWNED)
    assert (told.all, told.times) == (None, 0)
    told.lacks.saw("b", None)
    assert (told.all, told.times) == ({"a": NOT_OWNED}, 1)


def test_a_change_is_told_and_nothing_else() -> None:
    told = Told("a")
    told.lacks.saw("a", NOT_OWNED)
    told.lacks.saw("a", NOT_OWNED)
    told.lacks.saw("late", None)
    assert told.times == 1
    told.lacks.saw("a", None)
    assert (told.all, told.times) == ({}, 2)


def test_what_may_pass_is_said_when_it_has_failed_three_times_in_a_row() -> None:
    told = Told()
    error = ServerError(500, "", "etcd", PATH)
    for _ in range(2):
        told.lacks.failed("a", error)
    told.lacks.saw("a", None)
    for _ in range(2):
        told.lacks.failed("a", error)
    assert told.all == {}
    told.lacks.failed("a", error)
    assert told.all == {"a": lack_of(error)}
    assert told.lacks.by_reason() == {"WriteFailed": 1}


def test_a_refusal_is_said_at_once() -> None:
    told = Told()
    told.lacks.failed("a", Forbidden(403, "Forbidden", RIGHT, PATH, verb="create"))
    assert told.lacks.by_reason() == {"RightMissing": 1}


async def test_failures_of_a_moment_are_said_together() -> None:
    now, stale = NOW, list[str]()
    lacks: dict[str, Lack] = {}

    def clock() -> datetime:
        return now

    report = BundleReportController(
        authorities=[ca_object()], lacks=lambda _name: lacks, on_stale=stale.append, clock=clock
    )
    key = Key(Kind.BUNDLE_REPORT)
    assert await report.reconcile(key) is None
    assert stale == []
    lacks["shop"] = NOT_OWNED
    again = await report.reconcile(key)
    assert (again, stale) == (NOW + timedelta(seconds=2), [])
    assert again is not None
    now = again
    assert await report.reconcile(key) is None
    assert stale == ["default"]
