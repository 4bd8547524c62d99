"""Restarts and steady state cost nothing."""

import asyncio

import pytest

from builders.world import World, eventually
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
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


async def test_what_happens_at_a_start_does_not_wait_for_kopf(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its list of everything takes seconds where there is much."""
    await world.authority()
    monkeypatch.setattr("mintls.controllers.operator.watch", still_listing)
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, "billing")
    await world.certificate(shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    before = await world.ready(CLIENT_CERTIFICATES, shop, "billing")

    asked = {"metadata": {"annotations": {RENEW_REQUESTED: "now"}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), asked)

    async def renewed() -> bool:
        certificate = await world.api.get(CLIENT_CERTIFICATES.item(shop, "billing"))
        return bool(certificate["status"]["serialNumber"] != before["status"]["serialNumber"])

    await eventually(renewed)


async def still_listing(*_: object) -> None:
    await asyncio.Event().wait()
