"""The client against a real API server, with kubectl as the witness."""

import asyncio
import base64
import itertools
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from clusterlib.cluster import Cluster
from mintls.kube import errors
from mintls.kube.client import ApiClient, Object
from mintls.kube.paths import CONFIGMAPS, NAMESPACES, SECRETS, Resource

from .conftest import MakeClient

pytestmark = pytest.mark.cluster

ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")


def a_config_map(name: str = "settings", data: dict[str, str] | None = None, **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, **metadata},
        "data": {"a": "1"} if data is None else data,
    }


def a_secret(name: str, **data: bytes) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "mintls"}},
        "data": {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()},
    }


async def test_what_is_created_is_there_once(api: ApiClient, namespace: str, cluster: Cluster) -> None:
    path = CONFIGMAPS.collection(namespace)
    made = await api.create(path, a_config_map())
    assert made == await api.get(CONFIGMAPS.item(namespace, "settings"))
    assert cluster.kubectl("get", "configmap", "settings", "-n", namespace, "-o", "jsonpath={.data.a}") == "1"
    assert made["metadata"]["managedFields"][0]["manager"] == "mintls"
    with pytest.raises(errors.AlreadyExists, match="already exists"):
        await api.create(path, a_config_map())


async def test_a_replace_needs_the_version_that_it_read(api: ApiClient, namespace: str) -> None:
    path = CONFIGMAPS.item(namespace, "settings")
    made = await api.create(CONFIGMAPS.collection(namespace), a_config_map())
    changed = await api.replace(path, made | {"data": {"a": "2"}})
    with pytest.raises(errors.Conflict) as caught:
        await api.replace(path, made | {"data": {"a": "3"}})
    assert not isinstance(caught.value, errors.AlreadyExists)
    assert (await api.get(path)) == changed


async def test_applying_keeps_what_others_own_and_takes_back_what_was_ours(
    api: ApiClient, namespace: str, cluster: Cluster
) -> None:
    path = CONFIGMAPS.item(namespace, "settings")
    await api.apply(path, a_config_map(data={"ours": "1", "former": "1"}))
    cluster.kubectl("label", "configmap", "settings", "-n", namespace, "team=blue")
    cluster.kubectl("patch", "configmap", "settings", "-n", namespace, "-p", '{"data":{"theirs":"1"}}')
    applied = await api.apply(path, a_config_map(data={"ours": "2"}))
    assert applied["data"] == {"ours": "2", "theirs": "1"}
    assert applied["metadata"]["labels"] == {"team": "blue"}


async def test_applying_the_same_again_changes_no_version(api: ApiClient, namespace: str) -> None:
    path = CONFIGMAPS.item(namespace, "settings")
    first = await api.apply(path, a_config_map())
    second = await api.apply(path, a_config_map())
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_without_force_anothers_field_is_a_conflict(api: ApiClient, namespace: str) -> None:
    path = CONFIGMAPS.item(namespace, "settings")
    await api.apply(path, a_config_map(data={"a": "1"}), field_manager="somebody")
    with pytest.raises(errors.Conflict, match="somebody"):
        await api.apply(path, a_config_map(data={"a": "2"}), force=False)
    assert (await api.apply(path, a_config_map(data={"a": "2"})))["data"] == {"a": "2"}


async def test_a_merge_patch_makes_the_new_of_the_old(api: ApiClient, namespace: str) -> None:
    old = await api.create(CONFIGMAPS.collection(namespace), a_config_map(data={"a": "1", "b": "1"}))
    patch = {"data": {"a": "2", "b": None, "c": "1"}}
    patched = await api.merge_patch(CONFIGMAPS.item(namespace, "settings"), patch)
    assert patched == old | {"data": {"a": "2", "c": "1"}, "metadata": patched["metadata"]}


async def test_only_the_object_that_was_meant_is_deleted(api: ApiClient, namespace: str) -> None:
    path = CONFIGMAPS.item(namespace, "settings")
    first = await api.create(CONFIGMAPS.collection(namespace), a_config_map())
    await api.delete(path, uid=first["metadata"]["uid"])
    second = await api.create(CONFIGMAPS.collection(namespace), a_config_map())
    with pytest.raises(errors.Conflict, match="UID in the precondition"):
        await api.delete(path, uid=first["metadata"]["uid"])
    await api.merge_patch(path, {"data": {"a": "2"}})
    with pytest.raises(errors.Conflict):
        await api.delete(path, resource_version=second["metadata"]["resourceVersion"])
    await api.delete(path, uid=second["metadata"]["uid"], propagation="Background")
    with pytest.raises(errors.NotFound) as caught:
        await api.get(path)
    assert not caught.value.resource_missing


