"""A ClientCertificate from look to look: when it is issued, renewed, written again, kept, and what its status says."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import pki
from builders.credentials import Life, end_of, issued, life, renewal_of
from builders.objects import after, authority_view, certificate, default_authority, registration
from builders.pki import NOW, authority
from mintls.core.pki.credential import check_credential
from mintls.core.pki.keys import key_fingerprint, load_private_key
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.reconcile.certificate.conclude import conclude
from mintls.reconcile.certificate.decide import decide, must_read
from mintls.reconcile.certificate.values import Issue, Keep, Postponed, Rewrite, Written
from mintls.reconcile.credential import REVISION, Violation
from mintls.reconcile.reasons import Reason

REFUSED = Violation(Reason.WRITE_FAILED, "the Secret was not written: the API server is full")
OWN_NAME = normalize(SubjectName(SubjectKind.SAN_URI, pki.CLIENT_ID))


class TestTheFirstLook:
    def test_issues_the_identity_and_nothing_but_the_identity(self) -> None:
        made = issued()
        credential = check_credential(made.secret.data["tls.crt"], made.secret.data["tls.key"])
        assert credential.leaf.names == {OWN_NAME}
        assert credential.leaf.subject is None

    def test_puts_beside_it_all_that_a_client_needs(self) -> None:
        data = issued().secret.data
        assert {name: data[name].decode() for name in ("client-id", "issuer", "token-endpoint", "ca.crt")} == {
            "client-id": "shop:billing",
            "issuer": "https://mintls-issuer.mintls-system.svc:8443",
            "token-endpoint": "https://mintls-issuer.mintls-system.svc:9443/token",
            "ca.crt": default_authority().bundle,
        }

    def test_says_so_in_the_status(self) -> None:
        made = issued()
        leaf = check_credential(made.secret.data["tls.crt"], made.secret.data["tls.key"]).leaf
        status = made.status
        assert (status.serial_number, status.thumbprint) == (f"{leaf.serial:x}", leaf.thumbprint)
        assert (status.not_before, status.not_after) == (leaf.not_before, leaf.not_after)
        assert (status.revision, status.observed_generation) == (1, 1)
        assert [(condition.type, condition.status) for condition in status.conditions] == [("Ready", "True")]

    def test_costs_one_secret_one_status_and_one_event(self) -> None:
        made = issued()
        made.settle()
        assert (made.secret.written, made.status_writes, len(made.said)) == (1, 1, 1)
        assert not made.said[0].warning
        assert made.said[0].reason == Reason.ISSUED
        assert "the Secret does not exist" in made.said[0].message

    def test_backdates_and_lives_for_the_duration(self) -> None:
        made = issued({"duration": "2h"})
        assert (made.status.not_before, made.status.not_after) == (after(minutes=-1), after(hours=2))

    def test_comes_back_at_the_renewal_time(self) -> None:
        made = life()
        conclusion = made.look()
        assert conclusion is not None
        assert conclusion.look_again == renewal_of(made)


class TestTheSecondLook:
    def test_keeps_without_reading_the_secret_and_without_a_write(self) -> None:
        made = issued()
        made.now = after(hours=1)
        assert not must_read(made.observe())
        conclusion = made.look()
        assert conclusion is not None
        assert not made.writes_status(conclusion)
        assert conclusion.announcement is None

    def test_after_a_restart_reads_nothing_either(self) -> None:
        made = issued()
        made.restart()
        assert not must_read(made.observe())
        made.look()
        assert made.status_writes == 1

    def test_reads_a_secret_whose_version_is_another_and_remembers_the_new_one(self) -> None:
        made = issued()
        made.secret.edit_metadata(annotations={**made.secret.view.annotations, "team": "a"})  # type: ignore[union-attr] # it was issued
        assert must_read(made.observe())
        made.look()
        assert made.status_writes == 1, "a foreign annotation is worth no write"
        assert not must_read(made.observe())

    def test_cannot_decide_what_was_not_read(self) -> None:
        made = issued()
        made.secret.edit(ca__crt=b"other")
        made.whole = made.status.secret_resource_version
        seen = replace(made.observe(), contents=None)
        assert must_read(seen)
        made.item = certificate()
        with pytest.raises(ValueError, match="has to be read"):
            decide(replace(made.observe(), contents=None))

    @pytest.mark.parametrize("lost", ["notBefore", "notAfter"])
    def test_reads_the_secret_when_the_status_lost_half_of_the_validity(self, lost: str) -> None:
        made = issued()
        made.item = certificate(
            status={
                "secretResourceVersion": made.status.secret_resource_version,
                "notBefore": made.status.not_before,
                "notAfter": made.status.not_after,
                lost: None,
            }
        )
        made.settle()
        assert made.ready()
        assert made.status.not_before is not None
        assert made.secret.written == 1


def broken_key(made: Life) -> None:
    made.secret.edit(tls__key=b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def foreign_key(made: Life) -> None:
    made.secret.edit(tls__key=default_authority().client().tls_key)


def foreign_credential(made: Life) -> None:
    leaf = authority("default").client()
    made.secret.edit(tls__crt=leaf.tls_crt, tls__key=leaf.tls_key)


def other_names(made: Life) -> None:
    leaf = default_authority().client(pki.uri(pki.CLIENT_ID, "spiffe://cluster.local/ns/bank/client/vault"))
    made.secret.edit(tls__crt=leaf.tls_crt, tls__key=leaf.tls_key)


def other_subject(made: Life) -> None:
    leaf = default_authority().client(subject="CN=vault")
    made.secret.edit(tls__crt=leaf.tls_crt, tls__key=leaf.tls_key)


def other_key_kind(made: Life) -> None:
    leaf = default_authority().client(key=pki.ed25519_key())
    made.secret.edit(tls__crt=leaf.tls_crt, tls__key=leaf.tls_key)


def lost_digest(made: Life) -> None:
    made.secret.edit_metadata(annotations={})


def other_root(made: Life) -> None:
    made.authority = authority("default")
    made.view = authority_view(made.authority)


def other_client_name(made: Life) -> None:
    made.changes["registration"] = registration(tlsClientAuth={"sanDNS": "billing.shop.svc"})


ISSUED_ANEW: tuple[tuple[str, Any, Reason], ...] = (
    ("it was deleted", lambda made: made.secret.delete(), Reason.SECRET_MISSING),
    ("tls.key was taken out", lambda made: made.secret.edit(tls__key=None), Reason.SECRET_INCOMPLETE),
    ("tls.crt was emptied", lambda made: made.secret.edit(tls__crt=b""), Reason.SECRET_INCOMPLETE),
    ("tls.crt is garbage", lambda made: made.secret.edit(tls__crt=b"garbage"), Reason.CREDENTIAL_BROKEN),
    ("tls.key is broken", broken_key, Reason.CREDENTIAL_BROKEN),
    ("tls.key is another's", foreign_key, Reason.CREDENTIAL_BROKEN),
    ("it is of a CA of the same name", foreign_credential, Reason.AUTHORITY_CHANGED),
    ("the authority has another root", other_root, Reason.AUTHORITY_CHANGED),
    ("it carries one more name", other_names, Reason.NAMES_DIFFER),
    ("it has a subject", other_subject, Reason.NAMES_DIFFER),
    ("its key is of another kind", other_key_kind, Reason.KEY_DIFFERS),
    ("the digest was taken away", lost_digest, Reason.SPEC_CHANGED),
    ("the duration changed", lambda made: made.edit_spec(duration="12h"), Reason.SPEC_CHANGED),
    ("the key's kind changed", lambda made: made.edit_spec(privateKey={"algorithm": "Ed25519"}), Reason.SPEC_CHANGED),
    ("a name was added", lambda made: made.edit_spec(dnsNames=["billing.shop.svc"]), Reason.SPEC_CHANGED),
    ("the client has another name", other_client_name, Reason.SPEC_CHANGED),
)


@pytest.mark.parametrize(("how", "harm", "reason"), ISSUED_ANEW, ids=[how for how, _, _ in ISSUED_ANEW])
def test_a_new_certificate_is_issued_at_once_when(how: str, harm: Any, reason: Reason) -> None:
    made = issued()
    made.now = after(hours=1)
    harm(made)
    decision = decide(made.observe())
    assert isinstance(decision, Issue), how
    assert decision.violation.reason == reason
    made.settle()
    assert made.ready()
    assert made.status.revision == 2
    assert made.secret.written == 2
    assert made.said[-1].reason == Reason.ISSUED
    assert decision.violation.message in made.said[-1].message


def lost_label(made: Life) -> None:
    made.secret.edit_metadata(labels={"team": "a"})


def other_bundle(made: Life) -> None:
    made.view = replace(made.view, bundle=made.view.bundle + authority("next").bundle)


WRITTEN_AGAIN: tuple[tuple[str, Any, Reason], ...] = (
    ("ca.crt was edited", lambda made: made.secret.edit(ca__crt=b"other"), Reason.CONTENTS_DIFFER),
    ("the client id was taken out", lambda made: made.secret.edit(**{"client-id": None}), Reason.CONTENTS_DIFFER),
    ("another root is trusted as well", other_bundle, Reason.CONTENTS_DIFFER),
    ("the labels are gone", lost_label, Reason.METADATA_DIFFERS),
)


@pytest.mark.parametrize(("how", "harm", "reason"), WRITTEN_AGAIN, ids=[how for how, _, _ in WRITTEN_AGAIN])
def test_the_secret_is_written_again_with_the_same_certificate_when(how: str, harm: Any, reason: Reason) -> None:
    made = issued()
    before = made.secret.data, made.status.serial_number
    harm(made)
    decision = decide(made.observe())
    assert isinstance(decision, Rewrite), how
    assert decision.violation.reason == reason
    made.settle()
    assert made.secret.written == 2
    assert (made.secret.data["tls.key"], made.status.serial_number) == (before[0]["tls.key"], before[1])
    assert made.status.revision == 1
    assert made.said[-1].reason == Reason.SECRET_REPAIRED


def test_foreign_files_and_labels_in_the_secret_survive_a_renewal() -> None:
    made = issued()
    made.secret.edit(notes=b"mine")
    made.now = renewal_of(made)
    made.settle()
    assert made.secret.written == 2
    assert made.secret.data["notes"] == b"mine"


class TestRenewal:
    def test_is_not_due_a_second_before_its_time(self) -> None:
        made = issued()
        made.now = renewal_of(made) - timedelta(seconds=1)
        assert isinstance(decide(made.observe()), Keep)

    def test_is_due_at_its_time_and_needs_no_reading(self) -> None:
        made = issued()
        made.now = renewal_of(made)
        assert not must_read(made.observe())
        decision = decide(made.observe())
        assert isinstance(decision, Issue)
        assert decision.violation.reason == Reason.RENEWAL_DUE

    def test_makes_another_key_and_counts_the_revision(self) -> None:
        made = issued()
        serial = made.status.serial_number
        made.now = renewal_of(made)
        made.settle()
        assert made.status.revision == 2
        assert made.status.serial_number != serial

    def test_follows_renew_before_at_once_without_another_certificate(self) -> None:
        made = issued()
        made.edit_spec(renewBefore="1h")
        conclusion = made.look()
        assert conclusion is not None
        assert after(hours=22, minutes=50) < conclusion.look_again <= after(hours=23)  # type: ignore[operator] # not None
        assert (made.secret.written, made.status.revision) == (1, 1)
        assert made.status.renewal_time == conclusion.look_again

    def test_follows_a_percentage_of_the_time_that_the_certificate_has(self) -> None:
        ends_soon = pki.authority(intermediate_not_after=after(hours=10))
        made = issued({"renewBefore": "20%"}, authority=ends_soon, view=authority_view(ends_soon))
        assert after(hours=7, minutes=47) < renewal_of(made) <= after(hours=8)

    @pytest.mark.parametrize(
        ("spec", "backdate"),
        [
            ({"duration": "1m", "renewBefore": "99%"}, "1m"),
            ({"duration": "1m", "renewBefore": "59s"}, "1m"),
            ({"duration": "24h", "renewBefore": "23h59m59s"}, "1m"),
            ({"duration": "24h", "renewBefore": "23h59m"}, "1h"),
            ({"duration": "1m"}, "5m"),
            ({"duration": "1h"}, "24h"),
        ],
    )
    @pytest.mark.parametrize("uid", ["a", "b", "c"])
    def test_never_asks_for_the_next_certificate_at_once(self, spec: dict[str, Any], backdate: str, uid: str) -> None:
        """Whatever duration, renewBefore and backdating say: two issued in one second would be two million a year."""
        minutes = {"1m": 1, "5m": 5, "1h": 60, "24h": 24 * 60}[backdate]
        made = Life(certificate(spec=spec, uid=uid), view=authority_view(backdate=timedelta(minutes=minutes)))
        made.look()
        assert renewal_of(made) >= after(seconds=5)
        assert renewal_of(made) < end_of(made)

    def test_a_leaf_ends_with_its_authority_and_is_renewed_before_that(self) -> None:
        ends_soon = pki.authority(intermediate_not_after=after(hours=3))
        made = issued(authority=ends_soon, view=authority_view(ends_soon))
        assert made.status.not_after == after(hours=3)
        assert after(hours=1, minutes=30) < renewal_of(made) < after(hours=3)

    def test_does_not_loop_while_the_authority_nears_its_end(self) -> None:
        """Each leaf lives shorter than the one before; there must be few of them, not one a look."""
        ending = pki.authority(intermediate_not_after=after(minutes=30))
        made = issued(authority=ending, view=authority_view(ending))
        looks = 0
        while made.now < after(minutes=30) - timedelta(seconds=1):
            made.now = max(renewal_of(made), made.now + timedelta(milliseconds=50))
            made.settle()
            looks += 1
        assert looks < 20


NEVER = {"rotationPolicy": "Never"}


def key_of(made: Life) -> str:
    return key_fingerprint(load_private_key(made.secret.data["tls.key"]).public_key())


class TestAKeyThatNeverRotates:
    def never(self, **key: Any) -> Life:
        return issued({"privateKey": {**NEVER, **key}})

    def test_is_read_when_the_renewal_is_due_and_not_before(self) -> None:
        made = self.never()
        assert not must_read(made.observe())
        made.now = renewal_of(made)
        unread = replace(made.observe(), contents=None)
        assert must_read(unread)
        with pytest.raises(ValueError, match="has to be read before its key is kept"):
            decide(unread)

    def test_is_not_read_while_the_next_attempt_is_not_due(self) -> None:
        made = self.never()
        made.now = renewal_of(made)
        made.refused = REFUSED
        made.look()
        assert isinstance(decide(made.observe()), Postponed)
        assert not must_read(made.observe())

    @pytest.mark.parametrize("encoding", ["PKCS8", "PKCS1"])
    def test_is_kept_by_a_renewal_which_says_so(self, encoding: str) -> None:
        made = self.never(encoding=encoding)
        key, pem = key_of(made), made.secret.data["tls.key"]
        made.now = renewal_of(made)
        made.settle()
        assert (made.status.revision, made.secret.written) == (2, 2)
        assert made.secret.data["tls.key"] == pem
        assert made.status.key_fingerprint == key
        assert made.said[-1].message.startswith("issued a certificate for the same key into Secret")

    def test_rotates_once_it_may(self) -> None:
        made = self.never()
        key = key_of(made)
        made.edit_spec(privateKey={})
        made.settle()
        assert (made.status.revision, key_of(made)) == (1, key), "nothing to do before the renewal"
        made.now = renewal_of(made)
        made.settle()
        assert key_of(made) != key
        assert "same key" not in made.said[-1].message

    def test_is_replaced_when_it_no_longer_fits(self) -> None:
        made = self.never()
        made.edit_spec(privateKey={**NEVER, "size": 384})
        made.settle()
        assert check_credential(made.secret.data["tls.crt"], made.secret.data["tls.key"]).key.size == 384

    @pytest.mark.parametrize("harm", [{"tls__crt": b"scribble"}, {"tls__crt": None}])
    def test_outlives_its_certificate(self, harm: dict[str, bytes | None]) -> None:
        made = self.never()
        key = key_of(made)
        made.secret.edit(**harm)
        made.settle()
        assert (made.status.revision, key_of(made)) == (2, key)

    @pytest.mark.parametrize("harm", [{"tls__key": b"scribble"}, {"tls__key": b""}])
    def test_is_replaced_when_it_is_lost(self, harm: dict[str, bytes | None]) -> None:
        made = self.never()
        made.secret.edit(**harm)
        made.settle()
        assert made.ready()

    @pytest.mark.parametrize("pair", ["key alone", "own authority", "another client of this authority"])
    def test_is_not_taken_from_somebody_who_put_his_own_there(self, pair: str) -> None:
        """Who may write Secrets, and no more, does not get a certificate of the client for a key that he has."""
        made = self.never()
        vault = pki.dns("vault.shop.svc")
        leaf = {
            "key alone": default_authority().client(),
            "own authority": authority("default").client(),
            "another client of this authority": default_authority().client(vault),
        }[pair]
        made.secret.edit(tls__key=leaf.tls_key, **({} if pair == "key alone" else {"tls__crt": leaf.tls_crt}))
        made.settle()
        assert made.ready()
        assert key_of(made) != key_fingerprint(leaf.key.public_key())

    def test_is_known_when_the_operator_was_killed_before_it_wrote_the_status(self) -> None:
        made = life({"privateKey": NEVER})
        made.look(killed=True)
        key = key_of(made)
        made.edit_spec(duration="12h")
        made.settle()
        assert (made.status.revision, key_of(made)) == (2, key)

    def test_follows_a_new_root(self) -> None:
        made = self.never()
        key = key_of(made)
        made.authority = authority("default")
        made.view = authority_view(made.authority)
        made.settle()
        assert (made.status.revision, key_of(made)) == (2, key)


class TestTheEncoding:
    def test_is_changed_around_the_same_key_and_certificate(self) -> None:
        made = issued()
        crt, key = made.secret.data["tls.crt"], key_of(made)
        made.edit_spec(privateKey={"encoding": "PKCS1"})
        assert must_read(made.observe())
        made.settle()
        assert made.secret.data["tls.key"].startswith(b"-----BEGIN EC PRIVATE KEY-----")
        assert (made.secret.data["tls.crt"], key_of(made)) == (crt, key)
        assert (made.status.revision, made.secret.written) == (1, 2)
        assert "because tls.key is not encoded as PKCS1" in made.said[-1].message

    def test_of_an_object_older_than_the_schema_is_refused(self) -> None:
        made = life({"privateKey": {"algorithm": "Ed25519", "encoding": "PKCS1"}})
        made.look()
        refused = made.condition("Stalled")
        assert refused is not None
        assert refused.message == (
            "spec.privateKey: encoding PKCS1 of Ed25519: there is no such form; write PKCS8, or leave encoding out"
        )


TEAM = {"labels": {"team": "blue"}, "annotations": {"example.com/note": "mind this"}}


class TestTheTemplateOfTheSecret:
    def metadata(self, made: Life) -> dict[str, str]:
        assert made.secret.view is not None
        return {**made.secret.view.labels, **made.secret.view.annotations}

    def test_is_on_the_secret_from_the_first(self) -> None:
        made = issued({"secretTemplate": TEAM})
        assert {"team": "blue", "example.com/note": "mind this"}.items() <= self.metadata(made).items()

    def test_is_put_on_a_secret_that_is_there_and_taken_off_again(self) -> None:
        made = issued()
        crt = made.secret.data["tls.crt"]
        made.secret.edit_metadata(labels={**self.labels(made), "foreign": "stays"})
        made.edit_spec(secretTemplate=TEAM)
        made.settle()
        assert self.metadata(made)["team"] == "blue"
        made.edit_spec(secretTemplate=None)
        made.settle()
        assert not {"team", "example.com/note"} & self.metadata(made).keys()
        assert self.metadata(made)["foreign"] == "stays"
        assert (made.secret.data["tls.crt"], made.status.revision, made.secret.written) == (crt, 1, 3)

    def labels(self, made: Life) -> dict[str, str]:
        assert made.secret.view is not None
        return dict(made.secret.view.labels)

    @pytest.mark.parametrize("labels", [{"team": "red"}, {}])
    def test_is_put_right_when_somebody_changed_it(self, labels: dict[str, str]) -> None:
        made = issued({"secretTemplate": TEAM})
        made.secret.edit_metadata(labels={**self.labels(made), "team": "", **labels})
        made.settle()
        assert self.labels(made)["team"] == "blue"
        assert "because the Secret needs team as spec.secretTemplate has it" in made.said[-1].message

    def test_of_an_object_older_than_the_schema_does_not_touch_what_is_ours(self) -> None:
        labels = {"app.kubernetes.io/managed-by": "me", "mintls.dev/component": "x", "a.mintls.dev/b": "x"}
        annotations = {"mintls.dev/revision": "7"}
        made = issued({"secretTemplate": {"labels": labels, "annotations": annotations}})
        there = self.metadata(made)
        assert there["app.kubernetes.io/managed-by"] == "mintls"
        assert there["mintls.dev/component"] == "client-certificate"
        assert there[REVISION] == "1"
        assert "a.mintls.dev/b" not in there
        assert isinstance(decide(made.observe()), Keep)


class TestKilledBetweenSecretAndStatus:
    def test_the_first_time(self) -> None:
        made = life()
        made.look(killed=True)
        made.settle()
        assert (made.secret.written, made.status.revision) == (1, 1)
        assert made.ready()

    def test_in_a_renewal(self) -> None:
        made = issued()
        made.now = renewal_of(made)
        made.look(killed=True)
        made.settle()
        assert (made.secret.written, made.status.revision) == (2, 2)
        leaf = check_credential(made.secret.data["tls.crt"], made.secret.data["tls.key"]).leaf
        assert made.status.thumbprint == leaf.thumbprint

    def test_in_a_second_writing(self) -> None:
        made = issued()
        made.secret.edit(ca__crt=b"other")
        made.look(killed=True)
        made.settle()
        assert (made.secret.written, made.status.revision) == (2, 1)


class TestTheRevision:
    @pytest.mark.parametrize("marked", ["", "abc", "-1", "²", "1.5", "9" * 5000, "9" * 30])
    def test_in_the_annotation_that_is_no_number_counts_for_nothing(self, marked: str) -> None:
        """Whoever may edit the Secret may write anything there; the status could not even hold a number so long."""
        made = issued()
        view = made.secret.view
        assert view is not None
        made.secret.edit_metadata(annotations={**view.annotations, REVISION: marked})
        made.now = renewal_of(made)
        made.settle()
        assert made.status.revision == 2

    def test_of_somebody_elses_secret_does_not_count(self) -> None:
        made = issued()
        made.secret.edit_metadata(ownerReferences=[], annotations={REVISION: "41"})
        made.look()
        assert made.status.revision == 1

    def test_is_one_at_least_once_there_is_a_certificate(self) -> None:
        made = issued()
        view = made.secret.view
        assert view is not None
        made.item = certificate()
        made.secret.edit_metadata(
            annotations={key: value for key, value in view.annotations.items() if key != REVISION}
        )
        made.settle()
        assert made.status.revision == 1


class TestWhatIsSaid:
    def test_of_an_obstacle_is_announced_once_and_again_when_it_is_another(self) -> None:
        made = life(changes={"registration": None})
        for _ in range(3):
            made.look()
        made.changes = {"rival": "first"}
        for _ in range(3):
            made.look()
        assert [each.reason for each in made.said] == [Reason.CLIENT_NOT_FOUND, Reason.SECRET_CLAIMED]
        assert made.status_writes == 2

    def test_of_waiting_and_stalling_is_as_kstatus_reads_it(self) -> None:
        made = life(changes={"registration": None})
        made.look()
        assert (made.condition("Reconciling") is not None, made.condition("Stalled") is not None) == (True, False)
        made.changes = {"rival": "first"}
        made.look()
        assert (made.condition("Reconciling") is not None, made.condition("Stalled") is not None) == (False, True)

    def test_of_an_obstacle_keeps_what_is_known_of_the_certificate(self) -> None:
        made = issued()
        known = made.status
        made.changes = {"registration": None}
        made.look()
        assert not made.ready()
        assert (made.status.thumbprint, made.status.revision) == (known.thumbprint, known.revision)
        made.changes = {}
        made.look()
        assert made.ready()
        assert made.secret.written == 1

    def test_of_a_foreign_secret_comes_with_another_look_because_nobody_tells_when_it_is_gone(self) -> None:
        """It carries no label of ours, so no watch sees it go."""
        made = issued()
        made.secret.edit_metadata(ownerReferences=[], labels={})
        assert must_read(made.observe())
        conclusion = made.look()
        assert conclusion is not None
        assert conclusion.look_again is not None
        assert NOW < conclusion.look_again <= after(minutes=5)
        assert made.said[-1].reason == Reason.SECRET_NOT_OWNED
        assert made.secret.written == 1

    def test_of_a_new_generation_is_said_of_that_generation(self) -> None:
        made = issued()
        made.edit_spec(renewBefore="1h")
        made.look()
        assert made.status.observed_generation == 2
        assert {condition.observed_generation for condition in made.status.conditions} == {2}


def test_what_was_not_done_cannot_be_concluded() -> None:
    made = issued()
    leaf = check_credential(made.secret.data["tls.crt"], made.secret.data["tls.key"]).leaf
    made.secret.delete()
    seen = made.observe()
    with pytest.raises(ValueError, match="Issue cannot have come to NoneType"):
        conclude(seen, decide(seen), None)
    assert conclude(seen, decide(seen), Written(leaf, "5")).status.secret_resource_version == "5"
