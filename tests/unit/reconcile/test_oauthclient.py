"""OAuthClient: what keeps it from being registered, when the issuer is asked, and when it counts as registered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.objects import INSTALLATION, after, client, registration, with_status
from builders.pki import NOW, self_signed_client
from mintls.api.v1alpha1 import OAuthClient
from mintls.core.oauth.claims import Contest
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.credential import Violation
from mintls.reconcile.oauthclient import (
    QUIET,
    Answer,
    Ask,
    Blocked,
    Conclusion,
    Keep,
    Observed,
    conclude,
    decide,
)
from mintls.reconcile.reasons import Reason

KNOWN = Answer("10.0.0.1:9443", uid="uid-shop-billing", generation=1)


LEAF = self_signed_client()
SELF_SIGNED = registration(tokenEndpointAuthMethod="self_signed_tls_client_auth", certificates=[LEAF.tls_crt.decode()])


def seen(item: OAuthClient | None = None, **changes: Any) -> Observed:
    observation = Observed(
        client=item or client(),
        registration=registration(),
        problem=None,
        contest=None,
        missing_authorities=(),
        installation=INSTALLATION,
        now=NOW,
    )
    return replace(observation, **changes)


def concluded(observation: Observed, answers: Sequence[Answer] = (), attempt: int = 0) -> Conclusion:
    return conclude(observation, decide(observation), tuple(answers), attempt)


def registered() -> OAuthClient:
    item = client()
    return with_status(item, concluded(seen(item), [KNOWN]).status)


OBSTACLES: dict[str, tuple[dict[str, Any], Reason, bool, tuple[str, ...]]] = {
    "the spec cannot be read": (
        {"registration": None, "problem": Violation(Reason.INVALID_SPEC, "spec.accessToken.lifetime: 'soon'")},
        Reason.INVALID_SPEC,
        True,
        ("spec.accessToken.lifetime", "'soon'"),
    ),
    "the identity is of another namespace": (
        {"problem": Violation(Reason.IDENTITY_NOT_ALLOWED, "sanDNS vault.bank.svc is outside")},
        Reason.IDENTITY_NOT_ALLOWED,
        True,
        ("sanDNS vault.bank.svc is outside",),
    ),
    "the client id is taken in this namespace": (
        {"contest": Contest("clientID", ("shop", "first")), "registration": registration(clientID="web")},
        Reason.CLIENT_ID_TAKEN,
        True,
        ('clientID "web"', 'OAuthClient "first"', "choose another one"),
    ),
    "the identity is taken by another namespace's client": (
        {"contest": Contest("identity", ("bank", "vault"))},
        Reason.IDENTITY_TAKEN,
        True,
        ('sanURI "spiffe://cluster.local/ns/shop/client/billing"', "a client of another namespace"),
    ),
    "a certificate is taken": (
        {"contest": Contest("certificate", ("bank", "vault")), "registration": SELF_SIGNED},
        Reason.CERTIFICATE_TAKEN,
        True,
        ("a certificate that it registers", "a client of another namespace", "each client needs its own"),
    ),
    "an authority is missing": (
        {"missing_authorities": ("a", "b")},
        Reason.AUTHORITY_NOT_FOUND,
        False,
        ('CertificateAuthority "a", "b"', "create it, or correct spec.authorities"),
    ),
}


class TestAnObstacle:
    @pytest.mark.parametrize("name", OBSTACLES)
    def test_is_named_and_nobody_is_asked(self, name: str) -> None:
        changes, reason, stalled, words = OBSTACLES[name]
        decision = decide(seen(**changes))
        assert isinstance(decision, Blocked)
        assert (decision.violation.reason, decision.stalled) == (reason, stalled)
        for word in words:
            assert word in decision.violation.message

    @pytest.mark.parametrize("name", OBSTACLES)
    def test_is_said_by_ready_and_registered_and_announced_once(self, name: str) -> None:
        changes, reason, stalled, _ = OBSTACLES[name]
        conclusion = concluded(seen(**changes))
        conditions = conclusion.status.conditions
        for type_ in ("Ready", "Registered"):
            condition = find(conditions, type_)
            assert condition is not None
            assert (condition.status, condition.reason) == ("False", reason)
        assert holds(conditions, "Stalled") == stalled
        assert holds(conditions, "Reconciling") != stalled
        assert conclusion.announcement is not None
        assert conclusion.announcement.warning
        again = concluded(seen(with_status(client(), conclusion.status), **changes))
        assert (again.announcement, again.status) == (None, conclusion.status)

    def test_in_another_namespace_is_not_named(self) -> None:
        """Who holds a name elsewhere is nobody's business."""
        decision = decide(seen(contest=Contest("clientID", ("bank", "vault"))))
        assert isinstance(decision, Blocked)
        assert "vault" not in decision.violation.message
        assert "bank" not in decision.violation.message

    def test_of_an_authority_is_none_to_a_client_that_nobody_vouches_for(self) -> None:
        assert isinstance(decide(seen(registration=SELF_SIGNED, missing_authorities=("default",))), Ask)

    @pytest.mark.parametrize("what", ["clientID", "identity", "certificate"])
    def test_of_a_contest_is_a_condition_only_while_it_lasts(self, what: str) -> None:
        claims = SELF_SIGNED if what == "certificate" else registration()
        contest = Contest(what, ("shop", "first"))
        contested = with_status(client(), concluded(seen(contest=contest, registration=claims)).status)
        assert holds(contested.status.conditions, "Conflict")
        free = concluded(seen(contested), [KNOWN]).status
        assert find(free.conditions, "Conflict") is None
        assert holds(free.conditions, "Ready")

    def test_of_its_own_spec_comes_before_a_contest_and_a_contest_before_an_authority(self) -> None:
        everything: dict[str, Any] = {
            "contest": Contest("identity", ("bank", "vault")),
            "missing_authorities": ("a",),
        }
        refused = Violation(Reason.IDENTITY_NOT_ALLOWED, "foreign")
        table: tuple[tuple[dict[str, Any], Reason], ...] = (
            ({"problem": refused, **everything}, Reason.IDENTITY_NOT_ALLOWED),
            (everything, Reason.IDENTITY_TAKEN),
        )
        for changes, reason in table:
            decision = decide(seen(**changes))
            assert isinstance(decision, Blocked)
            assert decision.violation.reason == reason

    def test_ends_the_registration_of_one_that_was_registered(self) -> None:
        conclusion = concluded(seen(registered(), missing_authorities=("default",)))
        assert not holds(conclusion.status.conditions, "Registered")
        assert isinstance(decide(seen(with_status(client(), conclusion.status))), Ask), "asked again when it is over"

    def test_of_a_spec_that_cannot_be_read_keeps_what_was_in_effect(self) -> None:
        status = concluded(seen(registered(), registration=None, problem=Violation(Reason.INVALID_SPEC, "?"))).status
        assert status.client_id == "shop:billing"


