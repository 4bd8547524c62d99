"""A CA elsewhere: what keeps it from being asked, and when that is told."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import pki
from builders.objects import ca_object, with_status
from builders.pki import DAY, NOW
from mintls.api.v1alpha1 import CertificateAuthority
from mintls.core.pki.certificate import encode_pem
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.credential import Violation
from mintls.reconcile.externalauthority import (
    Conclusion,
    Observed,
    Unusable,
    Use,
    conclude,
    first_problem,
    roots_of,
)
from mintls.reconcile.reasons import Reason

CA, OTHER = pki.authority("step"), pki.authority("other")
ASKED = "asks it so"
AWAY = Violation(Reason.EXTERNAL_UNREACHABLE, "step-ca does not answer")


def authority(bundle: bytes = encode_pem(CA.root), **spec: Any) -> CertificateAuthority:
    provisioner = {"name": "mintls", "secretRef": {"name": "step-ca"}}
    source = {"url": "https://ca.example:9000", "provisioner": provisioner}
    return ca_object(spec={"external": {"caBundle": bundle.decode(), "stepCA": source}, **spec})


def seen(**changes: Any) -> Observed:
    return replace(Observed(authority(), "issuers-own", 0, NOW), **changes)


class TestItsRoots:
    def test_all_of_them_count_each_once(self) -> None:
        bundle = encode_pem(CA.root, OTHER.root, CA.root)
        assert roots_of(authority(bundle), NOW) == (CA.root, OTHER.root)

    @pytest.mark.parametrize(
        ("bundle", "message"),
        [
            (b"-----BEGIN CERTIFICATE-----", "this is not a certificate in PEM"),
            (encode_pem(CA.client().certificate), "is no CA"),
            (encode_pem(CA.intermediate), "put the root there, not an intermediate"),
        ],
    )
    def test_what_is_no_root_is_named(self, bundle: bytes, message: str) -> None:
        found = roots_of(authority(bundle), NOW)
        assert isinstance(found, Violation)
        assert found.reason == Reason.INVALID_SPEC
        assert found.message.startswith("spec.external.caBundle: ")
        assert message in found.message

    def test_one_that_has_not_ended_is_enough(self) -> None:
        ended = pki.authority("ended", root_not_after=NOW + 100 * DAY)
        later = NOW + 101 * DAY
        assert roots_of(authority(encode_pem(ended.root, CA.root)), later) == (ended.root, CA.root)
        alone = roots_of(authority(encode_pem(ended.root)), later)
        assert isinstance(alone, Violation)
        assert "every root in it has ended" in alone.message


class TestWhatKeepsItFromBeingAsked:
    def test_nothing(self) -> None:
        assert first_problem(seen()) is None

    def test_that_the_token_issuer_has_its_own_certificate_of_it(self) -> None:
        found = first_problem(seen(issuer_authority=authority().metadata.name))
        assert found
        assert found.reason == Reason.INVALID_SPEC


def concluded(observed: Observed, *, away: bool = True) -> Conclusion:
    roots = (CA.root,)
    return conclude(observed, Unusable(AWAY, passing=True, roots=roots) if away else Use(roots, ASKED))


class TestWhatIsSaid:
    def test_that_it_is_well_once_and_every_root_as_active(self) -> None:
        first = conclude(seen(), Use((CA.root, OTHER.root), ASKED))
        assert holds(first.status.conditions, "Ready")
        assert [key.role for key in first.status.keys] == ["active", "active"]
        assert first.announcement
        again = seen(authority=with_status(authority(), first.status))
        assert conclude(again, Use((CA.root, OTHER.root), ASKED)).announcement is None

    def test_one_failure_of_one_that_was_well_is_not_told_and_a_second_is(self) -> None:
        well = with_status(authority(), concluded(seen(), away=False).status)
        once = concluded(seen(authority=well))
        assert once.status == well.status
        assert once.look_again - NOW <= timedelta(seconds=1)
        twice = concluded(seen(authority=well, failures=1))
        ready = find(twice.status.conditions, "Ready")
        assert ready
        assert (ready.status, ready.reason) == ("False", Reason.EXTERNAL_UNREACHABLE)
        assert twice.announcement

    def test_waits_grow_up_to_a_minute(self) -> None:
        waits = [concluded(seen(failures=failures)).look_again - NOW for failures in range(12)]
        assert waits == sorted(waits)
        assert waits[0] <= timedelta(seconds=1)
        assert timedelta(seconds=45) <= waits[-1] <= timedelta(minutes=1)

    def test_what_somebody_has_to_change_stalls_at_once(self) -> None:
        well = with_status(authority(), concluded(seen(), away=False).status)
        refused = Violation(Reason.EXTERNAL_REFUSED, "no such provisioner")
        told = conclude(seen(authority=well), Unusable(refused, passing=False, roots=(CA.root,)))
        assert holds(told.status.conditions, "Stalled")
        assert told.status.keys == well.status.keys
