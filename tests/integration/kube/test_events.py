"""Events as a person sees them with kubectl."""

from datetime import UTC, datetime

import pytest

from clusterlib.cluster import Cluster
from mintls.kube.client import ApiClient, Object
from mintls.kube.events import EventRecorder, ObjectRef
from mintls.kube.paths import CONFIGMAPS, NAMESPACES

pytestmark = pytest.mark.cluster


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "mintls.kube.events"]


async def test_an_event_shows_up_where_people_look(
    api: ApiClient, namespace: str, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    body: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "trust"}}
    involved = ObjectRef.of(await api.create(CONFIGMAPS.collection(namespace), body))
    recorder = EventRecorder(api, host="node-1")
    for _ in range(3):
        await recorder.record(involved, "Warning", "Refused", "the CA has ended; replace it", datetime.now(UTC))
    assert failures(caplog) == []
    described = cluster.kubectl("describe", "configmap", "trust", "-n", namespace)
    assert "Refused" in described
    assert "the CA has ended; replace it" in described
    assert "mintls-operator" in described
    listed = cluster.kubectl("get", "events", "-n", namespace, "-o", "name").split()
    assert len(listed) == 1


async def test_an_event_about_a_cluster_scoped_object_is_taken(
    api: ApiClient, namespace: str, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    involved = ObjectRef.of(await api.get(NAMESPACES.item(None, namespace)))
    await EventRecorder(api).record(involved, "Normal", "Seen", "x" * 2000, datetime.now(UTC))
    assert failures(caplog) == []
    assert "Seen" in cluster.kubectl("describe", "namespace", namespace) + cluster.kubectl(
        "get", "events", "-n", "default"
    )


async def test_the_longest_name_is_taken(api: ApiClient, namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    involved = ObjectRef("v1", "ConfigMap", namespace, "a" * 199 + "." + "b" * 53, "uid")
    await EventRecorder(api).record(involved, "Normal", "Seen", "text", datetime.now(UTC))
    assert failures(caplog) == []
