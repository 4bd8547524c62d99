"""What a user or an administrator takes away is named in a condition, and all goes on alone when it is given back."""

import asyncio
from typing import Any

import pytest

from builders.relay import relay_to
from builders.world import REPOSITORY, SYSTEM, Object, RunningOperator, World, condition, eventually
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.errors import NotFound
from mintls.kube.paths import CLIENT_CERTIFICATES, SECRETS, Resource

pytestmark = pytest.mark.cluster

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")
ROLE = "mintls-operator"


async def shop_with_a_certificate(world: World) -> tuple[str, RunningOperator]:
    await world.authority()
    operator = await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    return shop, operator


async def waits(world: World, shop: str, reason: str, *, name: str = "billing", type_: str = "Issuing") -> Object:
    """Wait until the condition has this reason."""

    async def look() -> Object | None:
        found = condition(await world.get(CLIENT_CERTIFICATES, shop, name), type_)
        return found if found["reason"] == reason else None

    found: Object = await eventually(look, expected=f"{type_} because of {reason}")
    return found


async def renew(world: World, shop: str) -> None:
    annotations = {"metadata": {"annotations": {RENEW_REQUESTED: "now"}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), annotations)


async def revision(world: World, shop: str, wanted: int, within: float = 30.0) -> None:
    async def look() -> bool:
        found = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        return bool(found["status"]["revision"] == wanted and "nextAttemptTime" not in found["status"])

    await eventually(look, within=within, expected=f"revision {wanted}")


async def growing(world: World, shop: str, operator: RunningOperator, name: str = "billing") -> None:
    """Attempts come apart: three of them take more than the first wait three times."""
    item = CLIENT_CERTIFICATES.item(shop, name)

    async def failed() -> bool:
        return bool((await world.api.get(item))["status"].get("failedAttempts", 0) >= 3)

    await eventually(failed, within=30)
    before = len(operator.requests.writes)
    await asyncio.sleep(3)
    assert len(operator.requests.writes) - before <= 6, "a status, an attempt: no loop"


async def test_a_secret_that_somebody_made_immutable(world: World) -> None:
    shop, operator = await shop_with_a_certificate(world)
    before = await world.secret(shop)
    await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), {"immutable": True})
    await renew(world, shop)

    found = await waits(world, shop, "SecretImmutable")
    assert f'Secret "billing-mtls" in namespace "{shop}" is immutable; delete it' in found["message"]
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")  # what is there is good until its end
    assert await world.secret(shop) == before
    await growing(world, shop, operator)

    await world.api.delete(SECRETS.item(shop, "billing-mtls"))
    await revision(world, shop, 2, within=5)
    assert (await world.secret(shop))["client-id"] == before["client-id"]


async def test_an_exhausted_quota(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    shop = await world.namespace()
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    await world.api.create(QUOTAS.collection(shop), body | {"spec": {"hard": {"count/secrets": "0"}}})

    async def counted() -> bool:
        return bool((await world.api.get(QUOTAS.item(shop, "few")))["status"].get("hard"))

    await eventually(counted)
    await world.client(shop)
    await world.certificate(shop)

    found = await waits(world, shop, "QuotaExceeded", type_="Ready")
    assert f'raise ResourceQuota "few" in namespace "{shop}", or delete what uses it up' in found["message"]
    await growing(world, shop, operator)

    await world.api.merge_patch(QUOTAS.item(shop, "few"), {"spec": {"hard": {"count/secrets": "5"}}})
    await revision(world, shop, 1)


async def _without(world: World, resource: str, verbs: set[str]) -> None:
    """Take verbs on a resource away from the operator, in the ClusterRole and in the Role of its namespace."""
    roles = (
        Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False).item(None, ROLE),
        Resource("rbac.authorization.k8s.io", "v1", "roles", "Role").item(SYSTEM, ROLE),
    )
    for path in roles:
        try:
            role = await world.api.get(path)
        except NotFound:
            continue
        rules = [rule for one in role["rules"] for rule in _reduced(one, resource, verbs)]
        await world.api.replace(path, role | {"rules": rules})


def _reduced(rule: dict[str, Any], resource: str, verbs: set[str]) -> list[dict[str, Any]]:
    if resource not in rule.get("resources", ()):
        return [rule]
    others = [one for one in rule["resources"] if one != resource]
    left = [verb for verb in rule["verbs"] if verb not in verbs]
    return [
        *([{**rule, "resources": others}] if others else []),
        *([{**rule, "resources": [resource], "verbs": left}] if left else []),
    ]


def _give_back(world: World) -> None:
    world.cluster.kubectl("apply", "-f", str(REPOSITORY / "hack" / "manifests" / "operator-rbac.yaml"))


async def test_a_right_to_write_secrets_that_was_taken_away(world: World) -> None:
    shop, operator = await shop_with_a_certificate(world)
    try:
        await _without(world, "secrets", {"create", "patch", "update"})
        await asyncio.sleep(1)
        await world.certificate(shop, "late", clientRef={"name": "billing"})
        found = await waits(world, shop, "RightMissing", name="late", type_="Ready")
        assert f'verb "create" on resource "secrets" of API group "" in namespace "{shop}"' in found["message"]
        await renew(world, shop)
        found = await waits(world, shop, "RightMissing")
        assert 'verb "patch" on resource "secrets"' in found["message"]
        await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        await growing(world, shop, operator, "late")
    finally:
        _give_back(world)
    await revision(world, shop, 2)
    await world.ready(CLIENT_CERTIFICATES, shop, "late", within=30)


async def test_a_right_to_watch_our_kinds_that_was_taken_away(world: World) -> None:
    async with relay_to(*world.server()) as relay:
        await world.authority()
        operator = await world.operator(server=relay.address, lease_seconds=30.0)
        shop = await world.namespace()
        await world.client(shop)
        await world.certificate(shop)
        await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        try:
            await _without(world, "clientcertificates", {"list", "watch"})
            relay.drop()  # a watch that is open stays so

            async def told() -> bool:
                return 'needs verb "list" on resource "clientcertificates"' in operator.operator.ready()

            await eventually(told, within=90, expected="the missing right in /readyz")
        finally:
            _give_back(world)
        await world.certificate(shop, "late", clientRef={"name": "billing"})
        await world.ready(CLIENT_CERTIFICATES, shop, "late", within=30)
        assert operator.operator.ready() == ""
        assert not operator.task.done(), "the same process goes on"
