"""Who is let in, one violation at a time; and that all are looked at, whichever fails."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.issuer import OPERATOR_ID, registration
from builders.pki import DAY, HOUR, NOW, Leaf, authority, dns, self_signed_client, uri
from mintls.core.oauth.accounting import Account, AccountOf
from mintls.core.oauth.client import Client, prepare
from mintls.core.oauth.client_authentication import PathTo, authenticate, is_identity
from mintls.core.oauth.errors import InvalidClient, Reason
from mintls.core.pki.errors import PathInvalid, PathProblem
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.core.pki.origin import Origin
from mintls.core.pki.trust import Path

AUTHORITY = authority()
LEAF = AUTHORITY.client()
# One microsecond is less than X.509 can tell.
TICK = HOUR / 3_600_000_000


NO_ACCOUNTS: dict[str, Account] = {}


def client(**changes: Any) -> Client:
    return prepare(registration(**changes), "https://issuer.example")


def path(begin: datetime = NOW - HOUR, end: datetime = NOW + HOUR) -> Path:
    return Path((LEAF.certificate, AUTHORITY.root), begin, end)


def paths(**known: Path | PathProblem) -> PathTo:
    """What each authority says of the certificate; those that are not named do not know it."""

    def path_to(name: str) -> Path:
        found = known.get(name, PathProblem.UNTRUSTED)
        if isinstance(found, Path):
            return found
        raise PathInvalid(found, "no path")

    return path_to


def refusal(
    who: Client | None,
    leaf: Leaf | None = LEAF,
    path_to: PathTo | None = None,
    now: datetime = NOW,
    account_of: AccountOf = NO_ACCOUNTS.get,
) -> InvalidClient:
    with pytest.raises(InvalidClient) as refused:
        authenticate(who, leaf.facts if leaf else None, path_to or paths(default=path()), account_of, now)
    return refused.value


def test_the_client_with_its_certificate_is_let_in() -> None:
    who = client()
    assert authenticate(who, LEAF.facts, paths(default=path()), NO_ACCOUNTS.get, NOW) == (who, LEAF.facts)


@pytest.mark.parametrize(
    ("who", "leaf", "reason"),
    [
        (None, LEAF, Reason.UNKNOWN_CLIENT),
        (None, None, Reason.NO_CERTIFICATE),
        (client(), None, Reason.NO_CERTIFICATE),
        (client(suspended=True), LEAF, Reason.SUSPENDED_CLIENT),
        (client(token_endpoint_auth_method="private_key_jwt"), LEAF, Reason.UNSUPPORTED_METHOD),
        (client(name="other"), LEAF, Reason.WRONG_NAME),
        (client(subject=SubjectName(SubjectKind.SAN_DNS, "*.shop.svc")), LEAF, Reason.WRONG_NAME),
        (client(), AUTHORITY.client(uri("spiffe://cluster.local/ns/shop/client/billing/x")), Reason.WRONG_NAME),
        (client(), AUTHORITY.client(uri("spiffe://cluster.local/ns/shop/client/billin")), Reason.WRONG_NAME),
        (client(), AUTHORITY.client(dns("billing.shop.svc")), Reason.WRONG_NAME),
        (client(authorities=("other",)), LEAF, Reason.UNTRUSTED_CERTIFICATE),
        (client(authorities=()), LEAF, Reason.UNTRUSTED_CERTIFICATE),
    ],
)
def test_what_is_wrong_is_named(who: Client | None, leaf: Leaf | None, reason: Reason) -> None:
    assert refusal(who, leaf).reason is reason


def test_a_certificate_of_nobodys_name_does_not_make_an_unknown_client_known() -> None:
    assert refusal(None, AUTHORITY.client(uri("spiffe://invalid/nobody"))).reason is Reason.UNKNOWN_CLIENT


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (PathProblem.EXPIRED, Reason.EXPIRED_CERTIFICATE),
        (PathProblem.NOT_YET_VALID, Reason.NOT_YET_VALID_CERTIFICATE),
        (PathProblem.WRONG_USAGE, Reason.WRONG_USAGE),
        (PathProblem.NOT_A_LEAF, Reason.UNTRUSTED_CERTIFICATE),
        (PathProblem.UNTRUSTED, Reason.UNTRUSTED_CERTIFICATE),
    ],
)
def test_why_there_is_no_path_is_named(problem: PathProblem, reason: Reason) -> None:
    assert refusal(client(), path_to=paths(default=problem)).reason is reason


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (NOW - HOUR - TICK, Reason.NOT_YET_VALID_CERTIFICATE),
        (NOW - HOUR, None),
        (NOW + HOUR, None),
        (NOW + HOUR + TICK, Reason.EXPIRED_CERTIFICATE),
        (NOW + 400 * DAY, Reason.EXPIRED_CERTIFICATE),
    ],
)
def test_a_path_that_was_found_earlier_counts_only_while_it_holds(now: datetime, reason: Reason | None) -> None:
    """The finder hands out the path whatever the time is: here is the check that stands in for TLS's own."""
    if reason is None:
        authenticate(client(), LEAF.facts, paths(default=path()), NO_ACCOUNTS.get, now)
    else:
        assert refusal(client(), now=now).reason is reason


