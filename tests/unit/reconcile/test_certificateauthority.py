"""A CertificateAuthority: its root is made once for all and never replaced, its intermediate at half of its life."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import pki
from builders.objects import (
    after,
    ca_object,
    default_authority,
    intermediate_secret,
    key_secret,
    root_secret,
    with_status,
)
from builders.pki import NOW, authority, ec_key, serial
from mintls.api.v1alpha1 import CertificateAuthority
from mintls.api.v1alpha1.certificateauthority import HOLD_ROTATION
from mintls.core.pki.certificate import encode_pem, key_fingerprint
from mintls.core.pki.keys import KeySpec, PrivateKey, encode_private_key
from mintls.core.pki.profiles import IntermediateProfile, RootProfile
from mintls.core.pki.signing import CertificateAuthorityKey, sign_intermediate, sign_root
from mintls.reconcile.certificateauthority import (
    AUTHORITY,
    Blocked,
    CreateIntermediate,
    CreateRoot,
    Decision,
    Keep,
    KeySecret,
    Observed,
    conclude,
    decide,
    failed,
    rotation_time,
    secret_labels,
)
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason

ROOT_NAME = "mintls-authority-default-root"


HELD = ca_object(annotations={HOLD_ROTATION: "true"})
"""Its root is not replaced, however soon it ends."""


def seen(
    item: CertificateAuthority | None = None,
    root: KeySecret | None = None,
    intermediate: KeySecret | None = None,
    now: datetime = NOW,
) -> Observed:
    return Observed(item or ca_object(), root, intermediate, ROOT_NAME, "mintls-system", now)


def complete(item: CertificateAuthority | None = None, of: pki.Authority | None = None, **parts: Any) -> Observed:
    return seen(item, **{"root": root_secret(of), "intermediate": intermediate_secret(of), **parts})


def known(of: pki.Authority | None = None) -> CertificateAuthority:
    """An authority whose status names its root."""
    item = ca_object()
    observation = complete(item, of)
    decision = decide(observation)
    assert isinstance(decision, Keep)
    return with_status(item, conclude(observation, decision).status)


def violation_of(decision: Decision) -> Violation:
    assert isinstance(decision, Blocked)
    return decision.violation


class TestANewAuthority:
    def test_gets_a_root_first(self) -> None:
        decision = decide(seen())
        assert isinstance(decision, CreateRoot)
        assert (decision.not_before, decision.not_after) == (after(minutes=-5), after(hours=87600))
        assert decision.key == KeySpec("ECDSA", 256)
        assert decision.common_name == f"Mintls default Root {NOW:%Y%m%d%H%M%S}"

    def test_gets_an_intermediate_then(self) -> None:
        decision = decide(seen(root=root_secret()))
        assert isinstance(decision, CreateIntermediate)
        assert (decision.not_before, decision.not_after) == (after(minutes=-5), after(hours=2160))
        assert decision.replaced is None

    def test_is_ready_with_both(self) -> None:
        observation = complete()
        decision = decide(observation)
        assert isinstance(decision, Keep)
        conclusion = conclude(observation, decision)
        assert holds(conclusion.status.conditions, "Ready")
        assert conclusion.look_again == decision.rotation == conclusion.status.next_rotation_time
        assert conclusion.announcement is None

    def test_tells_its_keys_in_the_status_and_nothing_secret(self) -> None:
        made = default_authority()
        (key,) = known().status.keys
        assert (key.role, key.fingerprint) == ("active", key_fingerprint(made.root))
        assert key.certificate == encode_pem(made.root).decode()
        assert key.intermediate == encode_pem(made.intermediate).decode()
        assert key.not_after == made.root.not_valid_after_utc
        assert key.intermediate_not_after == made.intermediate.not_valid_after_utc
        assert "PRIVATE" not in repr(known().status)

    def test_has_a_name_that_fits_into_a_certificate(self) -> None:
        decision = decide(seen(ca_object("a" * 63)))
        assert isinstance(decision, CreateRoot)
        assert len(decision.common_name) == 64
        sign_root(RootProfile(decision.common_name, NOW, after(days=1)), ec_key(), serial())

    @pytest.mark.parametrize(
        ("key", "spec"),
        [
            ({"algorithm": "RSA"}, KeySpec("RSA", 2048)),
            ({"algorithm": "RSA", "size": 4096}, KeySpec("RSA", 4096)),
            ({"algorithm": "ECDSA", "size": 384}, KeySpec("ECDSA", 384)),
        ],
    )
    def test_has_the_key_that_its_spec_asks_for(self, key: dict[str, Any], spec: KeySpec) -> None:
        decision = decide(seen(ca_object(spec={"selfSigned": {"privateKey": key}})))
        assert isinstance(decision, CreateRoot)
        assert decision.key == spec

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"selfSigned": {"root": {"duration": "ten years"}}}, "'ten years'"),
            ({"policy": {"backdate": "soon"}}, "'soon'"),
            ({"policy": {"maxDuration": "x"}}, "'x'"),
            ({"selfSigned": {"privateKey": {"algorithm": "ECDSA", "size": 521}}}, "256 or 384"),
            ({"selfSigned": {"privateKey": {"algorithm": "Ed25519"}}}, "ECDSA or RSA"),
        ],
    )
    def test_with_a_spec_that_cannot_be_followed_makes_nothing(self, spec: dict[str, Any], words: str) -> None:
        """No path validation in ``cryptography`` takes a CA's key that is Ed25519, so none is signed."""
        violation = violation_of(decide(seen(ca_object(spec=spec))))
        assert violation.reason == Reason.INVALID_SPEC
        assert words in violation.message


