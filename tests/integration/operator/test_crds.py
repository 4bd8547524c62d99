"""CRDs that are not there yet, or not any more. Each test puts them back: the cluster is everybody's."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from builders.world import REPOSITORY, SYSTEM, World, eventually
from clusterlib.cluster import Cluster
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

PLURALS = ("oauthclients", "clientcertificates", "certificateauthorities")


def crds(cluster: Cluster) -> list[str]:
    found = json.loads(cluster.kubectl("get", "crds", "-o", "json"))["items"]
    return [one["metadata"]["name"] for one in found if one["metadata"]["name"].split(".")[0] in PLURALS]


def remove(cluster: Cluster) -> None:
    cluster.kubectl("delete", "--wait=true", "--timeout=60s", "crd", *(f"{plural}.mintls.dev" for plural in PLURALS))


def put_back(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", str(REPOSITORY / "crds"))
    for plural in PLURALS:
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=20s", f"crd/{plural}.mintls.dev")


@pytest.fixture
async def restored(world: World) -> AsyncIterator[World]:
    yield world
    await asyncio.to_thread(put_back, world.cluster)


async def test_an_operator_that_starts_before_the_crds_waits_for_them(restored: World) -> None:
    world = restored
    await asyncio.to_thread(remove, world.cluster)
    operator = await world.operator(lease_seconds=30.0)

    async def told() -> bool:
        return "is its CRD installed?" in operator.operator.ready()

    await eventually(told, expected="what it waits for in /readyz")
    await asyncio.to_thread(put_back, world.cluster)
    await world.authority()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing", within=30)
    assert operator.operator.ready() == ""


async def test_crds_that_are_removed_and_put_back_need_no_restart(restored: World) -> None:
    world = restored
    await world.authority()
    operator = await world.operator(lease_seconds=30.0)
    await world.issuer()
    shop = await world.shop()
    root = await world.secret(SYSTEM, "mintls-authority-default-root")
    # Somebody's Secret beside it, which is nobody's business.
    other = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "stringData": {"a": "b"}}
    await world.api.create(SECRETS.collection(shop), other)

    await asyncio.to_thread(remove, world.cluster)

    async def told() -> bool:
        return "put the CRDs back" in operator.operator.ready()

    await eventually(told, expected="what is missing in /readyz")
    await asyncio.sleep(3)
    assert not operator.task.done()

    await asyncio.to_thread(put_back, world.cluster)
    await world.authority()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default", within=30)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing", within=60)
    await world.ready(OAUTH_CLIENTS, shop, "billing", within=60)
    assert not operator.task.done(), "the same process goes on"
    assert operator.operator.ready() == ""
    assert await world.secret(SYSTEM, "mintls-authority-default-root") == root
    assert (await world.secret(shop, "mine"))["a"] == b"b"
