"""A trust bundle that cannot be written is a condition of the authority, which issues all the same."""

import asyncio
from typing import Any

import pytest

from builders.world import Object, RunningOperator, World, condition, eventually
from integration.operator.test_refusals import QUOTAS, _give_back, _without
from integration.operator.test_trust_bundle import BLUE, appears, bundle, label
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, CONFIGMAPS, EVENTS

pytestmark = pytest.mark.cluster

THEIRS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mintls-trust-bundle"}, "data": {"x": "theirs"}}


async def blue(world: World, **first: Any) -> str:
    """A namespace that the authority selects; ``first`` is made in it before."""
    shop = await world.namespace()
    if first:
        await world.api.create(CONFIGMAPS.collection(shop), first)
    await label(world, shop, team="blue")
    return shop


async def authority(world: World) -> Object:
    return await world.get(CERTIFICATE_AUTHORITIES, None, "default")


async def installed(world: World) -> RunningOperator:
    await world.authority(trustBundle={"namespaceSelector": BLUE})
    # The cluster's own tool takes its time in the loop of this process, too.
    operator = await world.operator(lease_seconds=30.0)
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    return operator


async def missing(world: World, *words: str) -> Object:
    """Wait until the condition says this."""

    async def look() -> Object | None:
        found = condition(await authority(world), "BundlesMissing")
        return found if all(word in found["message"] for word in words) else None

    found: Object = await eventually(look, within=30, expected=f"BundlesMissing with {words}")
    return found


async def well(world: World, within: float = 30.0) -> None:
    """Wait until the condition is gone."""

    async def look() -> bool:
        types = {one["type"] for one in (await authority(world))["status"]["conditions"]}
        return "BundlesMissing" not in types and "Ready" in types

    await eventually(look, within=within)


async def issues_in(world: World, shop: str) -> None:
    """A certificate is issued there all the same, and the authority is Ready."""
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")


async def events(world: World, reason: str) -> list[Object]:
    found = (await world.api.get(EVENTS.collection("default")))["items"]
    uid = (await authority(world))["metadata"]["uid"]
    return [one for one in found if one["reason"] == reason and one["regarding"].get("uid") == uid]


async def test_a_config_map_of_somebody_else(world: World) -> None:
    operator = await installed(world)
    shop = await blue(world, **THEIRS)
    found = await missing(world, f": {shop}: somebody else made a ConfigMap of that name")
    assert (found["status"], found["reason"]) == ("True", "BundleNotOwned")
    await issues_in(world, shop)
    await asyncio.sleep(1)  # the event follows the status
    assert [one["type"] for one in await events(world, "BundleNotOwned")] == ["Warning"]
    operator.operator.observe()
    metrics = operator.operator._metrics.registry
    assert metrics.get_sample_value("mintls_trust_bundles_missing", {"reason": "BundleNotOwned"}) == 1

    await operator.end()
    again = await world.operator("again")
    await appears(world, await blue(world), within=20)
    await asyncio.sleep(3)
    assert condition(await authority(world), "BundlesMissing") == found, "it neither goes nor comes again"
    assert not [what for what in again.requests.writes if what[1] == "certificateauthorities/status"]
    assert len(await events(world, "BundleNotOwned")) == 1

    theirs = await bundle(world, shop)
    assert theirs is not None
    assert theirs["data"] == THEIRS["data"], "it is left as it is"
    await world.api.delete(CONFIGMAPS.item(shop, "mintls-trust-bundle"))
    await appears(world, shop, within=5)
    await well(world)


async def test_a_namespace_that_is_wanted_no_more_or_gone_is_not_missed(world: World) -> None:
    await installed(world)
    shop, other = await blue(world, **THEIRS), await blue(world, **THEIRS)
    await missing(world, shop, other, "2 namespaces")
    await label(world, shop, team="red")
    found = await missing(world, "1 namespace ")
    assert shop not in found["message"]
    world.cluster.kubectl("delete", "namespace", other, "--wait=false")
    await well(world)


async def test_an_exhausted_quota_and_a_right_that_was_taken_away(world: World) -> None:
    operator = await installed(world)
    shop = await world.namespace()
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}}
    await world.api.create(QUOTAS.collection(shop), quota | {"spec": {"hard": {"count/configmaps": "0"}}})

    async def counted() -> bool:
        return bool((await world.api.get(QUOTAS.item(shop, "few")))["status"].get("hard"))

    await eventually(counted)
    await label(world, shop, team="blue")
    found = await missing(world, f'{shop}: ResourceQuota "few" is exhausted; raise it')
    assert found["reason"] == "QuotaExceeded"
    await issues_in(world, shop)
    try:
        await _without(world, "configmaps", {"create", "patch"})
        await asyncio.sleep(1)
        late = await blue(world)
        # The other namespace may lack it for the same cause by now, and be named first or last.
        await missing(world, late, 'the operator needs verb "create" on resource "configmaps"')
        await issues_in(world, late)
    finally:
        _give_back(world)
    await world.api.merge_patch(QUOTAS.item(shop, "few"), {"spec": {"hard": {"count/configmaps": "9"}}})
    await appears(world, late, within=60)
    await appears(world, shop, within=60)
    await well(world)
    assert not operator.task.done()
