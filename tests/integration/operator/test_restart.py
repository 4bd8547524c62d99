"""Restarts and steady state cost nothing."""

import pytest

from builders.world import World
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

USERS = 20
"""More than the installation has Secrets of its own to read: a few for each look at its authority."""


async def test_a_restart_reads_no_secret_of_a_user_and_writes_nothing(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    for number in range(USERS):
        await world.client(shop, f"client-{number}")
        await world.certificate(shop, f"client-{number}")
    for number in range(USERS):
        await world.ready(CLIENT_CERTIFICATES, shop, f"client-{number}")
        await world.ready(OAUTH_CLIENTS, shop, f"client-{number}")
    await operator.end()

    restarted = await world.operator("restarted")
    await world.client(shop, "marker")
    await world.certificate(shop, "marker")
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    await world.ready(OAUTH_CLIENTS, shop, "marker")

    assert sorted(await restarted.writes(4)) == [
        ("create", "events", 201),
        ("create", "secrets", 201),
        ("patch", "clientcertificates/status", 200),
        ("patch", "oauthclients/status", 200),
    ], "the marker's, and nothing else"
    assert restarted.requests.reads.count("secrets") < USERS, "those of the installation, none of a user's"
