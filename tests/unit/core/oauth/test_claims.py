"""Who holds a contested client id or identity, and who has to be told when that changes."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.pki import self_signed_client
from builders.registrations import CREATED, dns, registration
from mintls.core.oauth import claims
from mintls.core.oauth.claims import Claimants, ClaimTable, Contest, Key
from mintls.core.oauth.registration import Registration
from mintls.core.pki.names import normalize

LATER = CREATED + timedelta(seconds=1)
KEYS: tuple[Key, ...] = tuple((namespace, name) for namespace in "ab" for name in "xyz")


def table_of(registrations: Iterable[Registration]) -> ClaimTable:
    table = ClaimTable()
    for each in registrations:
        table.put(each)
    return table


def standing(table: ClaimTable) -> dict[Key, Contest | None]:
    return {each.key: table.contest(each.key) for each in table}


class TestTwoClients:
    first = registration("shop", "first", client_id="billing")
    second = registration("evil", "second", client_id="billing", created=LATER)

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_the_earlier_one_holds_the_client_id_whatever_is_seen_first(self, order: tuple[int, int]) -> None:
        both = (self.first, self.second)
        table = table_of(both[index] for index in order)
        assert table.contest(self.first.key) is None
        assert table.contest(self.second.key) == Contest("clientID", self.first.key)
        assert table.by_client_id("billing") == self.first

    def test_of_the_same_second_the_smaller_uid_holds(self) -> None:
        a = registration("a", client_id="billing", uid="1")
        b = registration("b", client_id="billing", uid="2")
        assert table_of((b, a)).by_client_id("billing") == a

    def test_the_later_one_holds_it_once_the_earlier_one_is_gone(self) -> None:
        table = table_of((self.first, self.second))
        assert table.remove(self.first.key) == {self.second.key}
        assert table.by_client_id("billing") == self.second

    def test_the_later_one_holds_it_once_the_earlier_one_claims_another(self) -> None:
        table = table_of((self.first, self.second))
        assert table.put(registration("shop", "first", client_id="other")) == {self.second.key}
        assert table.contest(self.second.key) is None

    def test_the_later_one_keeps_what_it_was_seen_to_hold(self) -> None:
        holder = replace(self.second, held=(("clientID", "billing"),))
        table = table_of((self.first, holder))
        assert table.by_client_id("billing") == holder
        assert table.contest(self.first.key) == Contest("clientID", holder.key)
        assert table.remove(holder.key) == {self.first.key}
        assert table.by_client_id("billing") == self.first

    def test_of_two_that_were_both_seen_to_hold_it_the_earlier_one_does(self) -> None:
        both = (replace(one, held=(("clientID", "billing"),)) for one in (self.second, self.first))
        found = table_of(both).by_client_id("billing")
        assert found is not None
        assert found.key == self.first.key

    def test_what_was_held_of_another_kind_counts_for_nothing(self) -> None:
        held = (("identity", "billing"), ("clientID", "other"))
        assert table_of((self.first, replace(self.second, held=held))).by_client_id("billing") == self.first

    def test_an_identity_is_contested_by_its_meaning_not_its_spelling(self) -> None:
        table = table_of(
            (registration("a", subject=dns("Billing.SHOP.svc")), registration("b", subject=dns("billing.shop.svc")))
        )
        assert table.contest(("b", "billing")) == Contest("identity", ("a", "billing"))

    def test_who_lost_one_claim_is_not_found_by_the_other(self) -> None:
        winner = registration("a", subject=dns("x.svc"))
        loser = registration("b", subject=dns("x.svc"), client_id="own", created=LATER)
        table = table_of((winner, loser))
        assert table.by_client_id("own") is None
        assert table.get(loser.key) == loser

    def test_a_certificate_is_held_by_one_client_and_one_contested_one_is_enough(self) -> None:
        own, shared = self_signed_client().certificate, self_signed_client().certificate
        first = registration("a", subject=None, certificates=(shared,))
        second = registration("b", subject=None, certificates=(own, shared), created=LATER)
        table = table_of((second, first))
        assert table.contest(second.key) == Contest("certificate", first.key)
        assert table.by_client_id(second.client_id) is None
        assert table.put(registration("a", subject=None, certificates=())) == {second.key}
        assert table.by_client_id(second.client_id) == second

    def test_names_that_cannot_be_compared_contest_nobody(self) -> None:
        table = table_of((registration("a", subject=dns("*.svc")), registration("b", subject=dns("*.svc"))))
        assert standing(table) == {("a", "billing"): None, ("b", "billing"): None}


class TestOneHash:
    """Claims that are not the same, and have the same hash: as if each had."""

    @pytest.fixture(autouse=True)
    def _one_hash(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claims, "hash", lambda _claim: 0, raising=False)

    a, b = registration("a", subject=dns("a.svc")), registration("b", subject=dns("b.svc"), created=LATER)

    def test_clients_that_claim_different_things_are_no_rivals(self) -> None:
        table = table_of((self.a, self.b))
        assert standing(table) == {self.a.key: None, self.b.key: None}
        assert table.by_client_id(self.b.client_id) == self.b
        assert table.by_client_id("unknown") is None
        assert table.rival(registration("c", subject=dns("c.svc"))) is None

    def test_a_client_that_claims_less_than_before_keeps_the_rest(self) -> None:
        table = table_of((self.a, self.b))
        table.put(replace(self.a, subject=None))
        assert table.by_client_id(self.a.client_id) is not None

    def test_rivals_are_rivals_still(self) -> None:
        table = table_of((self.a, replace(self.b, subject=dns("a.svc"))))
        assert table.contest(self.b.key) == Contest("identity", self.a.key)


class TestManyRivals:
    """Two hundred clients that claim one name."""

    def setup_method(self) -> None:
        self.clients = {one.key: one for one in map(self.made, range(200))}
        self.known: dict[Key, Registration] = {}
        self.reads = 0
        self.claimants = Claimants(self.read)
        self.put(*self.clients.values())
        self.oldest, *self.others = self.clients.values()

    @staticmethod
    def made(number: int) -> Registration:
        return registration("shop", f"client-{number}", subject=dns("a.svc"), created=CREATED + timedelta(number))

    def read(self, key: Key) -> Registration | None:
        self.reads += 1
        return self.known.get(key)

    def put(self, *registrations: Registration) -> frozenset[Key]:
        affected = frozenset[Key]()
        for one in registrations:
            old, self.known[one.key] = self.known.get(one.key), one
            affected |= self.claimants.changed(one.key, old, one)
        return affected

    def test_neither_a_change_nor_a_question_looks_at_all_of_them(self) -> None:
        assert self.reads < 5 * len(self.clients), "when they came"
        self.reads = 0
        contests = [self.claimants.contest(one) for one in self.clients.values()]
        assert contests == [None, *(Contest("identity", self.oldest.key) for _ in self.others)]
        assert self.put(*(replace(one, suspended=True) for one in self.clients.values())) == frozenset()
        assert self.reads < 5 * len(self.clients)

    def test_one_that_has_yet_to_come_is_told_of_the_holder_without_a_look_at_the_others(self) -> None:
        self.reads = 0
        newcomer = replace(self.made(-1), name="newcomer")
        assert self.claimants.rival(newcomer) == Contest("identity", self.oldest.key)
        assert self.reads < 5

    def test_when_the_holder_goes_the_next_one_holds_it_and_all_are_told(self) -> None:
        del self.known[self.oldest.key]
        assert self.claimants.changed(self.oldest.key, self.oldest, None) == {one.key for one in self.others}
        assert self.claimants.contest(self.others[0]) is None
        assert self.claimants.contest(self.others[1]) == Contest("identity", self.others[0].key)

    def test_when_another_one_goes_nobody_is_told(self) -> None:
        gone = self.others[-1]
        del self.known[gone.key]
        assert self.claimants.changed(gone.key, gone, None) == frozenset()

    def test_an_older_one_takes_it_and_all_are_told(self) -> None:
        older = replace(self.made(-1), name="older")
        assert self.put(older) == self.clients.keys()
        assert self.claimants.contest(self.oldest) == Contest("identity", older.key)

    def test_what_the_status_says_meanwhile_counts_without_a_change(self) -> None:
        held = replace(self.others[7], held=(("identity", normalize(dns("a.svc"))),))
        self.known[held.key] = held
        assert self.claimants.contest(held) is None
        assert self.claimants.contest(self.oldest) == Contest("identity", held.key)


class TestEmptyTable:
    def test_nobody_is_found(self) -> None:
        assert ClaimTable().by_client_id("billing") is None
        assert ClaimTable().get(("shop", "billing")) is None

    def test_taking_out_who_is_not_there_affects_nobody(self) -> None:
        assert ClaimTable().remove(("shop", "billing")) == frozenset()

    def test_an_unknown_client_has_no_standing(self) -> None:
        with pytest.raises(KeyError):
            ClaimTable().contest(("shop", "billing"))

    def test_asking_leaves_no_trace(self) -> None:
        table = ClaimTable()
        table.by_client_id("billing")
        assert table == ClaimTable()


# -- Properties: any history of puts and removes, with few values so that claims meet ----------------------------------

registrations = st.builds(
    lambda key, client_id, host, second, version: registration(
        *key,
        client_id=client_id,
        subject=dns(host),
        created=CREATED + timedelta(seconds=second),
        uid=f"{key}-{version}",
    ),
    st.sampled_from(KEYS),
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from(["h.svc", "H.svc", "i.svc", "*.invalid"]),
    st.integers(0, 2),
    st.integers(0, 1),
)
histories = st.lists(st.one_of(registrations, st.sampled_from(KEYS)), max_size=30)


def step(table: ClaimTable, change: Registration | Key) -> frozenset[Key]:
    return table.put(change) if isinstance(change, Registration) else table.remove(change)


def replay(history: Iterable[Registration | Key]) -> ClaimTable:
    table = ClaimTable()
    for change in history:
        step(table, change)
    return table


def remaining(history: Iterable[Registration | Key]) -> dict[Key, Registration]:
    """What the history leaves, by the plainest means."""
    left: dict[Key, Registration] = {}
    for change in history:
        if isinstance(change, Registration):
            left[change.key] = change
        else:
            left.pop(change, None)
    return left


def same_claims(a: Registration, b: Registration) -> set[str]:
    """Independent of the table: which claims two clients share."""
    shared = {"clientID"} if a.client_id == b.client_id else set()
    both_valid = "*" not in a.subject.value + b.subject.value
    return shared | ({"identity"} if both_valid and a.subject.value.lower() == b.subject.value.lower() else set())


def seniority(each: Registration) -> tuple[object, str]:
    return (each.created, each.uid)


@given(histories)
def test_a_table_is_what_one_built_from_scratch_is(history: list[Registration | Key]) -> None:
    table, scratch = replay(history), table_of(remaining(history).values())
    assert table == scratch
    assert len(table) == len(remaining(history))
    assert {each.key: each for each in table} == remaining(history)


@given(histories)
def test_a_client_stands_uncontested_exactly_if_it_is_the_earliest_of_all_its_rivals(
    history: list[Registration | Key],
) -> None:
    table, left = replay(history), remaining(history)
    for each in left.values():
        earlier = [other for other in left.values() if seniority(other) < seniority(each)]
        lost = {claim for other in earlier for claim in same_claims(each, other)}
        contest = table.contest(each.key)
        assert (contest is None) is (not lost)
        if contest is not None:
            rivals = [other for other in left.values() if contest.what in same_claims(each, other)]
            assert contest.what in lost
            assert contest.holder == min(rivals, key=seniority).key


@given(histories)
def test_a_client_id_leads_to_one_client_at_most_and_to_no_contested_one(history: list[Registration | Key]) -> None:
    table, left = replay(history), remaining(history)
    for client_id in ("one", "two", "three"):
        found = table.by_client_id(client_id)
        uncontested = [each for each in left.values() if each.client_id == client_id and not table.contest(each.key)]
        assert uncontested == ([] if found is None else [found])


@given(histories, st.one_of(registrations, st.sampled_from(KEYS)))
def test_everybody_else_whose_standing_changes_is_told(
    history: list[Registration | Key], change: Registration | Key
) -> None:
    table = replay(history)
    before = standing(table)
    affected = step(table, change)
    after = standing(table)
    key = change.key if isinstance(change, Registration) else change
    changed = {other for other in before.keys() & after.keys() if before[other] != after[other]}
    assert changed - {key} <= affected
    assert key not in affected
    assert affected <= after.keys()


class TestRival:
    def test_a_claim_that_somebody_has_is_a_rival_s_whoever_is_older(self) -> None:
        held = registration(name="holder", subject=dns("a.example"), created=LATER)
        newcomer = registration(name="newcomer", subject=dns("A.example"), created=CREATED)
        assert table_of([held]).rival(newcomer) == Contest(what="identity", holder=held.key)

    def test_nobody_is_their_own_rival(self) -> None:
        known = registration(name="holder", subject=dns("a.example"))
        assert table_of([known]).rival(known) is None

    def test_without_a_common_claim_there_is_none(self) -> None:
        known = registration(name="holder", subject=dns("a.example"))
        assert table_of([known]).rival(registration(name="other", subject=dns("b.example"))) is None
