"""cert-manager: what a CertificateRequest says, and what is read from one and from its issuer."""

import base64
from typing import Any

import msgspec
import pytest

from builders.objects import ca_object
from mintls.api.v1alpha1.external import CertManager
from mintls.reconcile.certmanager import (
    LABELS,
    Fate,
    Issued,
    Pending,
    Refused,
    certificate_request,
    describe_issuer,
    fate_of,
    is_of,
    issuer_problem,
)
from mintls.reconcile.reasons import Reason

AUTHORITY = ca_object()


def spec(**issuer: str) -> CertManager:
    return msgspec.convert({"issuerRef": {"name": "corporate", **issuer}}, CertManager)


def made(**issuer: str) -> dict[str, Any]:
    return certificate_request(name="x", authority=AUTHORITY, spec=spec(**issuer), request="PEM", seconds=3600)


def condition(type_: str, status: str, reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def with_status(*conditions: dict[str, str], **status: Any) -> dict[str, Any]:
    return {"status": {"conditions": list(conditions), **status}}


APPROVED = condition("Approved", "True", "cert-manager.io")
READY = condition("Ready", "True", "Issued")
LEAF, CA = base64.b64encode(b"LEAF\n").decode(), base64.b64encode(b"CA\n").decode()


class TestARequest:
    def test_is_for_client_authentication_alone_and_asks_for_a_duration(self) -> None:
        assert made()["spec"] == {
            "request": base64.b64encode(b"PEM").decode(),
            "duration": "3600s",
            "issuerRef": {"name": "corporate", "kind": "Issuer", "group": "cert-manager.io"},
            "usages": ["digital signature", "client auth"],
        }

    def test_ends_with_its_authority_and_is_known_by_it(self) -> None:
        metadata = made()["metadata"]
        assert metadata["labels"] == LABELS
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == [AUTHORITY.metadata.uid]
        assert is_of(made(), AUTHORITY)
        other = {"metadata": {"ownerReferences": [{"uid": "another"}]}}
        assert not is_of(other, AUTHORITY)
        assert not is_of({"metadata": {}}, AUTHORITY)

    def test_may_be_for_an_issuer_of_an_add_on(self) -> None:
        ref = {"name": "corporate", "kind": "AWSPCAIssuer", "group": "awspca.cert-manager.io"}
        assert made(**ref)["spec"]["issuerRef"] == ref
        assert describe_issuer(spec(**ref), "ns") == 'AWSPCAIssuer.awspca.cert-manager.io "corporate"'


@pytest.mark.parametrize(
    ("request_", "fate"),
    [
        ({}, Pending("nobody has approved it")),
        (with_status(APPROVED), Pending("it is approved, and no issuer has looked at it")),
        (
            with_status(APPROVED, condition("Ready", "False", "Pending", "Referenced secret not found")),
            Pending("Referenced secret not found"),
        ),
        (with_status(APPROVED, READY, certificate=LEAF, ca=CA), Issued(b"LEAF\nCA\n")),
        (with_status(APPROVED, READY, certificate=LEAF), Issued(b"LEAF\n")),
        (with_status(APPROVED, READY), Pending("it is approved, and no issuer has looked at it")),
    ],
)
def test_what_became_of_a_request(request_: dict[str, Any], fate: Fate) -> None:
    assert fate_of(request_) == fate


@pytest.mark.parametrize(
    ("request_", "reason", "message"),
    [
        (
            with_status(condition("Denied", "True", "policy", "not\nallowed")),
            Reason.EXTERNAL_REFUSED,
            "denied (policy): not allowed",
        ),
        (
            with_status(APPROVED, condition("InvalidRequest", "True", "Usage", "wrong usages")),
            Reason.EXTERNAL_REFUSED,
            "invalid (Usage): wrong usages",
        ),
        (
            with_status(APPROVED, condition("Ready", "False", "Failed", "the CA said no")),
            Reason.EXTERNAL_REFUSED,
            "failed (Failed): the CA said no",
        ),
        ({"status": {"certificate": "!"}}, Reason.EXTERNAL_ANSWER_WRONG, "its status cannot be read"),
        ({"status": []}, Reason.EXTERNAL_ANSWER_WRONG, "its status cannot be read"),
    ],
)
def test_a_refusal_is_told_in_its_words(request_: dict[str, Any], reason: Reason, message: str) -> None:
    found = fate_of(request_)
    assert isinstance(found, Refused)
    assert found.violation.reason == reason
    assert message in found.violation.message


def test_a_ready_issuer_is_no_problem() -> None:
    assert issuer_problem(spec(), "ns", with_status(READY)) is None


@pytest.mark.parametrize(
    ("issuer", "reason", "message"),
    [
        (None, Reason.EXTERNAL_REFUSED, 'there is no Issuer "corporate" in namespace ns: create it'),
        ({}, Reason.EXTERNAL_UNREACHABLE, "is not ready: cert-manager has not looked at it"),
        (
            with_status(condition("Ready", "False", "ErrInitIssuer", "no such secret")),
            Reason.EXTERNAL_UNREACHABLE,
            'Issuer "corporate" in namespace ns is not ready: no such secret',
        ),
        ({"status": 7}, Reason.EXTERNAL_UNREACHABLE, "cannot be read"),
    ],
)
def test_what_is_wrong_with_an_issuer_is_told(issuer: dict[str, Any] | None, reason: Reason, message: str) -> None:
    found = issuer_problem(spec(), "ns", issuer)
    assert found
    assert (found.reason, message in found.message) == (reason, True), found.message


def test_a_cluster_issuer_is_of_no_namespace() -> None:
    found = issuer_problem(spec(kind="ClusterIssuer"), "ns", None)
    assert found
    assert 'there is no ClusterIssuer "corporate": create it' in found.message
