"""Pods that are restarted after a renewal: by eviction, one at a time, and never without the right to."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from builders.world import SYSTEM, World, eventually
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED, RESTART_PODS
from mintls.kube.paths import CLIENT_CERTIFICATES, EVENTS, PODS

pytestmark = pytest.mark.cluster

RIGHTS = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
]


async def shop_with_pods(world: World, count: int) -> str:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    await make_pods(world, shop, count)
    return shop


async def make_pods(world: World, shop: str, count: int) -> None:
    """Pods that have read the Secret a while ago."""
    volumes = [{"name": "credential", "secret": {"secretName": "billing-mtls"}}]
    template = {
        "metadata": {"labels": {"app": "reader"}},
        "spec": {"containers": [{"name": "reader", "image": "reader"}], "volumes": volumes},
    }
    spec = {"replicas": count, "selector": {"matchLabels": {"app": "reader"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "reader"}, "spec": spec}
    await world.api.create(f"/apis/apps/v1/namespaces/{shop}/replicasets", body)

    async def made() -> bool:
        return len(await names(world, shop)) == count

    await eventually(made)
    for name in await names(world, shop):
        await begin(world, shop, name, "2026-01-01T00:00:00Z")


async def names(world: World, shop: str) -> set[str]:
    return {
        item["metadata"]["name"]
        async for page in world.api.list_pages(PODS.collection(shop))
        for item in page["items"]
    }  # fmt: skip


async def begin(world: World, shop: str, name: str, moment: str) -> None:
    """What the kubelet says of a pod that runs; there is none here."""
    running = {"name": "reader", "image": "reader", "imageID": "", "ready": True, "restartCount": 0}
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [running | {"state": {"running": {"startedAt": moment}}}],
    }
    await world.api.merge_patch(PODS.status(shop, name), {"status": status})


def give_rights(world: World) -> None:
    account = {"kind": "ServiceAccount", "name": "mintls-operator", "namespace": SYSTEM}
    rbac = "rbac.authorization.k8s.io"
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": "restart-pods"}
    meta: dict[str, Any] = {"metadata": {"name": "restart-pods"}, "apiVersion": f"{rbac}/v1"}
    for body in (
        {"kind": "ClusterRole", "rules": RIGHTS} | meta,
        {"kind": "ClusterRoleBinding", "roleRef": role, "subjects": [account]} | meta,
    ):
        world.cluster.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def take_rights(world: World) -> None:
    world.cluster.kubectl("delete", "clusterrole,clusterrolebinding", "restart-pods", "--ignore-not-found")


async def renew(world: World, shop: str, restart_pods: str = "true") -> None:
    annotations = {RENEW_REQUESTED: "now", RESTART_PODS: restart_pods}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"metadata": {"annotations": annotations}})


async def events(world: World, shop: str, reason: str) -> list[str]:
    return [
        item["note"]
        async for page in world.api.list_pages(EVENTS.collection(shop))
        for item in page["items"]
        if item["reason"] == reason
    ]


async def test_after_a_renewal_each_pod_is_restarted_and_never_two_at_once(world: World) -> None:
    give_rights(world)
    try:
        shop = await shop_with_pods(world, 2)
        first = await names(world, shop)
        known = set(first)
        await renew(world, shop)

        async def one_is_gone() -> set[str]:
            there = await names(world, shop)
            return there - known if len(there) == 2 else set()

        for left in (1, 0):
            [successor] = await eventually(one_is_gone)
            assert len(first & await names(world, shop)) == left
            known.add(successor)
            await begin(world, shop, successor, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        assert len(await events(world, shop, "PodRestarted")) == 2
    finally:
        take_rights(world)


async def test_a_budget_that_allows_no_eviction_is_told_and_respected(world: World) -> None:
    give_rights(world)
    try:
        shop = await shop_with_pods(world, 1)
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "reader"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "reader"}}},
        }
        await world.api.create(f"/apis/policy/v1/namespaces/{shop}/poddisruptionbudgets", budget)
        before = await names(world, shop)
        await renew(world, shop)

        async def told() -> list[str]:
            return await events(world, shop, "PodsNotRestarted")

        [note] = await eventually(told)
        assert "disruption budget" in note
        assert await names(world, shop) == before
    finally:
        take_rights(world)


async def test_without_the_rights_an_event_says_how_to_get_them(world: World) -> None:
    shop = await shop_with_pods(world, 1)
    before = await names(world, shop)
    await renew(world, shop)

    async def told() -> list[str]:
        return await events(world, shop, "PodsNotRestarted")

    [note] = await eventually(told)
    assert "operator.restartPods=true" in note
    assert 'verb "list" on resource "pods"' in note
    assert await names(world, shop) == before


async def test_without_the_annotation_pods_are_left_alone(world: World) -> None:
    give_rights(world)
    try:
        shop = await shop_with_pods(world, 1)
        before = await names(world, shop)
        revision = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]["revision"]
        await renew(world, shop, restart_pods="false")

        async def renewed() -> bool:
            return bool((await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]["revision"] > revision)

        await eventually(renewed)
        assert await names(world, shop) == before
    finally:
        take_rights(world)
