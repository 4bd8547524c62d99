"""What an authority says of namespaces without their trust bundle."""

from datetime import timedelta

import msgspec

from builders.objects import NOW, ca_object
from mintls.api.v1alpha1.certificateauthority import CertificateAuthorityStatus
from mintls.api.v1alpha1.meta import Condition
from mintls.reconcile import conditions as conds
from mintls.reconcile.bundlelack import CONDITION, NOT_OWNED, Lack, finding_of, with_lacks
from mintls.reconcile.reasons import Reason

QUOTA = Lack(Reason.QUOTA_EXCEEDED, 'ResourceQuota "few" is exhausted; raise it')
READY = conds.conditions((), conds.ready(Reason.AVAILABLE, "well"), generation=1, now=NOW)
WELL = msgspec.structs.replace(ca_object().status, conditions=READY, observed_generation=1)


def types(status: CertificateAuthorityStatus) -> list[str]:
    return [one.type for one in status.conditions]


def said(status: CertificateAuthorityStatus) -> Condition:
    found = conds.find(status.conditions, CONDITION)
    assert found is not None
    return found


def test_the_condition_is_beside_ready_and_its_beginning_is_told() -> None:
    status, told = with_lacks(READY, WELL, {"shop": NOT_OWNED}, NOW)
    assert types(status) == ["Ready", CONDITION]
    assert conds.holds(status.conditions, "Ready")
    assert (said(status).status, said(status).reason) == ("True", "BundleNotOwned")
    assert told is not None
    assert (told.warning, told.reason, told.message) == (True, said(status).reason, said(status).message)


def test_the_same_again_is_the_same_and_is_not_told() -> None:
    first, _ = with_lacks(READY, WELL, {"shop": NOT_OWNED}, NOW)
    later = NOW + timedelta(hours=1)
    again, told = with_lacks(first.conditions, WELL, {"shop": NOT_OWNED}, later)
    assert (again, told) == (first, None)
    # A look that says what the object says already has the condition in it.
    assert with_lacks(first.conditions, first, {"shop": NOT_OWNED}, later) == (first, None)


def test_one_namespace_more_is_another_message_and_no_other_beginning() -> None:
    first, _ = with_lacks(READY, WELL, {"shop": NOT_OWNED}, NOW)
    more, told = with_lacks(first.conditions, WELL, {"shop": NOT_OWNED, "bank": QUOTA}, NOW + timedelta(hours=1))
    assert told is None
    assert said(more).last_transition_time == NOW
    assert said(more).message != said(first).message


def test_it_goes_when_nothing_is_missing() -> None:
    first, _ = with_lacks(READY, WELL, {"shop": NOT_OWNED}, NOW)
    assert with_lacks(first.conditions, first, {}, NOW) == (WELL, None)


def test_after_a_start_it_stays_as_it_was_until_all_were_looked_at() -> None:
    first, _ = with_lacks(READY, WELL, {"shop": NOT_OWNED}, NOW)
    assert with_lacks(first.conditions, WELL, None, NOW) == (first, None)
    assert with_lacks(READY, WELL, None, NOW) == (WELL, None)


def test_causes_are_named_with_their_namespaces_the_most_frequent_first() -> None:
    finding = finding_of({"a": QUOTA, "c": NOT_OWNED, "b": NOT_OWNED})
    assert finding.reason == Reason.BUNDLE_NOT_OWNED
    assert finding.message == (
        f"3 namespaces without ConfigMap mintls-trust-bundle as it should be: b, c: {NOT_OWNED.message}; "
        f"a: {QUOTA.message}"
    )


def test_a_thousand_namespaces_make_no_long_message() -> None:
    finding = finding_of({f"n{number:03}": NOT_OWNED for number in range(1000)})
    assert "1000 namespaces" in finding.message
    assert "n000, n001, n002, n003, n004 and 995 more: " in finding.message
    assert len(finding.message) < 300
    finding = finding_of({f"n{number}": Lack(Reason.QUOTA_EXCEEDED, f"quota {number}") for number in range(9)})
    assert finding.message.endswith("; and 4 more for other causes")
