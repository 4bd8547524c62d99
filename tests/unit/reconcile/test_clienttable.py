"""The table of clients: what each one's standing is, and who else has to be looked at when one changes."""

from typing import Any

import pytest

from builders.clienttables import Clients
from builders.objects import client
from mintls.core.oauth.claims import Contest
from mintls.reconcile.clienttable import Standing
from mintls.reconcile.reasons import Reason

KEY = ("shop", "billing")
LATER = "2026-02-01T00:00:00Z"


def table(**clients: dict[str, Any]) -> Clients:
    made = Clients()
    for name, spec in clients.items():
        made.changed(("shop", name), client(name, spec=spec))
    return made


def test_a_client_that_is_not_there_has_no_standing() -> None:
    assert table().standing(KEY) == Standing()


def test_a_good_client_has_its_registration() -> None:
    standing = table(billing={}).standing(KEY)
    assert standing.registration is not None
    assert (standing.registration.client_id, standing.problem, standing.contest) == ("shop:billing", None, None)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"accessToken": {"lifetime": "soon"}}, Reason.INVALID_SPEC),
        ({"tlsClientAuth": {"sanDNS": "vault.bank.svc"}}, Reason.IDENTITY_NOT_ALLOWED),
        ({"tlsClientAuth": {"subjectDN": "no name"}}, Reason.IDENTITY_NOT_ALLOWED),
    ],
)
def test_a_client_that_cannot_be_admitted_has_a_problem_and_no_registration(
    spec: dict[str, Any], reason: Reason
) -> None:
    standing = table(billing=spec).standing(KEY)
    assert standing.registration is None
    assert standing.problem is not None
    assert standing.problem.reason == reason


def test_a_client_that_cannot_be_admitted_keeps_nobody_from_its_names() -> None:
    made = Clients()
    made.changed(("bank", "thief"), client("thief", "bank", spec={"tlsClientAuth": {"sanDNS": "a.shop.svc"}}))
    made.changed(KEY, client(spec={"tlsClientAuth": {"sanDNS": "a.shop.svc"}}, creationTimestamp=LATER))
    assert made.standing(KEY).contest is None


def test_a_problem_is_over_when_the_spec_is_corrected_and_begins_when_it_is_broken() -> None:
    made = table(billing={"accessToken": {"lifetime": "soon"}})
    made.changed(KEY, client())
    assert made.standing(KEY).problem is None
    made.changed(KEY, client(spec={"accessToken": {"lifetime": "soon"}}))
    assert made.standing(KEY).registration is None


def test_the_later_of_two_with_one_client_id_is_in_conflict_and_is_told_when_that_ends() -> None:
    made = table(first={"clientID": "web"})
    assert made.changed(KEY, client(spec={"clientID": "web"}, creationTimestamp=LATER)) == frozenset()
    assert made.standing(KEY).contest == Contest("clientID", ("shop", "first"))
    assert made.standing(("shop", "first")).contest is None
    assert made.changed(("shop", "first"), None) == {KEY}
    assert made.standing(KEY).contest is None


def test_one_that_loses_its_admission_gives_way_and_the_other_is_told() -> None:
    made = table(first={"clientID": "web"})
    made.changed(KEY, client(spec={"clientID": "web"}, creationTimestamp=LATER))
    broken = client("first", spec={"clientID": "web", "accessToken": {"lifetime": "soon"}})
    assert made.changed(("shop", "first"), broken) == {KEY}
    assert made.standing(KEY).contest is None


def test_clients_are_found_by_the_authorities_that_may_vouch_for_them() -> None:
    made = table(billing={"authorities": [{"name": "a"}, {"name": "b"}]}, broken={"accessToken": {"lifetime": "?"}})
    assert made.table.of_authority("a") == made.table.of_authority("b") == {KEY}
    assert made.table.of_authority("default") == {("shop", "broken")}, "a client with a problem is followed as well"
    made.changed(KEY, client(spec={"authorities": [{"name": "b"}]}))
    assert made.table.of_authority("a") == frozenset()
    assert made.table.of_authority("b") == {KEY}
    made.changed(KEY, None)
    assert made.table.of_authority("b") == frozenset()
