"""The CA's key is made once, and never replaced silently."""

import pytest

from builders.world import SYSTEM, World
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, SECRETS

pytestmark = pytest.mark.cluster

ROOT = "mintls-authority-default-root"


async def test_a_lost_root_stops_issuing_until_it_is_restored(world: World) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    backup = await world.get(SECRETS, SYSTEM, ROOT)

    await world.api.delete(SECRETS.item(SYSTEM, ROOT))

    lost = await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyLost")
    assert lost["message"].startswith(f'Secret "{ROOT}" in namespace {SYSTEM} with root key ')
    assert "Restore the Secret from a backup" in lost["message"]
    await world.client(shop, "late")
    await world.certificate(shop, "late")
    await world.reason(CLIENT_CERTIFICATES, shop, "late", "AuthorityNotReady")
    good = await world.get(CLIENT_CERTIFICATES, shop, "billing")
    assert good["status"]["conditions"][0]["status"] == "True", "what was issued stays good"

    metadata = {key: backup["metadata"][key] for key in ("name", "namespace", "labels")}
    await world.api.create(SECRETS.collection(SYSTEM), {**backup, "metadata": metadata})

    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    await world.ready(CLIENT_CERTIFICATES, shop, "late")


async def test_another_key_in_the_root_s_secret_is_not_used(world: World) -> None:
    await world.authority()
    await world.authority("other")
    await world.operator()
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    await world.ready(CERTIFICATE_AUTHORITIES, None, "other")
    other = await world.get(SECRETS, SYSTEM, "mintls-authority-other-root")

    await world.api.merge_patch(SECRETS.item(SYSTEM, ROOT), {"data": other["data"]})

    replaced = await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyReplaced")
    assert "restore the right Secret from a backup" in replaced["message"]


async def test_a_lost_intermediate_is_made_anew(world: World) -> None:
    await world.authority()
    await world.operator()
    before = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")

    await world.api.delete(SECRETS.item(SYSTEM, "mintls-authority-default-intermediate"))
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)

    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    after = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    assert after["status"]["keys"][0]["fingerprint"] == before["status"]["keys"][0]["fingerprint"]


async def test_a_new_installation_takes_up_the_keys_that_an_old_one_left(world: World) -> None:
    await world.authority()
    await world.operator()
    before = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")

    await world.api.delete(CERTIFICATE_AUTHORITIES.item(None, "default"))
    await world.authority()

    after = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["status"]["keys"] == before["status"]["keys"]


async def test_a_new_installation_makes_its_own_and_a_deleted_one_stays_deleted(world: World) -> None:
    first = await world.operator(create_authority=True)
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    await first.end()

    await world.api.delete(CERTIFICATE_AUTHORITIES.item(None, "default"))
    second = await world.operator("operator-1", create_authority=True)
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)

    await world.reason(CLIENT_CERTIFICATES, shop, "billing", "AuthorityNotFound")
    assert ("create", "certificateauthorities", 201) not in second.requests.writes
