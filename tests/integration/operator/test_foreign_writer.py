"""Somebody who writes to a Secret of ours whenever it was put right: real writes, real waits."""

import asyncio
import base64
from contextlib import suppress

import pytest

from builders.world import World
from mintls.kube.client import ApiClient
from mintls.kube.paths import CLIENT_CERTIFICATES, SECRETS

pytestmark = pytest.mark.cluster

SCRIBBLE = base64.b64encode(b"somebody-else").decode()


async def scribble_for_ever(api: ApiClient, namespace: str) -> None:
    path = SECRETS.item(namespace, "billing-mtls")
    scribbled = {"apiVersion": "v1", "kind": "Secret", "data": {"client-id": SCRIBBLE}}
    while True:
        if (await api.get(path))["data"]["client-id"] != SCRIBBLE:
            await api.apply(path, scribbled, field_manager="scribbler")
        await asyncio.sleep(0.01)


async def test_a_fight_for_a_secret_is_slowed_down_and_the_other_named(world: World) -> None:
    await world.authority()
    namespace = await world.namespace()
    await world.client(namespace)
    await world.certificate(namespace)
    world.running = await world.operator()
    await world.ready(CLIENT_CERTIFICATES, namespace, "billing")
    before = len(world.running.requests.writes)

    scribbling = asyncio.create_task(scribble_for_ever(world.api, namespace))
    try:
        ready = await world.reason(CLIENT_CERTIFICATES, namespace, "billing", "SecretContested")
        assert "5 times" in ready["message"]
        assert 'field manager "scribbler"' in ready["message"]
        await asyncio.sleep(6)
    finally:
        scribbling.cancel()
        with suppress(asyncio.CancelledError):
            await scribbling

    writes = [write for write in world.running.requests.writes[before:] if write[1] == "secrets"]
    # At once five repairs, one of which may need a write more to take over what was posted; then after 2, 4 and 8 s.
    assert 5 <= len(writes) <= 9
    await world.ready(CLIENT_CERTIFICATES, namespace, "billing", within=60)