class TestTheRoot:
    def test_that_is_lost_is_never_made_anew(self) -> None:
        violation = violation_of(decide(seen(known(), intermediate=intermediate_secret())))
        assert violation.reason == Reason.KEY_LOST
        for words in (
            ROOT_NAME,
            "mintls-system",
            "Restore the Secret from a backup",
            "delete the CertificateAuthority",
        ):
            assert words in violation.message

    def test_that_is_lost_is_still_named_in_the_status(self) -> None:
        observation = seen(known())
        decision = decide(observation)
        assert isinstance(decision, Blocked)
        status = conclude(observation, decision).status
        assert status.keys == known().status.keys
        assert not holds(status.conditions, "Ready")
        assert holds(status.conditions, "Stalled")

    def test_that_is_lost_with_the_status_is_still_known_by_the_intermediate_that_it_signed(self) -> None:
        violation = violation_of(decide(seen(intermediate=intermediate_secret())))
        assert violation.reason == Reason.KEY_LOST
        assert "mintls-authority-default-intermediate" in violation.message

    def test_is_made_beside_somebody_else_s_secret_of_the_intermediate_s_name(self) -> None:
        """It tells nothing of a root of ours; it is the next step that it blocks."""
        ours = intermediate_secret()
        foreign = replace(ours, view=replace(ours.view, labels={}))
        assert isinstance(decide(seen(intermediate=foreign)), CreateRoot)

    def test_that_is_restored_is_used_again(self) -> None:
        assert isinstance(decide(complete(known())), Keep)

    def test_that_was_replaced_by_another_is_refused(self) -> None:
        violation = violation_of(decide(complete(known(), authority("default"))))
        assert violation.reason == Reason.KEY_REPLACED
        assert key_fingerprint(default_authority().root)[:16] in violation.message

    def test_that_was_signed_again_with_the_same_key_is_the_same_root(self) -> None:
        """An authority is known by its key, not by one certificate of it."""
        key = default_authority().root_key
        again = sign_root(RootProfile("renamed", after(days=-1), after(days=900)), key, serial())
        decision = decide(complete(known(), root=pair_secret("root", again, key)))
        assert isinstance(decision, CreateIntermediate), "the intermediate names the other subject as its issuer"

    def test_of_which_the_name_is_not_ours_is_not_used(self) -> None:
        foreign = replace(root_secret(), view=replace(root_secret().view, labels={}))
        violation = violation_of(decide(complete(root=foreign)))
        assert violation.reason == Reason.SECRET_NOT_OWNED
        assert f"{AUTHORITY}=default" in violation.message

    def test_of_another_authority_is_not_used(self) -> None:
        of_another = replace(root_secret(), view=replace(root_secret().view, labels=secret_labels("other")))
        assert violation_of(decide(complete(root=of_another))).reason == Reason.SECRET_NOT_OWNED

    @pytest.mark.parametrize("harm", [{"tls.key": b""}, {"tls.crt": b"x"}, {"tls.key": encode_private_key(ec_key())}])
    def test_that_is_broken_is_left_for_a_person_to_restore(self, harm: dict[str, bytes]) -> None:
        data = {**root_secret().contents.data, **harm}
        violation = violation_of(decide(complete(known(), root=key_secret("root", data))))
        assert violation.reason == Reason.KEY_BROKEN
        assert "Restore it from a backup" in violation.message

    def test_that_is_no_ca_is_refused(self) -> None:
        leaf = pki.self_signed_client()
        violation = violation_of(decide(complete(root=pair_secret("root", leaf.certificate, leaf.key))))
        assert violation.reason == Reason.KEY_BROKEN
        assert "not a CA" in violation.message

    def test_that_has_ended_signs_no_more_and_says_what_to_do(self) -> None:
        item, end = known(), default_authority().root.not_valid_after_utc
        violation = violation_of(decide(complete(item, now=end)))
        assert violation.reason == Reason.ROOT_EXPIRED
        assert ROOT_NAME in violation.message
        assert "delete" in violation.message

    def test_never_appears_in_an_observation_s_repr(self) -> None:
        assert "PRIVATE KEY" not in repr(complete())


