"""Another root under load, on a real API server: no token is refused, and nobody trusts the old root at the end."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from builders.world import World, eventually, free_port
from mintls.api.v1alpha1.certificateauthority import HOLD_ROTATION, ROTATE_REQUESTED
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, CONFIGMAPS, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

CERTIFICATES = 20
AUTHORITY = CERTIFICATE_AUTHORITIES.item(None, "default")
QUICK = {"root": {"trustBeforeUse": "1s", "reissueWithin": "2s"}}


@dataclass
class Load:
    """A client that reads its Secret anew for each token, and asks each replica in turn."""

    world: World
    shop: str
    ports: tuple[int, ...]
    tokens: int = 0
    failures: list[str] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            for port in self.ports:
                await self.ask(port, await self.world.secret(self.shop, "billing-0"))

    async def ask(self, port: int, files: dict[str, bytes]) -> None:
        try:
            status = await token(files, port, self.world.folder)
        except (aiohttp.ClientError, ssl.SSLError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
            return
        self.tokens += 1
        if status != 200:
            self.failures.append(f"HTTP {status}")


async def token(files: dict[str, bytes], port: int, folder: Path) -> int:
    """The status of an answer to a client that trusts its own ``ca.crt`` only."""
    context = ssl.create_default_context(cadata=files["ca.crt"].decode())
    pair = folder / f"pair-{files['tls.crt'][40:60].hex()}.pem"
    pair.write_bytes(files["tls.key"] + files["tls.crt"])
    context.load_cert_chain(pair)
    form = {"grant_type": "client_credentials", "client_id": files["client-id"].decode()}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        session.post(f"https://localhost:{port}/token", data=form) as answer,
    ):
        await answer.read()
        return answer.status


@asynccontextmanager
async def under_load(world: World, shop: str, ports: tuple[int, ...]) -> AsyncIterator[Load]:
    load = Load(world, shop, ports)
    task = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert load.failures == []
    assert load.tokens > 10


@pytest.fixture
async def installed_shop(world: World) -> tuple[World, str, tuple[int, ...]]:
    """Two replicas of the issuer, and a client with many certificates."""
    await world.authority(selfSigned=QUICK)
    second = free_port()
    ports = (world.ports[1], second)
    world.running = await operator(world, ports)
    await world.issuer()
    await world.issuer(ports=(free_port(), second))
    shop = await world.namespace()
    await world.client(shop)
    for number in range(CERTIFICATES):
        spec = {"clientRef": {"name": "billing"}, "secretName": f"billing-{number}", "duration": "1h"}
        body = {"apiVersion": CLIENT_CERTIFICATES.api_version, "kind": "ClientCertificate", "spec": spec}
        named = body | {"metadata": {"name": f"billing-{number}"}}
        await world.api.create(CLIENT_CERTIFICATES.collection(shop), named)
    for number in range(CERTIFICATES):
        await world.ready(CLIENT_CERTIFICATES, shop, f"billing-{number}")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    return world, shop, ports


async def operator(world: World, ports: tuple[int, ...], identity: str = "operator-0") -> Any:
    replicas = tuple(f"127.0.0.1:{port}" for port in ports)
    return await world.operator(identity, issuer_replicas=replicas)


async def annotate(world: World, **annotations: str | None) -> None:
    await world.api.merge_patch(AUTHORITY, {"metadata": {"annotations": annotations}})


async def phase(world: World) -> str:
    return str(((await world.api.get(AUTHORITY))["status"].get("rotation") or {}).get("phase", ""))


async def reached(world: World, *phases: str, within: float = 60) -> None:
    last: dict[str, Any] = {}

    async def look() -> bool:
        last.clear()
        last.update((await world.api.get(AUTHORITY))["status"])
        return (last.get("rotation") or {}).get("phase", "") in (phases or ("",))

    try:
        await eventually(look, within=within)
    except AssertionError as error:
        error.add_note(f"{phases}: {last.get('rotation')} {last.get('conditions')}")
        raise


async def bundles(world: World, shop: str) -> set[int]:
    """How many roots there are in whatever a workload of the namespace trusts."""
    found = {(await world.get(CONFIGMAPS, shop, "mintls-trust-bundle"))["data"]["ca.crt"].count("BEGIN")}
    for number in range(CERTIFICATES):
        found.add((await world.secret(shop, f"billing-{number}"))["ca.crt"].count(b"BEGIN"))
    return found


@pytest.mark.parametrize("killed_in", ["", "Preparing", "Reissuing"])
async def test_no_token_is_refused_and_the_old_root_is_trusted_by_nobody_at_the_end(
    installed_shop: tuple[World, str, tuple[int, ...]], tmp_path: Path, killed_in: str
) -> None:
    world, shop, ports = installed_shop
    assert world.running is not None
    before = await world.secret(shop, "billing-0")
    first = (await world.api.get(AUTHORITY))["status"]["keys"][0]["fingerprint"]
    async with under_load(world, shop, ports):
        await annotate(world, **{ROTATE_REQUESTED: "now"})
        await reached(world, "Preparing", "Reissuing", "Retiring")
        if killed_in == "Preparing":
            await take_over(world, ports)
        await reached(world, "Reissuing", "Retiring")
        if killed_in == "Reissuing":
            await take_over(world, ports)
        await reached(world, "Retiring")
        assert await bundles(world, shop) == {2}
        old = before | {"ca.crt": (await world.secret(shop, "billing-0"))["ca.crt"]}
        assert await token(old, ports[0], tmp_path) == 200, "what was issued before is good until it ends"
    # The last certificate of the old root ends; whoever has not read its Secret since is out.
    await world.running.end()
    world.clock.pass_(timedelta(minutes=62))
    world.running = await operator(world, ports, "an-hour-later")
    await reached(world)
    keys = (await world.api.get(AUTHORITY))["status"]["keys"]
    assert [key["role"] for key in keys] == ["active"]
    assert keys[0]["fingerprint"] != first

    async def alone() -> bool:
        return await bundles(world, shop) == {1}

    await eventually(alone)
    async with under_load(world, shop, ports):
        await asyncio.sleep(1)


async def take_over(world: World, ports: tuple[int, ...]) -> None:
    """The operator dies, and another one comes when its Lease has ended."""
    assert world.running is not None
    await world.running.kill()
    world.running = await operator(world, ports, "operator-1")


async def test_a_replica_that_does_not_trust_the_next_root_holds_the_switch_up_and_is_named(
    installed_shop: tuple[World, str, tuple[int, ...]],
) -> None:
    world, shop, ports = installed_shop
    assert world.running is not None
    await world.running.end()
    deaf = free_port()
    world.running = await operator(world, (*ports, deaf))
    await annotate(world, **{ROTATE_REQUESTED: "now"})

    async def named() -> bool:
        rotation = (await world.api.get(AUTHORITY))["status"].get("rotation") or {}
        return f"1 of 3 issuer replicas do not trust it yet: 127.0.0.1:{deaf} no answer" in rotation.get("message", "")

    await eventually(named, within=30)
    assert await bundles(world, shop) == {2}
    await annotate(world, **{HOLD_ROTATION: "true"})
    await reached(world)

    async def as_before() -> bool:
        return await bundles(world, shop) == {1}

    await eventually(as_before)