def test_one_of_several_authorities_is_enough() -> None:
    who = client(authorities=("a", "b"))
    authenticate(who, LEAF.facts, paths(b=path()), NO_ACCOUNTS.get, NOW)
    assert refusal(who, path_to=paths(c=path())).reason is Reason.UNTRUSTED_CERTIFICATE


def test_of_several_authorities_the_one_that_knows_the_certificate_says_what_is_wrong() -> None:
    who = client(authorities=("a", "b"))
    assert refusal(who, path_to=paths(b=PathProblem.EXPIRED)).reason is Reason.EXPIRED_CERTIFICATE


def test_outwardly_all_are_one() -> None:
    refusals = [refusal(None), refusal(client(suspended=True)), refusal(client(name="other")), refusal(client(), None)]
    assert {(error.code, error.description) for error in refusals} == {
        ("invalid_client", "client authentication failed")
    }


@pytest.mark.parametrize("who", [None, client(suspended=True), client(name="other"), client(), client(scopes=())])
def test_the_path_is_looked_for_whatever_else_is_wrong(who: Client | None) -> None:
    """It is by far the longest step; leaving it out for some would show by the time who is registered."""
    asked = []

    def path_to(name: str) -> Path:
        asked.append(name)
        return path()

    with suppress(InvalidClient):
        authenticate(who, LEAF.facts, path_to, NO_ACCOUNTS.get, NOW)
    assert asked == ["default"]


class TestTheObjectThatACertificateWasIssuedFor:
    UID = "4f6c8f1e-0000-4000-8000-000000000001"
    LEAF = AUTHORITY.client(origin=Origin("ClientCertificate", UID))
    ACCOUNTABLE = replace(path(), accountable=True)

    def account_of(self, **changes: Any) -> AccountOf:
        return {self.UID: replace(Account(self.UID, "shop", "billing", revoked=False), **changes)}.get

    def test_vouches_for_it_while_it_is_there(self) -> None:
        who = client()
        for found in (path(), self.ACCOUNTABLE):
            proven = authenticate(who, self.LEAF.facts, paths(default=found), self.account_of(), NOW)
            assert proven == (who, self.LEAF.facts)

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"revoked": True}, Reason.REVOKED_CERTIFICATE),
            ({"client": "shipping"}, Reason.ORPHANED_CERTIFICATE),
            ({"namespace": "store"}, Reason.ORPHANED_CERTIFICATE),
        ],
    )
    def test_ends_it_by_its_word(self, changes: dict[str, Any], reason: Reason) -> None:
        assert refusal(client(), self.LEAF, account_of=self.account_of(**changes)).reason is reason

    def test_ends_it_by_going(self) -> None:
        assert refusal(client(), self.LEAF).reason is Reason.ORPHANED_CERTIFICATE

    def test_has_to_be_named_where_the_authority_signs_for_objects_only(self) -> None:
        assert refusal(client(), LEAF, paths(default=self.ACCOUNTABLE)).reason is Reason.UNACCOUNTED_CERTIFICATE
        # Another authority of the client's that vouches for it, and signs for others than us, is enough.
        both = paths(default=self.ACCOUNTABLE, other=path())
        authenticate(client(authorities=("default", "other")), LEAF.facts, both, NO_ACCOUNTS.get, NOW)

    def test_may_be_the_client_itself(self) -> None:
        own = AUTHORITY.client(origin=Origin("OAuthClient", client().registration.uid))
        authenticate(client(), own.facts, paths(default=self.ACCOUNTABLE), NO_ACCOUNTS.get, NOW)
        later = client(uid="of a later object of the same name")
        assert refusal(later, own).reason is Reason.ORPHANED_CERTIFICATE

    def test_of_a_kind_that_is_not_known_is_none(self) -> None:
        strange = AUTHORITY.client(origin=Origin("Certificate", self.UID))
        assert refusal(client(), strange, account_of=self.account_of()).reason is Reason.ORPHANED_CERTIFICATE


