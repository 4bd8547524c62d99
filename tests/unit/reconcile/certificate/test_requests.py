"""A person asks for a new certificate now, by an annotation: `kubectl mintls renew` and `rekey`."""

from typing import Any

import msgspec
import pytest

from builders.credentials import Life
from builders.objects import after, authority_view, certificate
from mintls.api.v1alpha1.clientcertificate import REKEY_REQUESTED, RENEW_REQUESTED
from mintls.core.pki.credential import check_credential
from mintls.reconcile.certificate.decide import decide
from mintls.reconcile.certificate.values import Blocked, Issue, Keep
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason

REFUSED = Violation(Reason.WRITE_FAILED, "the Secret was not written: the API server is full")


def issued(**spec: Any) -> Life:
    made = Life(certificate(spec=spec))
    made.look()
    assert made.ready()
    return made


def ask(made: Life, annotation: str = RENEW_REQUESTED, value: str = "2026-01-01T13:00:00Z") -> None:
    """The generation stays: annotations are no part of the spec."""
    annotations = {**made.item.metadata.annotations, annotation: value}
    metadata = msgspec.structs.replace(made.item.metadata, annotations=annotations)
    made.item = msgspec.structs.replace(made.item, metadata=metadata)


def fingerprint(made: Life) -> bytes:
    return check_credential(made.secret.data["tls.crt"], made.secret.data["tls.key"]).leaf.spki_sha256


@pytest.mark.parametrize("annotation", [RENEW_REQUESTED, REKEY_REQUESTED])
def test_a_request_is_answered_by_one_new_certificate(annotation: str) -> None:
    made = issued()
    ask(made, annotation)
    made.now = after(minutes=5)
    made.look()
    assert (made.status.revision, made.secret.written, made.status_writes) == (2, 2, 2)
    assert made.said[-1].reason == Reason.ISSUED
    assert annotation in made.said[-1].message
    for _ in range(3):
        made.look()
        made.restart()
    assert (made.status.revision, made.secret.written, made.status_writes) == (2, 2, 2)


def test_the_status_says_which_request_it_speaks_of() -> None:
    made = issued()
    ask(made, RENEW_REQUESTED, "first")
    ask(made, REKEY_REQUESTED, "second")
    made.look()
    assert (made.status.observed_renew_request, made.status.observed_rekey_request) == ("first", "second")
    assert made.status.revision == 2, "one certificate answers both"


def test_another_value_is_another_request_and_none_is_none() -> None:
    made = issued()
    ask(made, value="first")
    made.settle()
    ask(made, value="second")
    made.settle()
    assert made.status.revision == 3
    made.item = msgspec.structs.replace(made.item, metadata=msgspec.structs.replace(made.item.metadata, annotations={}))
    made.settle()
    assert made.status.revision == 3


def test_a_renewal_keeps_a_pinned_key_and_a_rekey_does_not() -> None:
    made = issued(privateKey={"rotationPolicy": "Never"})
    pinned = fingerprint(made)
    ask(made, REKEY_REQUESTED)
    made.settle()
    new = fingerprint(made)
    assert (made.status.revision, made.status.key_fingerprint) == (2, new.hex())
    assert new != pinned
    ask(made, RENEW_REQUESTED)
    made.settle()
    assert (made.status.revision, fingerprint(made)) == (3, new)
    assert "for the same key" in made.said[-1].message


def test_an_operator_that_dies_between_secret_and_status_answers_once() -> None:
    made = issued()
    ask(made)
    made.look(killed=True)
    assert made.status.observed_renew_request == ""
    made.settle()
    assert (made.status.revision, made.secret.written) == (2, 2)
    assert made.status.observed_renew_request == "2026-01-01T13:00:00Z"


def test_a_request_does_not_wait_for_the_next_attempt_of_an_earlier_failure() -> None:
    made = issued()
    made.refused = REFUSED
    made.now = after(hours=20)
    for _ in range(3):
        made.look()
        made.now = made.status.next_attempt_time or made.now
    made.look()
    assert not isinstance(decide(made.observe()), Issue)
    ask(made)
    assert isinstance(decide(made.observe()), Issue)
    made.look()
    assert not isinstance(decide(made.observe()), Issue), "but its own failure waits"
    assert made.status.observed_renew_request == "2026-01-01T13:00:00Z"
    issuing = made.condition("Issuing")
    assert issuing is not None
    assert issuing.message.endswith(REFUSED.message)


def test_a_request_that_cannot_be_met_leaves_the_certificate_ready() -> None:
    made = issued()
    made.view = authority_view(problem="its root key is lost")
    ask(made)
    assert isinstance(decide(made.observe()), Blocked)
    made.look()
    assert made.ready()
    assert made.status.observed_renew_request == "2026-01-01T13:00:00Z"
    issuing = made.condition("Issuing")
    assert issuing is not None
    assert "its root key is lost" in issuing.message
    made.view = authority_view()
    made.settle()
    assert made.status.revision == 2
    assert made.condition("Issuing") is None


def test_a_new_secret_answers_a_request_that_was_there_before() -> None:
    made = issued()
    ask(made)
    made.secret.delete()
    made.settle()
    assert made.status.revision == 2
    assert isinstance(decide(made.observe()), Keep)


def test_of_a_long_value_the_beginning_counts() -> None:
    made = issued()
    ask(made, value="x" * 1000)
    made.settle()
    assert made.status.observed_renew_request == "x" * 64
    assert made.status.revision == 2