async def test_a_status_is_replaced_of_the_very_object_alone(api: ApiClient, namespace: str, things: Resource) -> None:
    body = {"apiVersion": things.api_version, "kind": things.kind, "metadata": {"name": "one"}}
    first = (await api.create(things.collection(namespace), body))["metadata"]["uid"]
    path = things.status(namespace, "one")
    await api.replace_status(path, first, {"a": 1, "b": 1})
    assert (await api.replace_status(path, first, {"b": 2}))["status"] == {"b": 2}
    await api.delete(things.item(namespace, "one"))
    second = (await api.create(things.collection(namespace), body))["metadata"]["uid"]
    with pytest.raises(errors.Conflict, match="another object has the name now"):
        await api.replace_status(path, first, {"b": 3})
    # Why it is not a merge patch: the API server does not look at this uid.
    told = await api.merge_patch(path, {"metadata": {"uid": first}, "status": {"b": 3}})
    assert (told["metadata"]["uid"], told["status"]) == (second, {"b": 3})


async def test_a_resource_that_is_not_served_is_told_from_an_object_that_is_not_there(
    api: ApiClient, namespace: str
) -> None:
    with pytest.raises(errors.NotFound, match="is its CRD installed") as caught:
        await api.get(Resource("no.such.group", "v1", "things", "Thing").item(namespace, "x"))
    assert caught.value.resource_missing


async def test_an_invalid_object_is_refused_with_its_field(api: ApiClient, namespace: str) -> None:
    with pytest.raises(errors.Invalid, match="not a key") as caught:
        await api.create(CONFIGMAPS.collection(namespace), a_config_map(data={"not a key": "1"}))
    assert any("data" in field for _, field, _ in caught.value.causes)


MATERIAL = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF"


@pytest.mark.parametrize(
    "spoil",
    [
        {"data": {"tls.key": {"nested": MATERIAL}}},
        {"data": {"tls.key": [MATERIAL]}},
        {"data": MATERIAL},
        {"data": {"tls.key": MATERIAL + "?"}},
        {"metadata": {"labels": {"leak": MATERIAL}}},
    ],
)
async def test_an_undecodable_secret_is_not_quoted(api: ApiClient, namespace: str, spoil: dict[str, Any]) -> None:
    path = SECRETS.item(namespace, "s")
    body: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {}}
    body |= spoil
    body["metadata"] = {"name": "s"} | body["metadata"]
    for write in (api.apply(path, body), api.create(SECRETS.collection(namespace), body)):
        with pytest.raises(errors.ApiError) as caught:
            await write
        assert MATERIAL not in f"{caught.value} {caught.value!r} {caught.value.causes}"


async def test_what_a_403_asks_for_is_what_is_missing(namespace: str, cluster: Cluster, client: MakeClient) -> None:
    cluster.kubectl("create", "serviceaccount", "poor", "-n", namespace)
    poor = await client(token=cluster.kubectl("create", "token", "poor", "-n", namespace).strip())
    path = CONFIGMAPS.collection(namespace)
    with pytest.raises(errors.Forbidden) as caught:
        await poor.create(path, a_config_map())
    asked = f'verb "create" on resource "configmaps" of API group "" in namespace "{namespace}"'
    assert asked in str(caught.value)
    assert not caught.value.namespace_terminating
    cluster.kubectl("create", "role", "r", "-n", namespace, "--verb=create", "--resource=configmaps")
    cluster.kubectl("create", "rolebinding", "b", "-n", namespace, "--role=r", f"--serviceaccount={namespace}:poor")
    await eventually(lambda: poor.create(path, a_config_map()))


async def eventually(call: Any) -> Any:
    """RBAC reaches the authorizer through a watch: a moment later."""
    for last in [False] * 50 + [True]:
        try:
            return await call()
        except errors.Forbidden:
            if last:
                raise
            await asyncio.sleep(0.1)
    return None


async def test_a_namespace_that_ends_is_no_missing_right(api: ApiClient, namespace: str) -> None:
    held = a_config_map("held", finalizers=["mintls.dev/test"])
    await api.create(CONFIGMAPS.collection(namespace), held)
    await api.delete(NAMESPACES.item(None, namespace))
    try:
        with pytest.raises(errors.Forbidden, match="being deleted") as caught:
            await api.create(CONFIGMAPS.collection(namespace), a_config_map())
        assert caught.value.namespace_terminating
    finally:
        await api.merge_patch(CONFIGMAPS.item(namespace, "held"), {"metadata": {"finalizers": None}})


