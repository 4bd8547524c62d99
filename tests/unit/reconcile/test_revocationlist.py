"""Who is on a CRL and when there is another one."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.pki import DAY, HOUR, NOW, Authority, authority
from mintls.core.pki.crl import RevocationList, key_identifier, sign_list
from mintls.core.pki.keys import PrivateKey
from mintls.reconcile import revocationlist
from mintls.reconcile.issuedcertificates import Issued
from mintls.reconcile.revocationlist import VALIDITY, Keep, Observed, Order, Publish, Signer, decide, still_needed

CESSATION = x509.ReasonFlags.cessation_of_operation


@cache
def made(name: str) -> Authority:
    return authority(name)


def ca(name: str = "one") -> Authority:
    return made(name)


def issued(serial: int, uid: str = "billing", of: str = "one", ends: datetime = NOW + DAY) -> Issued:
    return Issued(serial, uid, key_identifier(ca(of).intermediate) if of else "", ends)


def observed(*some: Issued, **changes: object) -> Observed:
    """An authority with one intermediate and its root, and one object that is there."""
    signers = (Signer(ca().intermediate), Signer(ca().root, signs_leaves=False))
    seen = Observed(signers, (), (), some, {"billing"}, set(), NOW)
    return replace(seen, **changes)  # type: ignore[arg-type] # any field


def key_of(signer: Signer) -> PrivateKey:
    keys = {one.intermediate: one.signer.key for one in map(ca, ("one", "two"))}
    return {**keys, ca().root: ca().root_key, ca("two").root: ca("two").root_key}[signer.certificate]


def signed(decision: object) -> tuple[RevocationList, ...]:
    assert isinstance(decision, Publish)
    return tuple(
        sign_list(
            one.signer.certificate,
            key_of(one.signer),
            one.revoked,
            number=one.number,
            this_update=one.this_update,
            next_update=one.next_update,
        )
        if isinstance(one, Order)
        else one
        for one in decision.lists
    )


def published(seen: Observed) -> Observed:
    return replace(seen, found=signed(decide(seen)))


def serials(seen: Observed) -> set[int]:
    return {serial for one in seen.found for serial in one.revoked}


class TestTheFirstLists:
    def test_are_of_the_intermediate_and_of_the_root_and_empty(self) -> None:
        seen = published(observed(issued(1)))
        assert [one.key_id for one in seen.found] == [key_identifier(one) for one in (ca().intermediate, ca().root)]
        assert serials(seen) == set()

    def test_of_the_root_lasts_as_long_as_the_root(self) -> None:
        assert published(observed()).found[1].next_update == ca().root.not_valid_after_utc

    def test_are_not_of_a_ca_that_has_ended(self) -> None:
        assert decide(observed(now=ca().root.not_valid_after_utc + DAY)) == Keep(None)


class TestWhoIsListed:
    def test_all_certificates_of_an_object_that_is_revoked_without_a_reason(self) -> None:
        seen = published(
            observed(issued(1), issued(2), issued(3, "other"), objects={"billing", "other"}, revoked={"billing"})
        )
        assert serials(seen) == {1, 2}
        assert seen.found[0].revoked[1].reason is None

    def test_all_certificates_of_an_object_that_is_gone(self) -> None:
        seen = published(observed(issued(1), issued(2, "gone")))
        assert serials(seen) == {2}
        assert seen.found[0].revoked[2].reason == CESSATION

    def test_not_who_has_ended(self) -> None:
        assert serials(published(observed(issued(1, "gone", ends=NOW - HOUR)))) == set()

    def test_on_the_list_of_the_key_that_signed_it_alone(self) -> None:
        both = (Signer(ca().intermediate), Signer(ca("two").intermediate))
        seen = published(observed(issued(1, "gone"), issued(2, "gone", of="two"), signers=both))
        assert [set(one.revoked) for one in seen.found] == [{1}, {2}]

    def test_on_all_lists_of_leaves_where_nobody_knows_the_key(self) -> None:
        both = (Signer(ca().intermediate), Signer(ca("two").intermediate), Signer(ca().root, signs_leaves=False))
        seen = published(observed(issued(1, "gone", of=""), signers=both))
        assert [set(one.revoked) for one in seen.found] == [{1}, {1}, set()]

    def test_what_was_said_of_it_first_stays(self) -> None:
        seen = published(observed(issued(1), revoked={"billing"}))
        later = replace(seen, objects=set(), revoked=set(), now=NOW + VALIDITY / 2 + HOUR)
        ends = replace(later, issued=(issued(1, ends=NOW + 30 * DAY),))
        assert published(ends).found[0].revoked[1] == seen.found[0].revoked[1]

    def test_nobody_who_was_listed_is_let_in_again(self) -> None:
        seen = published(observed(issued(1, "gone", ends=NOW + 30 * DAY)))
        again = replace(seen, objects={"gone"}, now=NOW + VALIDITY)
        assert serials(published(again)) == {1}

    def test_as_many_as_there_is_room_for_and_those_that_somebody_revoked_first(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(revocationlist, "MOST_LISTED", 3)
        some = (*(issued(n, "gone") for n in range(1, 5)), issued(8), issued(9))
        seen = observed(*some, revoked={"billing"})
        decision = decide(seen)
        assert isinstance(decision, Publish)
        assert decision.left_out == 3
        assert serials(published(seen)) == {8, 9, 1}
        assert isinstance(decide(published(seen)), Keep), "what there is no room for is no reason to write again"


class TestAnEntry:
    def test_stays_until_a_list_that_was_made_after_its_end_has_had_it(self) -> None:
        seen = published(observed(issued(1, "gone")))
        for days, there in ((2, True), (4, True), (8, False)):
            seen = replace(seen, now=NOW + timedelta(days=days))
            seen = replace(seen, issued=still_needed(seen.issued, seen.found, seen.now))
            decision = decide(seen)
            seen = seen if isinstance(decision, Keep) else published(seen)
            assert (1 in serials(seen)) is there
        assert still_needed(seen.issued, seen.found, seen.now) == ()

    def test_stays_as_long_as_its_ca_when_its_record_is_lost(self) -> None:
        seen = replace(published(observed(issued(1, "gone"))), issued=(), now=NOW + 4 * DAY)
        assert serials(published(seen)) == {1}


class TestAnotherList:
    def test_is_made_at_half_of_the_time_of_the_last_and_not_before(self) -> None:
        seen = published(observed())
        due = seen.found[0].this_update + VALIDITY / 2
        assert decide(seen) == Keep(due)
        assert decide(replace(seen, now=due - timedelta(seconds=1))) == Keep(due)
        renewed = published(replace(seen, now=due))
        assert renewed.found[0].number > seen.found[0].number
        assert renewed.found[1] == seen.found[1], "the root's list is as it was"

    def test_is_made_at_once_for_somebody_who_is_not_on_it(self) -> None:
        seen = published(observed(issued(1)))
        assert isinstance(decide(seen), Keep)
        assert isinstance(decide(replace(seen, objects=set())), Publish)

    def test_is_not_made_because_somebody_on_it_has_ended(self) -> None:
        seen = published(observed(issued(1, "gone")))
        assert isinstance(decide(replace(seen, now=NOW + 2 * DAY)), Keep)

    def test_has_a_greater_number_also_when_the_clock_goes_back_or_the_last_is_lost(self) -> None:
        seen = published(observed())
        back = published(replace(seen, now=NOW - DAY))
        lost = published(replace(seen, found=(), now=NOW + HOUR))
        assert min(back.found[0].number, lost.found[0].number) > seen.found[0].number
        assert back.found[0].this_update < NOW

    @pytest.mark.parametrize("by", ["two", "one"])
    def test_takes_the_place_of_one_that_somebody_else_put_there(self, by: str) -> None:
        entries = published(observed(issued(1, "gone")))
        forged = published(observed(signers=(Signer(ca(by).intermediate), Signer(ca().root, signs_leaves=False))))
        assert serials(published(replace(entries, found=forged.found))) == {1}

    def test_of_a_new_intermediate_is_the_first(self) -> None:
        seen = published(observed())
        signers = (Signer(ca("two").intermediate), *seen.signers)
        assert published(replace(seen, signers=signers)).found[0].key_id == key_identifier(ca("two").intermediate)


class TestACAWhoseKeyIsGone:
    def test_leaves_its_last_list_while_that_counts_and_leaves_of_it_are_there(self) -> None:
        seen = published(observed(issued(1, "gone"), issued(2)))
        old = seen.found[0]
        after = replace(seen, signers=(Signer(ca("two").intermediate),))
        assert old in published(after).found
        assert old not in published(replace(after, issued=())).found
        assert old not in published(replace(after, now=old.next_update, issued=(issued(2, ends=NOW + 30 * DAY),))).found

    def test_may_have_signed_what_is_known_by_a_status_alone(self) -> None:
        seen = published(observed(issued(1)))
        after = replace(seen, signers=(Signer(ca("two").intermediate),), issued=(issued(1, of=""),))
        assert seen.found[0] in published(after).found
        assert seen.found[0] not in published(replace(after, issued=(issued(1, of="two"),))).found


class TestARootWhoseKeyIsGone:
    def test_leaves_its_last_list_while_it_is_trusted(self) -> None:
        seen = published(observed())
        after = replace(seen, signers=(Signer(ca("two").intermediate), Signer(ca("two").root, signs_leaves=False)))
        old = seen.found[1]
        assert old in published(replace(after, trusted=(ca().root, ca("two").root))).found
        assert old not in published(after).found


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 99), st.sampled_from("abc"), st.sampled_from(["one", "two", ""])), max_size=12),
    st.sets(st.sampled_from("abc")),
    st.sets(st.sampled_from("abc")),
)
def test_whatever_was_issued_the_next_look_finds_nothing_to_do(
    some: list[tuple[int, str, str]], objects: set[str], revoked: set[str]
) -> None:
    both = (Signer(ca().intermediate), Signer(ca("two").intermediate))
    seen = published(
        observed(*(issued(*one) for one in some), signers=both, objects=objects, revoked=revoked & objects)
    )
    assert isinstance(decide(seen), Keep)
    last = {serial: uid for serial, uid, _ in some}
    ended = {serial for serial, uid, _ in some if uid not in objects - revoked}
    assert serials(seen) <= ended
    assert {serial for serial, uid in last.items() if uid not in objects - revoked} <= serials(seen)