class TestSelfSigned:
    OWN = self_signed_client()
    LATER = self_signed_client()

    def client(self, *leaves: Leaf, **changes: Any) -> Client:
        certificates = tuple(leaf.certificate for leaf in leaves)
        method: dict[str, Any] = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None}
        return client(certificates=certificates, **method, **changes)

    def test_one_of_several_registered_certificates_is_enough_and_nobody_has_to_vouch(self) -> None:
        who = self.client(self.OWN, self.LATER)
        for leaf in (self.OWN, self.LATER):
            assert authenticate(who, leaf.facts, paths(), NO_ACCOUNTS.get, NOW) == (who, leaf.facts)

    def test_anything_else_is_not_it_whoever_vouches(self) -> None:
        who = self.client(self.OWN)
        for leaf in (LEAF, self.LATER, AUTHORITY.client(key=self.OWN.key)):
            assert refusal(who, leaf, paths(default=path())).reason is Reason.UNREGISTERED_CERTIFICATE
        assert refusal(self.client(), self.OWN).reason is Reason.UNREGISTERED_CERTIFICATE
        assert refusal(who, None).reason is Reason.NO_CERTIFICATE

    def test_a_registered_certificate_does_not_help_a_client_of_another_method(self) -> None:
        who = client(certificates=(self.OWN.certificate,))
        assert refusal(who, self.OWN, paths()).reason is Reason.UNTRUSTED_CERTIFICATE

    def test_a_suspended_one_is_refused(self) -> None:
        assert refusal(self.client(self.OWN, suspended=True), self.OWN).reason is Reason.SUSPENDED_CLIENT

    @pytest.mark.parametrize(
        ("offset", "reason"),
        [(timedelta(0), None), (-DAY, Reason.NOT_YET_VALID_CERTIFICATE), (2 * DAY, Reason.EXPIRED_CERTIFICATE)],
    )
    def test_its_time_is_looked_at(self, offset: timedelta, reason: Reason | None) -> None:
        who = self.client(self.OWN)
        if reason is None:
            authenticate(who, self.OWN.facts, paths(), NO_ACCOUNTS.get, NOW + offset)
        else:
            assert refusal(who, self.OWN, now=NOW + offset).reason is reason

    def test_its_path_is_looked_for_as_that_of_any_other(self) -> None:
        """Leaving it out would show by the time how a client is registered."""
        asked = []

        def path_to(name: str) -> Path:
            asked.append(name)
            return path()

        authenticate(self.client(self.OWN), self.OWN.facts, path_to, NO_ACCOUNTS.get, NOW)
        assert asked == ["default"]


class TestIdentity:
    OPERATOR = normalize(SubjectName(SubjectKind.SAN_URI, OPERATOR_ID))
    LEAF = AUTHORITY.client(uri(OPERATOR_ID))

    def test_name_and_authority_make_it(self) -> None:
        assert is_identity(self.OPERATOR, "default", self.LEAF.facts, paths(default=path()), NOW)

    def test_nothing_less(self) -> None:
        good = paths(default=path())
        assert not is_identity(self.OPERATOR, "default", None, good, NOW)
        assert not is_identity(self.OPERATOR, "default", LEAF.facts, good, NOW)
        assert not is_identity(self.OPERATOR, "default", self.LEAF.facts, paths(other=path()), NOW)
        assert not is_identity(self.OPERATOR, "default", self.LEAF.facts, good, NOW + 2 * HOUR)
