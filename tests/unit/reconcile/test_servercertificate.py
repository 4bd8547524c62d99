"""The issuer's own certificate: a server's, for its names, in a Secret without an object."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders.credentials import SimulatedSecret, make_pair
from builders.objects import INSTALLATION, after, authority_view, default_authority
from builders.pki import NOW, authority
from mintls.controllers.issuing import secret_manifest
from mintls.core.pki.credential import check_credential
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.reconcile.credential import REVISION, AuthorityView
from mintls.reconcile.reasons import Reason
from mintls.reconcile.servercertificate import COMPONENT, NAME, Blocked, Keep, Observed, Write, decide


def observe(secret: SimulatedSecret, **changes: Any) -> Observed:
    seen = Observed(INSTALLATION, authority_view(), secret.view, secret.contents, NOW)
    return replace(seen, **changes)


def carry_out(order: Write, secret: SimulatedSecret) -> None:
    if order.kept is None:
        _, pair = make_pair(order.wanted, order.not_before, order.not_after, default_authority())
    else:
        pair = {name: order.kept.data[name] for name in ("tls.crt", "tls.key")}
    secret.put(
        secret_manifest(
            namespace="mintls-system",
            name=NAME,
            component=COMPONENT,
            pair=pair,
            wanted=order.wanted,
            revision=order.revision,
            owner=None,
        )
    )


def made() -> SimulatedSecret:
    secret = SimulatedSecret()
    order = decide(observe(secret))
    assert isinstance(order, Write)
    carry_out(order, secret)
    return secret


class TestWithoutASecret:
    def test_one_is_made_for_the_names_of_the_issuer(self) -> None:
        data = made().data
        leaf = check_credential(data["tls.crt"], data["tls.key"]).leaf
        assert leaf.names == {
            normalize(SubjectName(SubjectKind.SAN_DNS, "mintls-issuer.mintls-system.svc")),
            normalize(SubjectName(SubjectKind.SAN_IP, "127.0.0.1")),
        }
        assert leaf.not_after - NOW == timedelta(days=7)

    @pytest.mark.parametrize(
        ("view", "words"),
        [
            (None, "there is no such CertificateAuthority"),
            (AuthorityView("default", problem="its root is not made yet"), "its root is not made yet"),
            (replace(authority_view(), problem="its key is lost"), "its key is lost"),
        ],
    )
    def test_none_is_made_while_nobody_can_sign(self, view: AuthorityView | None, words: str) -> None:
        decision = decide(observe(SimulatedSecret(), authority=view))
        assert isinstance(decision, Blocked)
        assert decision.violation.reason == Reason.AUTHORITY_NOT_READY
        assert words in decision.violation.message


class TestWithASecret:
    def test_it_is_kept_until_it_is_due(self) -> None:
        decision = decide(observe(made()))
        assert isinstance(decision, Keep)
        assert after(days=4) < decision.look_again < after(days=5)

    def test_it_is_kept_while_the_authority_cannot_sign(self) -> None:
        broken = replace(authority_view(), problem="its key is lost")
        assert isinstance(decide(observe(made(), authority=broken)), Keep)

    def test_it_is_renewed_when_it_is_due(self) -> None:
        secret = made()
        keep = decide(observe(secret))
        assert isinstance(keep, Keep)
        order = decide(observe(secret, now=keep.look_again))
        assert isinstance(order, Write)
        assert (order.violation.reason, order.revision, order.kept) == (Reason.RENEWAL_DUE, 2, None)
        assert order.secret == secret.view

    @pytest.mark.parametrize(
        ("harm", "reason"),
        [
            ({"tls__key": None}, Reason.SECRET_INCOMPLETE),
            ({"tls__crt": b"x"}, Reason.CREDENTIAL_BROKEN),
        ],
    )
    def test_it_is_made_anew_when_it_is_harmed(self, harm: dict[str, bytes | None], reason: Reason) -> None:
        secret = made()
        secret.edit(**harm)
        order = decide(observe(secret))
        assert isinstance(order, Write)
        assert (order.violation.reason, order.kept) == (reason, None)

    def test_it_is_made_anew_for_other_names(self) -> None:
        other = replace(INSTALLATION, issuer_names=("issuer.example",))
        order = decide(observe(made(), installation=other))
        assert isinstance(order, Write)
        assert order.violation.reason == Reason.NAMES_DIFFER

    def test_it_is_made_anew_under_another_root(self) -> None:
        order = decide(observe(made(), authority=authority_view(authority("default"))))
        assert isinstance(order, Write)
        assert order.violation.reason == Reason.AUTHORITY_CHANGED

    def test_only_its_bundle_is_written_again_when_that_is_edited(self) -> None:
        secret = made()
        before = secret.data["tls.crt"]
        secret.edit(ca__crt=b"x")
        order = decide(observe(secret))
        assert isinstance(order, Write)
        assert order.revision == 1
        carry_out(order, secret)
        assert secret.data["tls.crt"] == before
        assert isinstance(decide(observe(secret)), Keep)

    def test_of_somebody_else_it_is_left_alone(self) -> None:
        secret = made()
        secret.edit_metadata(labels={"app.kubernetes.io/managed-by": "mintls"})
        decision = decide(observe(secret))
        assert isinstance(decision, Blocked)
        assert decision.violation.reason == Reason.SECRET_NOT_OWNED
        assert NAME in decision.violation.message

    @pytest.mark.parametrize("marked", ["", "x", "9" * 5000])
    def test_a_revision_that_is_no_number_counts_for_nothing(self, marked: str) -> None:
        secret = made()
        assert secret.view is not None
        secret.edit_metadata(annotations={**secret.view.annotations, REVISION: marked})
        secret.edit(tls__key=None)
        order = decide(observe(secret))
        assert isinstance(order, Write)
        assert order.revision == 1
