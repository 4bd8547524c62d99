"""The informer against a real API server, also through a link that fails."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from builders.relay import Relay
from builders.waiting import until
from clusterlib.cluster import Cluster
from mintls.kube import client as client_module
from mintls.kube.client import ApiClient, Object
from mintls.kube.informer import Change, Informer
from mintls.kube.paths import CONFIGMAPS, SECRETS, Resource

from .conftest import MakeClient

pytestmark = pytest.mark.cluster


@asynccontextmanager
async def running(api: ApiClient, resource: Resource, **options: Any) -> AsyncIterator[Informer[Any]]:
    subject: Informer[Any] = Informer(api, resource, **options)
    task = asyncio.create_task(subject.run())
    try:
        yield subject
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def names(subject: Informer[Any]) -> set[str]:
    return {name for _, name in subject.store}


def a_config_map(name: str, **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"mine": "yes"}},
        "data": data,
    }


async def create(api: ApiClient, namespace: str, *wanted: str) -> None:
    await asyncio.gather(*(api.create(CONFIGMAPS.collection(namespace), a_config_map(name)) for name in wanted))


async def test_the_store_is_what_kubectl_sees(api: ApiClient, namespace: str, cluster: Cluster) -> None:
    many = [f"n{number:02}" for number in range(25)]
    await create(api, namespace, *many)
    changes: list[Change[Object]] = []
    options = {"namespace": namespace, "label_selector": "mine=yes", "page_size": 10, "on_change": changes.append}
    async with running(api, CONFIGMAPS, **options) as subject:
        await asyncio.wait_for(subject.synced(), 10)
        assert names(subject) == set(many)
        await until(lambda: subject.connected)
        cluster.kubectl("delete", "configmap", "n00", "n01", "-n", namespace)
        cluster.kubectl("patch", "configmap", "n02", "-n", namespace, "-p", '{"data":{"a":"2"}}')
        cluster.kubectl("label", "configmap", "n03", "-n", namespace, "mine=no", "--overwrite")
        cluster.kubectl("create", "configmap", "foreign", "-n", namespace)
        await create(api, namespace, "last")
        await until(lambda: "last" in names(subject))
        listed = cluster.kubectl("get", "configmap", "-n", namespace, "-l", "mine=yes", "-o", "name").split()
        assert {f"configmap/{name}" for name in names(subject)} == set(listed)
        assert subject.store[namespace, "n02"]["data"] == {"a": "2"}
        assert subject.healthy(time.monotonic())
    gone = [change.key[1] for change in changes if change.kind == "gone"]
    # A changed label takes an object out of the selection: to this store it is gone.
    assert gone == ["n00", "n01", "n03"]
    assert "foreign" not in {change.key[1] for change in changes}


async def test_secrets_are_seen_without_their_data(api: ApiClient, namespace: str, cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "s", "-n", namespace, "--from-literal=tls.key=private")
    async with running(api, SECRETS, namespace=namespace, metadata_only=True) as subject:
        await asyncio.wait_for(subject.synced(), 10)
        assert names(subject) == {"s"}
        await until(lambda: subject.connected)
        cluster.kubectl("label", "secret", "s", "-n", namespace, "touched=yes")
        await until(lambda: "labels" in subject.store[namespace, "s"]["metadata"])
        assert set(subject.store[namespace, "s"]) <= {"apiVersion", "kind", "metadata"}


async def test_a_watch_that_is_cut_off_misses_nothing(
    api: ApiClient, namespace: str, client: MakeClient, relay: Relay
) -> None:
    far = await client(relay)
    told: list[tuple[str, str]] = []
    options = {
        "namespace": namespace,
        "label_selector": "mine=yes",
        "on_change": lambda change: told.append((change.kind, change.key[1])),
    }
    await create(api, namespace, "a", "b")
    async with running(far, CONFIGMAPS, **options) as subject:
        await until(lambda: subject.connected)
        relay.cut()
        await until(lambda: not subject.connected)
        await api.delete(CONFIGMAPS.item(namespace, "a"))
        await create(api, namespace, "c")
        await asyncio.sleep(1.5)
        assert names(subject) == {"a", "b"}
        assert "no answer" in subject.problem
        relay.restore()
        took = await until(lambda: names(subject) == {"b", "c"})
        assert subject.problem == ""
    assert took < 6
    assert told == [("put", "a"), ("put", "b"), ("gone", "a"), ("put", "c")]


async def test_a_dead_link_is_noticed_by_its_silence(
    api: ApiClient,
    namespace: str,
    client: MakeClient,
    relay: Relay,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module.ApiClient.watch, "__kwdefaults__", silent_after(2.0))
    far = await client(relay)
    async with running(far, CONFIGMAPS, namespace=namespace, label_selector="mine=yes") as subject:
        await until(lambda: subject.connected)
        relay.freeze()
        await create(api, namespace, "a")
        await until(lambda: not subject.connected, 5)
        relay.drop()
        relay.restore()
        await until(lambda: names(subject) == {"a"})


def silent_after(seconds: float) -> dict[str, Any]:
    return {**(ApiClient.watch.__kwdefaults__ or {}), "silence_seconds": seconds}


async def test_a_watch_that_ends_is_opened_again_from_its_bookmark(
    api: ApiClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {**(ApiClient.watch.__kwdefaults__ or {}), "timeout_seconds": 2}
    monkeypatch.setattr(ApiClient.watch, "__kwdefaults__", defaults)
    lists: list[str] = []
    api.on_request = lambda verb, resource, status, _: lists.append(f"{verb} {resource} {status}")
    async with running(api, CONFIGMAPS, namespace=namespace, label_selector="mine=yes") as subject:
        await until(lambda: lists.count("watch configmaps 200") >= 2)
        await create(api, namespace, "a")
        await until(lambda: names(subject) == {"a"})
    assert lists.count("list configmaps 200") == 1
    assert subject.problem == ""


async def test_a_crd_that_comes_later_is_waited_for(api: ApiClient, things: Resource, namespace: str) -> None:
    missing = Resource("test.mintls.dev", "v1", "nosuchthings", "NoSuchThing")
    async with running(api, missing) as waiting, running(api, things) as subject:
        await asyncio.wait_for(subject.synced(), 10)
        await until(lambda: waiting.problem != "")
        assert "is its CRD installed?" in waiting.problem
        body = {"apiVersion": things.api_version, "kind": things.kind, "metadata": {"name": "x"}}
        await api.create(things.collection(namespace), body)
        await until(lambda: (namespace, "x") in subject.store)
