"""Two clients, one name: the earlier holds it, the later is told."""

from pathlib import Path

import pytest

from builders.world import World, condition, next_second
from integration.operator.test_token import token
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster


async def test_the_later_claim_to_an_identity_is_told_and_takes_over_when_the_first_is_gone(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    first, second = await world.namespace(), await world.namespace()
    await world.client(first, tlsClientAuth={"sanEmail": "billing@shop.example"})
    before = await world.ready(OAUTH_CLIENTS, first, "billing")
    await next_second()
    await world.client(second, tlsClientAuth={"sanEmail": "billing@SHOP.example"})
    await world.certificate(second)

    refused = await world.reason(OAUTH_CLIENTS, second, "billing", "IdentityTaken")

    assert refused["message"] == (
        'sanEmail "billing@SHOP.example" is held by a client of another namespace, which was first: '
        "choose another identity"
    )
    loser = await world.get(OAUTH_CLIENTS, second, "billing")
    assert condition(loser, "Conflict")["status"] == "True"
    await world.reason(CLIENT_CERTIFICATES, second, "billing", "ClientInConflict")
    assert await world.get(OAUTH_CLIENTS, first, "billing") == before, "the first never notices"

    await world.api.delete(OAUTH_CLIENTS.item(first, "billing"))

    winner = await world.ready(OAUTH_CLIENTS, second, "billing")
    assert [c["type"] for c in winner["status"]["conditions"]] == ["Ready", "Registered"]
    await world.ready(CLIENT_CERTIFICATES, second, "billing")


async def test_an_older_client_that_is_edited_takes_nothing_from_a_younger_one(world: World, tmp_path: Path) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    elder, shop = await world.namespace(), await world.namespace()
    await world.client(elder, tlsClientAuth={"sanEmail": "elder@shop.example"})
    await world.ready(OAUTH_CLIENTS, elder, "billing")
    await next_second()
    await world.client(shop, tlsClientAuth={"sanEmail": "billing@shop.example"})
    await world.certificate(shop)
    before = await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")

    greedy = {"spec": {"tlsClientAuth": {"sanEmail": "billing@shop.example"}}}
    await world.api.merge_patch(OAUTH_CLIENTS.item(elder, "billing"), greedy)

    await world.reason(OAUTH_CLIENTS, elder, "billing", "IdentityTaken")
    assert await world.get(OAUTH_CLIENTS, shop, "billing") == before, "the first never notices"
    assert (await token(tmp_path, await world.secret(shop)))[0] == 200

    await operator.end()
    await world.operator("operator-1")
    await world.client(shop, "marker")
    await world.ready(OAUTH_CLIENTS, shop, "marker")
    await world.reason(OAUTH_CLIENTS, elder, "billing", "IdentityTaken")
    assert await world.get(OAUTH_CLIENTS, shop, "billing") == before

    await world.api.delete(OAUTH_CLIENTS.item(shop, "billing"))
    await world.ready(OAUTH_CLIENTS, elder, "billing")


async def test_the_later_claim_to_a_client_id_is_told(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, "first", clientID="shop-app")
    await world.ready(OAUTH_CLIENTS, shop, "first")
    await next_second()
    await world.client(shop, "second", clientID="shop-app")

    refused = await world.reason(OAUTH_CLIENTS, shop, "second", "ClientIDTaken")

    assert refused["message"] == (
        'clientID "shop-app" is held by OAuthClient "first", which was first: choose another one'
    )


async def test_a_restart_decides_the_same_way(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    for name in ("first", "second"):
        await world.client(shop, name, clientID="shop-app")
        await world.reason(OAUTH_CLIENTS, shop, name, "Registered" if name == "first" else "ClientIDTaken")
        await next_second()
    await operator.end()

    restarted = await world.operator("operator-1")
    await world.client(shop, "marker")
    await world.ready(OAUTH_CLIENTS, shop, "marker")

    await world.reason(OAUTH_CLIENTS, shop, "first", "Registered")
    await world.reason(OAUTH_CLIENTS, shop, "second", "ClientIDTaken")
    assert [w for w in await restarted.writes(1) if w[1] != "secrets"] == [("patch", "oauthclients/status", 200)]