def pair_secret(which: str, certificate: Any, key: PrivateKey, **changes: Any) -> KeySecret:
    return key_secret(which, {"tls.crt": encode_pem(certificate), "tls.key": encode_private_key(key)}, **changes)


class TestTheIntermediate:
    def rotation(self) -> datetime:
        decision = decide(complete())
        assert isinstance(decision, Keep)
        assert decision.rotation is not None
        return decision.rotation

    def test_is_replaced_at_half_of_its_life(self) -> None:
        made = default_authority().intermediate
        half = made.not_valid_before_utc + (made.not_valid_after_utc - made.not_valid_before_utc) / 2
        assert self.rotation() == half.replace(microsecond=0)

    def test_is_kept_a_second_before(self) -> None:
        assert isinstance(decide(complete(known(), now=self.rotation() - timedelta(seconds=1))), Keep)

    def test_is_replaced_in_its_very_secret(self) -> None:
        decision = decide(complete(known(), now=self.rotation()))
        assert isinstance(decision, CreateIntermediate)
        assert decision.replaced == intermediate_secret().view
        assert decision.not_before > default_authority().intermediate.not_valid_before_utc

    @pytest.mark.parametrize(
        "harm",
        [
            {"tls.key": b""},
            {"tls.crt": b"x"},
            {"tls.key": encode_private_key(ec_key())},
            {
                "tls.crt": encode_pem(authority("default").intermediate),
                "tls.key": encode_private_key(authority("default").signer.key),
            },
        ],
    )
    def test_that_cannot_be_used_is_simply_made_anew(self, harm: dict[str, bytes]) -> None:
        data = {**intermediate_secret().contents.data, **harm}
        decision = decide(complete(known(), intermediate=key_secret("intermediate", data)))
        assert isinstance(decision, CreateIntermediate)
        assert decision.replaced is not None

    def test_of_another_root_of_the_same_name_is_made_anew(self) -> None:
        assert isinstance(
            decide(complete(known(), intermediate=intermediate_secret(authority("default")))), CreateIntermediate
        )

    def test_that_is_a_leaf_is_made_anew(self) -> None:
        key = ec_key()
        signed = pki.raw(key.public_key(), default_authority().root, default_authority().root_key)
        decision = decide(complete(known(), intermediate=pair_secret("intermediate", signed, key)))
        assert isinstance(decision, CreateIntermediate)

    def test_of_another_kind_of_key_than_the_spec_wants_is_made_anew_and_the_root_stays(self) -> None:
        item = ca_object(spec={"selfSigned": {"privateKey": {"algorithm": "RSA"}}})
        decision = decide(complete(item))
        assert isinstance(decision, CreateIntermediate)
        assert decision.key == KeySpec("RSA", 2048)

    def test_of_somebody_else_is_not_overwritten(self) -> None:
        foreign = replace(intermediate_secret(), view=replace(intermediate_secret().view, labels={}))
        violation = violation_of(decide(complete(known(), intermediate=foreign)))
        assert violation.reason == Reason.SECRET_NOT_OWNED
        assert "mintls-authority-default-intermediate" in violation.message

    def test_never_outlives_the_root(self) -> None:
        ending = authority(root_not_after=after(days=40), intermediate_not_after=after(days=39))
        decision = decide(seen(root=root_secret(ending)))
        assert isinstance(decision, CreateIntermediate)
        assert decision.not_after == after(days=40)

    def test_never_begins_before_the_root(self) -> None:
        young = authority(not_before=after(minutes=-1))
        decision = decide(seen(root=root_secret(young)))
        assert isinstance(decision, CreateIntermediate)
        assert decision.not_before == after(minutes=-1)

    @pytest.mark.parametrize("left", [timedelta(minutes=4), timedelta(seconds=1), timedelta(days=3)])
    def test_that_ends_with_the_root_is_not_replaced_by_another_that_ends_with_the_root(self, left: timedelta) -> None:
        """At half of what is left, and half of that, and so on: as the root ends, there would be no end of them."""
        end = after(days=30)
        ending = authority(root_not_after=end, intermediate_not_after=end)
        observation = complete(HELD, of=ending, now=end - left)
        decision = decide(observation)
        assert isinstance(decision, Keep)
        conclusion = conclude(observation, decision)
        assert conclusion.look_again == end
        assert conclusion.status.next_rotation_time is None