class TestRegistered:
    def test_needs_every_ready_replica_to_know_this_very_generation(self) -> None:
        assert isinstance(decide(seen()), Ask)
        conclusion = concluded(seen(), [KNOWN, replace(KNOWN, replica="10.0.0.2:9443")])
        assert [(c.type, c.status) for c in conclusion.status.conditions] == [("Ready", "True"), ("Registered", "True")]
        assert conclusion.look_again is None

    def test_says_what_is_in_effect(self) -> None:
        status = concluded(seen(), [KNOWN]).status
        assert (status.client_id, status.issuer) == ("shop:billing", INSTALLATION.issuer_url)
        assert status.token_endpoint == "https://mintls-issuer.mintls-system.svc:9443/token"
        assert status.identity is not None
        assert (status.identity.type, status.identity.value) == (
            "sanURI",
            "spiffe://cluster.local/ns/shop/client/billing",
        )
        assert status.observed_generation == 1

    def test_shows_the_certificates_that_authenticate_and_no_name(self) -> None:
        status = concluded(seen(registration=SELF_SIGNED), [KNOWN]).status
        assert status.identity is None
        [shown] = status.certificates
        assert (shown.thumbprint, shown.not_after) == (LEAF.thumbprint, LEAF.facts.not_after)
        assert concluded(seen(), [KNOWN]).status.certificates == ()

    def test_is_not_asked_again_and_not_written_again(self) -> None:
        item = registered()
        assert isinstance(decide(seen(item)), Keep)
        assert concluded(seen(item, now=after(days=3))).status == item.status

    def test_is_asked_again_for_another_generation(self) -> None:
        item = registered()
        newer = client(generation=2)
        assert isinstance(decide(seen(with_status(newer, item.status))), Ask)

    def test_of_a_suspended_client_is_true_and_says_that_it_is_suspended(self) -> None:
        item = client(spec={"suspended": True})
        ready = find(concluded(seen(item), [KNOWN]).status.conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("True", "Suspended")
        assert "spec.suspended" in ready.message

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (Answer("r2"), "r2: it does not know the client"),
            (Answer("r2", uid="uid-shop-billing", generation=0), "r2: it knows generation 0"),
            (Answer("r2", uid="uid-of-an-earlier-one", generation=1), "r2: it knows generation 1"),
            (Answer("r2", problem="no answer: time-out"), "r2: no answer: time-out"),
            (Answer("r2", uid="uid-shop-billing", generation=1, problem="odd"), "r2: odd"),
        ],
    )
    def test_is_never_said_while_one_replica_is_behind(self, answer: Answer, words: str) -> None:
        conclusion = concluded(seen(), [KNOWN, answer], attempt=QUIET)
        ready = find(conclusion.status.conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", Reason.WAITING_FOR_ISSUER)
        assert "1 of 2 issuer replicas know generation 1" in ready.message
        assert words in ready.message
        assert not holds(conclusion.status.conditions, "Registered")

    def test_is_true_while_a_replica_has_not_got_the_keys_elsewhere_and_ready_is_not(self) -> None:
        without = replace(KNOWN, replica="r2", jwks_problem="the server answered HTTP 404")
        conclusion = concluded(seen(), [KNOWN, without], attempt=QUIET)
        conditions = conclusion.status.conditions
        ready = find(conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", Reason.KEYS_NOT_FETCHED)
        assert ready.message == (
            "1 of 2 issuer replicas have not got the keys at spec.jwksURI; r2: the server answered HTTP 404"
        )
        assert (holds(conditions, "Registered"), holds(conditions, "Stalled")) == (True, False)
        assert conclusion.announcement is not None
        assert conclusion.look_again is not None
        waiting = with_status(client(), conclusion.status)
        assert isinstance(decide(seen(waiting)), Ask), "it is asked until it is Ready"
        assert holds(concluded(seen(waiting), [KNOWN, KNOWN]).status.conditions, "Ready")

    @pytest.mark.parametrize(
        ("has_room", "reason", "words"),
        [
            (
                True,
                Reason.SIGNING_KEY_MISSING,
                "1 of 2 issuer replicas cannot sign as spec.accessToken wants it; r2: none",
            ),
            (False, Reason.NO_ROOM_FOR_KEY, "do without spec.accessToken.dedicatedKey somewhere"),
        ],
    )
    def test_is_true_while_a_replica_cannot_sign_and_ready_is_not(
        self, *, has_room: bool, reason: Reason, words: str
    ) -> None:
        without = replace(KNOWN, replica="r2", signing_problem="none")
        conclusion = concluded(seen(has_room=has_room), [KNOWN, without], attempt=QUIET)
        ready = find(conclusion.status.conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", reason)
        assert words in ready.message
        assert holds(conclusion.status.conditions, "Registered")
        assert conclusion.look_again is not None

    def test_says_where_the_keys_are_that_verify_its_tokens(self) -> None:
        assert concluded(seen(), [KNOWN]).status.access_token_jwks_uri == f"{INSTALLATION.issuer_url}/jwks"
        own = registration(accessToken={"dedicatedKey": True})
        shown = concluded(seen(registration=own), [KNOWN]).status.access_token_jwks_uri
        assert shown == f"{INSTALLATION.issuer_url}/clients/shop:billing/jwks"

    def test_is_never_said_when_there_is_no_replica(self) -> None:
        conclusion = concluded(seen(), [], attempt=QUIET)
        ready = find(conclusion.status.conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", Reason.NO_ISSUER_READY)
        assert conclusion.announcement is not None


answers = st.lists(
    st.builds(
        Answer,
        replica=st.just("r"),
        uid=st.sampled_from(["", "uid-shop-billing", "other"]),
        generation=st.integers(0, 2),
        problem=st.sampled_from(["", "no answer"]),
    ),
    max_size=4,
)


@given(answers=answers, attempt=st.integers(0, 30))
def test_registered_is_true_if_and_only_if_all_answers_say_so(answers: list[Answer], attempt: int) -> None:
    conclusion = concluded(seen(), answers, attempt)
    all_know = bool(answers) and all(replace(answer, replica=KNOWN.replica) == KNOWN for answer in answers)
    assert holds(conclusion.status.conditions, "Registered") == all_know
    assert holds(conclusion.status.conditions, "Ready") == all_know
    assert (conclusion.look_again is None) == all_know


class TestTheQuietPeriod:
    def test_writes_nothing_while_a_change_travels_to_the_issuer(self) -> None:
        item = client()
        for attempt in range(QUIET):
            conclusion = concluded(seen(item), [Answer("r")], attempt)
            assert (conclusion.status, conclusion.announcement) == (item.status, None)
        assert concluded(seen(item), [Answer("r")], QUIET).status != item.status

    def test_lasts_two_seconds_at_most(self) -> None:
        waits = [concluded(seen(), [Answer("r")], attempt).look_again for attempt in range(QUIET)]
        assert sum(((wait - NOW) for wait in waits if wait is not None), timedelta()) < timedelta(seconds=2)

    def test_is_followed_by_growing_waits_up_to_a_quarter_of_a_minute(self) -> None:
        waits = [concluded(seen(), [Answer("r")], attempt).look_again for attempt in range(40)]
        assert None not in waits
        assert waits == sorted(waits)  # type: ignore[type-var] # none is None
        assert waits[0] == after(seconds=0.05)
        assert waits[-1] == after(seconds=15)

    def test_is_over_only_once(self) -> None:
        item = client()
        first = concluded(seen(item), [Answer("r")], QUIET)
        second = concluded(seen(with_status(item, first.status)), [Answer("r")], QUIET + 1)
        assert first.announcement is not None
        assert (second.announcement, second.status) == (None, first.status)
