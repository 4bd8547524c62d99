from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from builders.kube import ApiDouble, an_object, hang, ok, refusal
from mintls.kube import events
from mintls.kube.client import ApiClient
from mintls.kube.events import EventRecorder, ObjectRef
from mintls.kube.paths import EVENTS

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
PATH = EVENTS.collection("shop")
BILLING = ObjectRef("mintls.dev/v1alpha1", "ClientCertificate", "shop", "billing", "uid-1")


@pytest.fixture
def recorder(api: ApiClient, double: ApiDouble) -> EventRecorder:
    double.on("POST", PATH, ok({}, status=201))
    return EventRecorder(api, host="node-1")


async def issued(recorder: EventRecorder, now: datetime = NOW, **change: Any) -> None:
    event: dict[str, Any] = {"involved": BILLING, "type_": "Normal", "reason": "Issued", "message": "serial 7"} | change
    await recorder.record(**event, now=now)


async def test_an_event_says_who_what_and_when(recorder: EventRecorder, double: ApiDouble) -> None:
    await issued(recorder)
    (seen,) = double.seen
    name = seen.body["metadata"].pop("name")
    assert name.startswith("billing.")
    assert seen.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "shop"},
        "eventTime": "2026-03-01T12:00:00.000005Z",
        "reportingController": "mintls-operator",
        "reportingInstance": "node-1",
        "action": "Reconcile",
        "reason": "Issued",
        "regarding": {
            "apiVersion": "mintls.dev/v1alpha1",
            "kind": "ClientCertificate",
            "namespace": "shop",
            "name": "billing",
            "uid": "uid-1",
        },
        "note": "serial 7",
        "type": "Normal",
    }


async def test_the_same_is_said_once_in_ten_minutes(recorder: EventRecorder, double: ApiDouble) -> None:
    await issued(recorder)
    await issued(recorder, NOW + timedelta(minutes=9))
    assert len(double.seen) == 1
    await issued(recorder, NOW + timedelta(minutes=10))
    assert len(double.seen) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "Renewed"},
        {"message": "serial 8"},
        {"type_": "Warning"},
        {"involved": ObjectRef("mintls.dev/v1alpha1", "ClientCertificate", "shop", "billing", "uid-2")},
    ],
)
async def test_anything_else_is_news(recorder: EventRecorder, double: ApiDouble, change: dict[str, Any]) -> None:
    await issued(recorder)
    await issued(recorder, **change)
    assert len(double.seen) == 2


@pytest.mark.parametrize("failure", [refusal(403, "Forbidden"), refusal(500, "InternalError"), hang])
async def test_an_event_that_cannot_be_posted_fails_nothing_and_is_said_again(
    recorder: EventRecorder,
    double: ApiDouble,
    failure: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(events, "_POST_SECONDS", 0.2)
    double.on("POST", PATH, failure, ok({}))
    await issued(recorder)
    assert "event Issued of ClientCertificate shop/billing was not posted" in caplog.text
    await issued(recorder)
    assert len(double.seen) == 2


async def test_an_event_of_a_cluster_scoped_object_is_in_default(recorder: EventRecorder, double: ApiDouble) -> None:
    double.on("POST", EVENTS.collection("default"), ok({}))
    await issued(recorder, involved=ObjectRef("mintls.dev/v1alpha1", "CertificateAuthority", "", "default", "uid"))
    (seen,) = double.seen
    assert seen.path == EVENTS.collection("default")
    assert (seen.body["metadata"]["namespace"], seen.body["regarding"]["namespace"]) == ("default", "")


async def test_long_texts_are_cut_to_what_the_api_takes(recorder: EventRecorder, double: ApiDouble) -> None:
    name = "n" * 253
    await issued(recorder, message="ä" * 1000, involved=ObjectRef("v1", "Secret", "shop", name, "uid"))
    (seen,) = double.seen
    assert len(seen.body["note"].encode()) <= 1024
    assert set(seen.body["note"]) == {"ä"}
    assert len(seen.body["metadata"]["name"]) <= 253


async def test_memory_is_bounded(recorder: EventRecorder, double: ApiDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_REMEMBERED", 2)
    for serial in range(4):
        await issued(recorder, message=f"serial {serial}")
    assert len(recorder._posted) == 2
    await issued(recorder, message="serial 3")
    assert len(double.seen) == 4


async def test_what_was_said_long_ago_is_forgotten(recorder: EventRecorder) -> None:
    for seconds in (0, 1, 600):
        await issued(recorder, NOW + timedelta(seconds=seconds), message=f"after {seconds} s")
    assert len(recorder._posted) == 2


def test_a_reference_is_read_from_an_object() -> None:
    item = an_object("billing", uid="uid-1") | {"apiVersion": "mintls.dev/v1alpha1", "kind": "ClientCertificate"}
    assert ObjectRef.of(item) == BILLING