@settings(max_examples=15, deadline=None)
@given(
    root_hours=st.integers(1, 400),
    share=st.floats(0.05, 0.9),
    lateness=st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_an_authority_that_is_looked_at_when_it_asks_for_it_makes_few_intermediates(
    root_hours: int, share: float, lateness: list[float]
) -> None:
    """From its first day to its last: never two intermediates at once, and always one that is good."""
    minutes = max(10, int(root_hours * 60 * share))
    spec = {"selfSigned": {"root": {"duration": f"{root_hours}h"}, "intermediate": {"duration": f"{minutes}m"}}}
    item, now, made = ca_object(spec=spec, annotations={HOLD_ROTATION: "true"}), NOW, 0
    first = decide(seen(item))
    assert isinstance(first, CreateRoot)
    key = ec_key()
    root = sign_root(RootProfile(first.common_name, first.not_before, first.not_after), key, serial())
    secrets = {"root": pair_secret("root", root, key), "intermediate": None}
    limit = 3 + 2 * int(root_hours * 60 / minutes + 1)
    while now < first.not_after:
        observation = seen(item, secrets["root"], secrets["intermediate"], now)
        decision = decide(observation)
        if isinstance(decision, CreateIntermediate):
            made += 1
            assert made <= limit * 3
            profile = IntermediateProfile(decision.common_name, decision.not_before, decision.not_after)
            signer = CertificateAuthorityKey(root, key)
            signed = sign_intermediate(profile, key.public_key(), signer, serial())
            secrets["intermediate"] = pair_secret("intermediate", signed, key)
            assert isinstance(decide(seen(item, secrets["root"], secrets["intermediate"], now)), Keep)
            continue
        assert isinstance(decision, Keep)
        conclusion = conclude(observation, decision)
        item = with_status(item, conclusion.status)
        assert conclusion.look_again is not None
        assert conclusion.look_again > now
        assert now < decision.intermediate.leaf.not_after <= root.not_valid_after_utc
        now = conclusion.look_again + timedelta(minutes=lateness[made % len(lateness)])
    assert violation_of(decide(seen(item, secrets["root"], secrets["intermediate"], now))).reason == Reason.ROOT_EXPIRED


class TestWhatIsSaid:
    def test_is_announced_when_it_begins_and_not_again(self) -> None:
        observation = seen(known())
        decision = decide(observation)
        assert isinstance(decision, Blocked)
        first = conclude(observation, decision)
        assert first.announcement is not None
        assert first.announcement.warning
        again = replace(observation, authority=with_status(observation.authority, first.status), now=after(hours=1))
        second = conclude(again, decision)
        assert second.announcement is None
        assert second.status == first.status, "nothing to write"

    def test_of_what_blocks_comes_with_another_look(self) -> None:
        """A Secret that is restored by hand may lack the label by which the watch would see it."""
        observation = seen(known())
        decision = decide(observation)
        assert isinstance(decision, Blocked)
        again = conclude(observation, decision).look_again
        assert again is not None
        assert NOW < again <= after(minutes=5)

    def test_of_a_failed_write_is_tried_again_with_growing_waits(self) -> None:
        violation = Violation(Reason.WRITE_FAILED, "a Secret was not written")
        waits = [failed(seen(), violation, attempt).look_again for attempt in range(12)]
        assert None not in waits
        assert waits == sorted(waits)  # type: ignore[type-var] # none is None
        status = failed(seen(), violation, 0).status
        ready = find(status.conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason, ready.message) == ("False", "WriteFailed", "a Secret was not written")
        assert holds(status.conditions, "Reconciling")

    def test_of_good_keys_is_the_same_at_each_look(self) -> None:
        item = known()
        observation = complete(item, now=after(hours=5))
        decision = decide(observation)
        assert isinstance(decision, Keep)
        assert conclude(observation, decision).status == item.status


def test_the_rotation_time_is_in_whole_seconds() -> None:
    decision = decide(complete())
    assert isinstance(decision, Keep)
    assert rotation_time(decision.intermediate).microsecond == 0
