"""Which pod is restarted after a renewal, and which pods read a Secret."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mintls.reconcile.podrestart import Pod, Restart, Wait, next_restart, reading

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WRITTEN = NOW - timedelta(seconds=30)
OLD = Pod("old", "1", ready=True, ending=False, controlled=True, began=NOW - timedelta(days=1))
OLDER = replace(OLD, name="older", began=NOW - timedelta(days=2))
NEW = replace(OLD, name="new", began=NOW - timedelta(seconds=10))
STARTING = replace(NEW, name="starting", ready=False)
PENDING = replace(NEW, name="pending", ready=False, began=None)


@pytest.mark.parametrize(
    ("pods", "chosen"),
    [
        ([OLD], "old"),
        ([OLD, OLDER], "older"),
        ([OLD, NEW], "old"),
        ([replace(OLD, began=WRITTEN)], "old"),
        ([OLDER, replace(OLD, ready=False)], "old"),
        ([replace(OLD, ready=False), STARTING], "old"),
    ],
    ids=["one", "the oldest", "the rest", "the same second", "one that serves nobody first", "it costs nothing"],
)
def test_a_pod_that_read_what_was_before_is_restarted(pods: list[Pod], chosen: str) -> None:
    decision = next_restart(pods, WRITTEN, NOW)
    assert isinstance(decision, Restart)
    assert decision.pod.name == chosen
    assert decision.look_again > NOW


@pytest.mark.parametrize("other", [STARTING, PENDING, replace(OLD, name="leaving", ending=True)])
def test_one_at_a_time(other: Pod) -> None:
    assert isinstance(next_restart([OLD, other], WRITTEN, NOW), Wait)


@pytest.mark.parametrize(
    "pods",
    [[], [NEW], [NEW, STARTING], [PENDING], [replace(OLD, controlled=False)], [replace(OLD, ending=True)]],
    ids=["none", "new", "starting", "not begun", "nothing makes another", "going already"],
)
def test_nothing_is_done_where_nothing_is_old(pods: list[Pod]) -> None:
    assert next_restart(pods, WRITTEN, NOW) is None


def pod(spec: dict[str, Any], **status: Any) -> dict[str, Any]:
    owner = {"kind": "ReplicaSet", "controller": True}
    metadata = {"name": "billing-1", "uid": "1", "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"containers": [{}]} | spec, "status": {"phase": "Running"} | status}


VOLUME = {"volumes": [{"emptyDir": {}}, {"secret": {"secretName": "billing-mtls"}}]}


@pytest.mark.parametrize(
    ("spec", "reads"),
    [
        (VOLUME, True),
        ({"volumes": [{"projected": {"sources": [{"configMap": {}}, {"secret": {"name": "billing-mtls"}}]}}]}, True),
        ({"containers": [{"envFrom": [{"secretRef": {"name": "billing-mtls"}}]}]}, True),
        ({"initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "billing-mtls"}}}]}]}, True),
        ({"volumes": [{"secret": {"secretName": "billing-mtls-2"}}, {"configMap": {"name": "billing-mtls"}}]}, False),
        ({"containers": [{"env": [{"name": "A", "value": "billing-mtls"}]}], "volumes": None}, False),
    ],
)
def test_a_pod_reads_a_secret_as_a_volume_or_as_environment(spec: dict[str, Any], reads: bool) -> None:  # noqa: FBT001
    assert bool(list(reading([pod(spec)], "billing-mtls"))) is reads


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_is_over_reads_nothing(phase: str) -> None:
    assert not list(reading([pod(VOLUME, phase=phase)], "billing-mtls"))


def test_what_is_read_of_a_pod() -> None:
    running = {"state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}}
    crashed = running | {"lastState": {"terminated": {"startedAt": "2026-01-01T00:00:00Z"}}}
    body = pod(VOLUME, conditions=[{"type": "Ready", "status": "True"}], containerStatuses=[running, crashed])
    [found] = reading([body], "billing-mtls")
    assert found == Pod("billing-1", "1", ready=True, ending=False, controlled=True, began=NOW)
    body["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "ownerReferences": [{"kind": "Node"}]}
    body["status"] = {}
    [bare] = reading([body], "billing-mtls")
    assert bare == Pod("billing-1", "1", ready=False, ending=True, controlled=False, began=None)
