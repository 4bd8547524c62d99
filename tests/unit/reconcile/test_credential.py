"""The credential that is wanted: its digests change when, and only when, something else is wanted."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import pki
from builders.credentials import make_pair
from builders.objects import after, authority_view, default_authority, secret_view
from builders.pki import NOW
from mintls.core.pki.keys import KeySpec
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.reconcile.credential import (
    ISSUE_CHECKS,
    Contents,
    Wanted,
    first_violation,
    leaf_validity,
    situation,
    validity,
)
from mintls.reconcile.reasons import Reason

NAMES = pki.uri(pki.CLIENT_ID) + pki.dns("a.shop.svc", "b.shop.svc")
SUBJECT = SubjectName(SubjectKind.SUBJECT_DN, "CN=billing")


def wanted(**changes: Any) -> Wanted:
    standard = Wanted(
        subject=None,
        names=NAMES,
        usage="client",
        key=KeySpec("ECDSA", 256),
        duration=timedelta(hours=24),
        renew_before=None,
        files={"ca.crt": "roots", "client-id": "shop:billing"},
        authority=authority_view(),
    )
    return replace(standard, **changes)


class TestTheCertificatesDigest:
    @pytest.mark.parametrize(
        "change",
        [
            {"subject": SUBJECT},
            {"names": NAMES[:2]},
            {"names": (*NAMES, *pki.dns("c.shop.svc"))},
            {"names": pki.dns(pki.CLIENT_ID, "a.shop.svc", "b.shop.svc")},
            {"usage": "server"},
            {"key": KeySpec("ECDSA", 384)},
            {"key": KeySpec("RSA", 2048)},
            {"duration": timedelta(hours=23)},
            {"authority": replace(authority_view(), fingerprint="another")},
        ],
    )
    def test_changes_with(self, change: dict[str, Any]) -> None:
        assert wanted(**change).certificate_digest != wanted().certificate_digest

    @pytest.mark.parametrize(
        "change",
        [
            {"renew_before": timedelta(hours=1)},
            {"encoding": "PKCS1", "keeps_key": True},
            {"files": {}},
            {"names": NAMES[::-1]},
            {"authority": replace(authority_view(), signs_until=NOW, bundle="x", problem="x", backdate=timedelta(0))},
        ],
    )
    def test_does_not_change_with(self, change: dict[str, Any]) -> None:
        """A leaf is not made anew for what is not in it, nor for the order in which its names were written."""
        assert wanted(**change).certificate_digest == wanted().certificate_digest

    @given(st.permutations(NAMES))
    def test_is_the_same_in_any_order_of_names(self, names: list[SubjectName]) -> None:
        assert wanted(names=tuple(names)).certificate_digest == wanted().certificate_digest

    def test_is_the_same_in_every_process_and_every_version(self) -> None:
        """Changing how it is computed issues every certificate of every installation anew: do not, without need."""
        authority = replace(authority_view(), fingerprint="0123")
        assert wanted(authority=authority).certificate_digest == "27f814d28ddb1ab4666207f7d362d7d6"

    def test_does_not_take_a_subject_for_an_alternative_name(self) -> None:
        one = wanted(subject=SUBJECT, names=NAMES)
        other = wanted(names=(*NAMES, SubjectName(SubjectKind.SAN_DNS, "CN=billing")))
        assert one.certificate_digest != other.certificate_digest


class TestTheContentsDigest:
    @pytest.mark.parametrize("files", [{}, {"ca.crt": "roots"}, {"ca.crt": "x", "client-id": "shop:billing"}])
    def test_changes_with_the_files(self, files: dict[str, str]) -> None:
        assert wanted(files=files).contents_digest != wanted().contents_digest

    def test_is_the_same_in_any_order_of_files(self) -> None:
        files = {"client-id": "shop:billing", "ca.crt": "roots"}
        assert wanted(files=files).contents_digest == wanted().contents_digest

    def test_changes_with_whatever_else_is_written_beside_the_certificate(self) -> None:
        others = [{"encoding": "PKCS1"}, {"labels": {"team": "blue"}}, {"annotations": {"team": "blue"}}]
        digests = {wanted(**changes).contents_digest for changes in [{}, *others]}
        assert len(digests) == 1 + len(others)

    def test_is_the_same_in_every_process_and_every_version(self) -> None:
        """Changing how it is computed writes every Secret of every installation again: do not, without need."""
        assert wanted().contents_digest == "d5117dd00ce13f28cf07ea4da92ab669"

    def test_does_not_change_with_the_certificate(self) -> None:
        assert wanted(duration=timedelta(1), names=()).contents_digest == wanted().contents_digest


class TestTheChecks:
    def violation(self, data: dict[str, bytes] | None, **changes: Any) -> Reason | None:
        want = wanted(names=pki.uri(pki.CLIENT_ID), **changes)
        there = situation(
            want,
            secret=secret_view(annotations={"mintls.dev/certificate-digest": want.certificate_digest}),
            contents=Contents(data) if data is not None else None,
            remembered=None,
            uid="u",
            now=NOW,
        )
        found = first_violation(ISSUE_CHECKS, there)
        return found.reason if found else None

    def test_pass_for_what_was_made_for_it(self) -> None:
        _, pair = make_pair(wanted(names=pki.uri(pki.CLIENT_ID)), NOW, after(hours=24), default_authority())
        assert self.violation(pair) is None

    def test_take_a_longer_chain_up_to_the_root_as_well(self) -> None:
        _, pair = make_pair(wanted(names=pki.uri(pki.CLIENT_ID)), NOW, after(hours=24), default_authority())
        with_root = {**pair, "tls.crt": pair["tls.crt"] + default_authority().bundle.encode()}
        assert self.violation(with_root) is None

    def test_name_the_most_basic_violation_first(self) -> None:
        stranger = pki.authority("default").client(pki.dns("x.example"), key=pki.ed25519_key())
        expired = default_authority().expired_client(pki.dns("x.example"))
        assert self.violation({}) == Reason.SECRET_INCOMPLETE
        assert self.violation({"tls.crt": b"x", "tls.key": b""}) == Reason.SECRET_INCOMPLETE
        assert self.violation({"tls.crt": b"x", "tls.key": b"x"}) == Reason.CREDENTIAL_BROKEN
        assert self.violation({"tls.crt": stranger.tls_crt, "tls.key": stranger.tls_key}) == Reason.AUTHORITY_CHANGED
        assert self.violation({"tls.crt": expired.tls_crt, "tls.key": expired.tls_key}) == Reason.NAMES_DIFFER
        own = default_authority().expired_client()
        assert self.violation({"tls.crt": own.tls_crt, "tls.key": own.tls_key}, key=KeySpec("Ed25519", 256)) == (
            Reason.KEY_DIFFERS
        )
        assert self.violation({"tls.crt": own.tls_crt, "tls.key": own.tls_key}) == Reason.EXPIRED

    def test_say_nothing_of_what_was_not_read(self) -> None:
        assert self.violation(None) is None


class TestTheValidityOfALeaf:
    def test_is_backdated_and_in_whole_seconds(self) -> None:
        view = replace(authority_view(), backdate=timedelta(minutes=3))
        begin, end = leaf_validity(wanted(authority=view), NOW + timedelta(microseconds=5))
        assert (begin, end) == (after(minutes=-3), after(hours=24))

    def test_ends_with_the_authority(self) -> None:
        view = replace(authority_view(), signs_until=after(hours=5))
        assert leaf_validity(wanted(authority=view), NOW)[1] == after(hours=5)

    def test_has_no_limit_where_none_is_known(self) -> None:
        view = replace(authority_view(), signs_until=None)
        assert leaf_validity(wanted(authority=view), NOW)[1] == after(hours=24)


@given(
    seconds=st.integers(1, 7 * 86400),
    backdate=st.integers(0, 7 * 86400),
    renew_before=st.one_of(st.none(), st.integers(1, 7 * 86400)),
    uid=st.text(max_size=4),
)
def test_a_renewal_is_after_the_issuing_and_not_after_the_end(
    seconds: int, backdate: int, renew_before: int | None, uid: str
) -> None:
    view = replace(authority_view(), backdate=timedelta(seconds=backdate), signs_until=None)
    want = wanted(
        duration=timedelta(seconds=seconds),
        renew_before=timedelta(seconds=renew_before) if renew_before else None,
        authority=view,
    )
    begin, end = leaf_validity(want, NOW)
    found = validity(begin, end, want, uid)
    assert NOW < found.renewal_time <= end
    assert found.renewal_time >= min(NOW + timedelta(seconds=10), NOW + timedelta(seconds=seconds // 2))
    assert found.renewal_time.microsecond == 0