async def test_a_token_that_was_rotated_is_taken_up(
    namespace: str, cluster: Cluster, client: MakeClient, tmp_path: Path
) -> None:
    cluster.kubectl("create", "serviceaccount", "pod", "-n", namespace)
    token = tmp_path / "token"
    token.write_text("of.another.cluster")
    pod = await client(tokenFile=str(token))
    with pytest.raises(errors.Unauthorized):
        await pod.get("/version?verbose=1")
    token.write_text(cluster.kubectl("create", "token", "pod", "-n", namespace))
    pod.credentials._read_at -= 10
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = await pod.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert answer["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:pod"


async def test_a_list_comes_in_pages_that_hold_everything_once(api: ApiClient, namespace: str) -> None:
    path = CONFIGMAPS.collection(namespace)
    wanted = [f"n{number:02}" for number in range(25)]
    await asyncio.gather(*(api.create(path, a_config_map(name, labels={"mine": "yes"})) for name in wanted))
    pages = [page async for page in api.list_pages(path, label_selector="mine=yes", limit=10)]
    assert [len(page["items"]) for page in pages] == [10, 10, 5]
    assert [item["metadata"]["name"] for item in itertools.chain(*(page["items"] for page in pages))] == wanted
    assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1


async def test_metadata_alone_has_no_data(api: ApiClient, namespace: str) -> None:
    path = SECRETS.collection(namespace)
    options: dict[str, Any] = {"label_selector": "app.kubernetes.io/managed-by=mintls", "metadata_only": True}
    (empty,) = [page async for page in api.list_pages(path, **options)]
    assert empty["items"] == []
    await api.create(path, a_secret("s", tls_key=b"private"))
    (page,) = [page async for page in api.list_pages(path, **options)]
    (item,) = page["items"]
    assert set(item) <= {"apiVersion", "kind", "metadata"}
    events = api.watch(path, resource_version=empty["metadata"]["resourceVersion"], **options)
    async with asyncio.timeout(10), aclosing(events):
        kind, seen = await anext(events)
    assert (kind, seen["metadata"]["name"]) == ("ADDED", "s")
    assert set(seen) <= {"apiVersion", "kind", "metadata"}


async def test_a_watch_tells_what_happens_after_the_list(api: ApiClient, namespace: str) -> None:
    path, item = CONFIGMAPS.collection(namespace), CONFIGMAPS.item(namespace, "settings")
    (page,) = [page async for page in api.list_pages(path)]
    large = "x" * 900_000
    await api.create(path, a_config_map())
    await api.merge_patch(item, {"data": {"large": large}})
    await api.delete(item)
    version = page["metadata"]["resourceVersion"]
    selector = "metadata.name=settings"
    for _ in range(5):
        watch = api.watch(path, resource_version=version, field_selector=selector, timeout_seconds=3)
        seen = [(kind, thing) async for kind, thing in watch]
        assert [kind for kind, _ in seen if kind != "BOOKMARK"] == ["ADDED", "MODIFIED", "DELETED"]
        assert seen[1][1]["data"]["large"] == large
        # The server says where it stands before it ends the watch, on best effort: the next one goes on from there.
        if seen[-1][0] == "BOOKMARK":
            break
    else:
        pytest.fail("no watch of five ended with a bookmark")
    assert int(seen[-1][1]["metadata"]["resourceVersion"]) >= int(seen[2][1]["metadata"]["resourceVersion"])


async def test_a_version_from_long_ago_is_gone(api: ApiClient, things: Resource) -> None:
    # The watch cache of a resource begins when its CRD is installed: version 1 is before that.
    with pytest.raises(errors.Gone, match="list again"):
        _ = [seen async for seen in api.watch(things.collection(), resource_version="1", timeout_seconds=5)]


async def test_the_status_is_patched_apart_from_the_spec(api: ApiClient, namespace: str, things: Resource) -> None:
    body = {"apiVersion": things.api_version, "kind": things.kind, "metadata": {"name": "x"}, "spec": {"a": 1}}
    made = await api.create(things.collection(namespace), body)
    patched = await api.merge_patch(things.status(namespace, "x"), {"spec": {"a": 2}, "status": {"ready": True}})
    assert (patched["spec"], patched["status"]) == ({"a": 1}, {"ready": True})
    assert patched["metadata"]["generation"] == made["metadata"]["generation"]


async def test_requests_are_as_many_as_asked_for(api: ApiClient, namespace: str, cluster: Cluster) -> None:
    """No hidden retries: the API server's own log has one entry for each call."""
    if cluster.audit_log is None:
        pytest.skip("this provider keeps no audit log")
    path = CONFIGMAPS.collection(namespace)
    await api.create(path, a_config_map())
    with pytest.raises(errors.AlreadyExists):
        await api.create(path, a_config_map())
    await api.apply(CONFIGMAPS.item(namespace, "settings"), a_config_map())
    await asyncio.sleep(1)
    entries = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
    ours = [
        (entry["verb"], entry["responseStatus"]["code"])
        for entry in entries
        if entry.get("objectRef", {}).get("namespace") == namespace
        and entry["objectRef"]["resource"] == "configmaps"
        and entry["stage"] == "ResponseComplete"
        and entry["userAgent"].startswith("mintls")
    ]
    assert ours == [("create", 201), ("create", 409), ("patch", 200)]
