"""A certificate is good only while the object that it was issued for says so: at every replica, in open connections."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from builders.world import World, eventually, free_port
from mintls.kube.errors import NotFound
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

WITHIN = 1.0
"""Seconds; what the design promises."""


@pytest.fixture
async def replicas(world: World) -> tuple[int, int]:
    """Two replicas of the issuer, by their mTLS ports."""
    await world.authority()
    world.running = await world.operator()
    await world.issuer()
    second = free_port()
    await world.issuer(ports=(free_port(), second))
    return world.ports[1], second


class Caller:
    """A client with one connection to each replica, which stays open."""

    def __init__(self, session: aiohttp.ClientSession, ports: tuple[int, ...], client_id: str) -> None:
        self._session, self._ports, self._client_id = session, ports, client_id

    async def statuses(self) -> list[int]:
        return [await self._ask(port) for port in self._ports]

    async def _ask(self, port: int) -> int:
        form = {"grant_type": "client_credentials", "client_id": self._client_id}
        async with self._session.post(f"https://localhost:{port}/token", data=form) as answer:
            await answer.read()
            return answer.status

    async def refused(self) -> bool:
        return await self.statuses() == [401, 401]


@asynccontextmanager
async def caller(files: dict[str, bytes], ports: tuple[int, ...], folder: Path) -> AsyncIterator[Caller]:
    context = ssl.create_default_context(cadata=files["ca.crt"].decode())
    (folder / "pair.pem").write_bytes(files["tls.key"] + files["tls.crt"])
    context.load_cert_chain(folder / "pair.pem")
    trace, opened = aiohttp.TraceConfig(), []

    async def count(*_arguments: object) -> None:
        opened.append(1)

    trace.on_connection_create_end.append(count)
    connector = aiohttp.TCPConnector(ssl=context, limit_per_host=1)
    async with aiohttp.ClientSession(connector=connector, trace_configs=[trace]) as session:
        yield Caller(session, ports, files["client-id"].decode())
    assert len(opened) == len(ports), "each connection was open from the first request to the last"


async def ends(one: Caller) -> float:
    """Wait until every replica refuses; seconds that it took."""
    began = time.monotonic()
    await eventually(one.refused, within=WITHIN, every=0.01)
    return time.monotonic() - began


@pytest.mark.parametrize("operator_runs", [True, False], ids=["with an operator", "with none"])
@pytest.mark.parametrize("how", ["deleted", "revoked", "given to another client", "client suspended", "client deleted"])
async def test_it_ends_within_a_second_when_its_object_is(
    world: World,
    replicas: tuple[int, int],
    tmp_path: Path,
    how: str,
    operator_runs: bool,  # noqa: FBT001
) -> None:
    shop = await world.shop()
    own, client = CLIENT_CERTIFICATES.item(shop, "billing"), OAUTH_CLIENTS.item(shop, "billing")
    async with caller(await world.secret(shop), replicas, tmp_path) as one:
        assert await one.statuses() == [200, 200]
        if not operator_runs:
            assert world.running is not None
            await world.running.end()
        match how:
            case "deleted":
                await world.api.delete(own)
            case "revoked":
                await world.api.merge_patch(own, {"spec": {"revoked": True}})
            case "given to another client":
                await world.api.merge_patch(own, {"spec": {"clientRef": {"name": "other"}}})
            case "client suspended":
                await world.api.merge_patch(client, {"spec": {"suspended": True}})
            case _:
                await world.api.delete(client)
        await ends(one)


async def test_a_revoked_certificate_is_not_renewed_and_says_so(world: World, replicas: tuple[int, int]) -> None:
    del replicas
    shop = await world.shop()
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"revoked": True}})
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "Revoked")
    assert told["status"] == "False"
    revision = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]["revision"]
    await world.api.delete(SECRETS.item(shop, "billing-mtls"))
    await asyncio.sleep(1)
    assert (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]["revision"] == revision


async def test_an_object_made_again_has_certificates_of_its_own(
    world: World, replicas: tuple[int, int], tmp_path: Path
) -> None:
    shop = await world.shop()
    stolen = await world.secret(shop)
    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))
    # The garbage collector would do that, when it has come to know of the kind: half a minute on a new cluster.
    with suppress(NotFound):
        await world.api.delete(SECRETS.item(shop, "billing-mtls"))
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    async with caller(stolen, replicas, tmp_path) as thief:
        assert await thief.statuses() == [401, 401]
    async with caller(await world.secret(shop), replicas, tmp_path) as owner:
        assert await owner.statuses() == [200, 200]


async def test_certificates_from_before_a_renewal_are_good_and_end_together(
    world: World, replicas: tuple[int, int], tmp_path: Path
) -> None:
    shop = await world.shop()
    before = await world.secret(shop)
    request = {"metadata": {"annotations": {"mintls.dev/rekey-requested-at": "now"}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), request)

    async def renewed() -> bool:
        return (await world.secret(shop))["tls.crt"] != before["tls.crt"]

    await eventually(renewed)
    async with (
        caller(before, replicas, tmp_path) as old,
        caller(await world.secret(shop), replicas, tmp_path) as new,
    ):
        assert (await old.statuses(), await new.statuses()) == ([200, 200], [200, 200])
        await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"revoked": True}})
        await ends(old)
        await ends(new)
