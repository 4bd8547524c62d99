"""Revoked tokens, used assertions and proofs on a real API server: known to every replica until they expire."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from builders.dpop import proof
from builders.pki import ec_key
from builders.world import SYSTEM, World, eventually, free_port
from mintls.issuer import sweep as sweep_module
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS, SPENT_IDENTIFIERS

pytestmark = pytest.mark.cluster

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def curl(folder: Path, port: int, path: str, **parameters: str) -> str:
    data = [argument for name, value in parameters.items() for argument in ("--data-urlencode", f"{name}={value}")]
    files = ("--cert", folder / "tls.crt", "--key", folder / "tls.key", "--cacert", folder / "ca.crt")
    command = ("curl", "-sS", "--fail-with-body", *map(str, files), *data, f"https://localhost:{port}{path}")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


@pytest.fixture
async def billing(world: World) -> tuple[World, Path, str]:
    """A client with its credential in files, and its id."""
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, audiences=["https://orders.shop.svc"], accessToken={"lifetime": "10m"})
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    for name, content in (await world.secret(shop)).items():
        (world.folder / name).write_bytes(content)
    return world, world.folder, f"{shop}:billing"


async def new_token(folder: Path, port: int, client_id: str) -> str:
    answer = await curl(folder, port, "/token", grant_type="client_credentials", client_id=client_id)
    return str(json.loads(answer)["access_token"])


async def is_active(folder: Path, port: int, client_id: str, token: str) -> bool:
    return bool(json.loads(await curl(folder, port, "/introspect", client_id=client_id, token=token))["active"])


async def test_every_replica_knows_and_knows_it_after_a_restart(billing: tuple[World, Path, str]) -> None:
    world, folder, client_id = billing
    first, second = world.ports[1], free_port()
    stop = await world.issuer(ports=(free_port(), second))
    token = await new_token(folder, first, client_id)
    assert await is_active(folder, second, client_id, token)

    assert await curl(folder, first, "/revoke", client_id=client_id, token=token) == ""

    async def known() -> bool:
        return not await is_active(folder, second, client_id, token)

    await eventually(known)
    assert not await is_active(folder, first, client_id, token)

    stop.set()
    third = free_port()
    await world.issuer(ports=(free_port(), third))
    assert not await is_active(folder, third, client_id, token), "known before the first answer"
    assert await is_active(folder, third, client_id, await new_token(folder, third, client_id))


async def test_an_assertion_counts_once_at_all_replicas(billing: tuple[World, Path, str]) -> None:
    """private_key_jwt: replicas that are given the same assertion at once let one of them through."""
    world, folder, _ = billing
    second = free_port()
    await world.issuer(ports=(free_port(), second))
    shop = await world.namespace()
    key = ec_key()
    jwks = {"keys": [jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": "1"}]}
    method = {"tokenEndpointAuthMethod": "private_key_jwt", "tlsClientCertificateBoundAccessTokens": False}
    await world.client(shop, "batch", **method, jwks=jwks)
    await world.ready(OAUTH_CLIENTS, shop, "batch")

    async def status(port: int, assertion: str) -> str:
        pairs = {"grant_type": "client_credentials", "client_assertion": assertion, "client_assertion_type": TYPE}
        data = [argument for name, value in pairs.items() for argument in ("-d", f"{name}={value}")]
        command = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(folder / "ca.crt"))
        url = f"https://localhost:{port}/token"
        process = await asyncio.create_subprocess_exec(*command, *data, url, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return out.decode()

    for number in range(5):
        now = int(world.clock().timestamp())
        claims = {"iss": f"{shop}:batch", "sub": f"{shop}:batch", "aud": world.installation.issuer_url}
        assertion = jwt.encode(claims | {"exp": now + 60, "jti": str(number)}, key, "ES256", {"kid": "1"})
        answers = await asyncio.gather(*(status(port, assertion) for port in (world.ports[1], second) * 2))
        assert sorted(answers) == ["200", "401", "401", "401"]


async def test_it_is_forgotten_when_the_token_is_dead(
    billing: tuple[World, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, folder, client_id = billing
    monkeypatch.setattr(sweep_module, "SECONDS", 0.2)
    port = free_port()
    await world.issuer(ports=(free_port(), port))
    token = await new_token(folder, port, client_id)
    await curl(folder, port, "/revoke", client_id=client_id, token=token)
    await asyncio.sleep(1)

    async def objects() -> list[str]:
        listed = await world.api.get(SPENT_IDENTIFIERS.collection(SYSTEM))
        return [item["spec"]["clientID"] for item in listed["items"]]

    assert await objects() == [client_id], "no sweep before its time"
    world.clock.pass_(timedelta(minutes=13))

    async def gone() -> bool:
        return await objects() == []

    await eventually(gone)


async def test_a_dpop_proof_counts_once_at_all_replicas(billing: tuple[World, Path, str]) -> None:
    """RFC 9449 section 11.1: replicas that are given the same proof at once let one of them through."""
    world, folder, client_id = billing
    second = free_port()
    await world.issuer(ports=(free_port(), second))
    shop = client_id.partition(":")[0]
    spec = {"dpopBoundAccessTokens": True}
    await world.api.merge_patch(OAUTH_CLIENTS.item(shop, "billing"), {"spec": spec})

    async def answer(port: int, made: str) -> str:
        pairs = {"grant_type": "client_credentials", "client_id": client_id}
        data = [argument for name, value in pairs.items() for argument in ("-d", f"{name}={value}")]
        command = ("curl", "-sS", "--cacert", "ca.crt", "--cert", "tls.crt", "--key", "tls.key", "-H", f"DPoP: {made}")
        url = f"https://localhost:{port}/token"
        process = await asyncio.create_subprocess_exec(*command, *data, url, stdout=asyncio.subprocess.PIPE, cwd=folder)
        out, _ = await process.communicate()
        body = json.loads(out)
        return str(body.get("error") or body["token_type"])

    ports = (world.ports[1], second)

    async def registered() -> bool:
        return {await answer(port, "none") for port in ports} == {"invalid_dpop_proof"}

    await eventually(registered)
    for number in range(5):
        now = int(world.clock().timestamp())
        made = proof(jti=str(number), iat=now, htu=f"{world.installation.mtls_url}/token")
        answers = await asyncio.gather(*(answer(port, made) for port in ports * 2))
        assert sorted(answers) == ["DPoP", *["invalid_dpop_proof"] * 3]
