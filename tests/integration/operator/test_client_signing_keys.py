"""A client whose tokens are signed with a key of its own, or with another algorithm, on a real API server."""

import asyncio
import base64
import json
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result

from builders.witness import header, verify_with_pyjwt
from builders.world import World, eventually
from mintls.cli.main import main
from mintls.core.oauth.signing_keys import decode_signing_keys
from mintls.kube.errors import NotFound
from mintls.kube.paths import OAUTH_CLIENTS, SECRETS

from .test_token import token

pytestmark = pytest.mark.cluster

AUDIENCE, NAME = "https://orders.shop.svc", "mintls-client-signing-keys"


async def curl(world: World, url: str, *arguments: str) -> tuple[int, Any]:
    files = ("--cert", world.folder / "tls.crt", "--key", world.folder / "tls.key", "--cacert", world.folder / "ca.crt")
    command = ("curl", "-sS", "-w", "\n%{http_code}", *map(str, files), *arguments, url)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    body, _, status = (await process.communicate())[0].decode().rpartition("\n")
    return int(status), json.loads(body)


async def mintls(world: World, *arguments: str) -> Result:
    whole = [*arguments, "--kubeconfig", str(world.cluster.kubeconfig)]
    return await asyncio.to_thread(CliRunner().invoke, main, whole)


async def kids(world: World) -> dict[str, list[str]]:
    """The keys in the Secret, by file."""
    try:
        data = (await world.get(SECRETS, "mintls-system", NAME)).get("data", {})
    except NotFound:
        return {}
    return {file: [key.kid for key in decode_signing_keys(base64.b64decode(text))] for file, text in data.items()}


async def shop_with(world: World, **access_token: Any) -> tuple[str, dict[str, bytes]]:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    files = await world.secret(shop)
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (world.folder / name).write_bytes(files[name])
    await change(world, shop, **access_token)
    return shop, files


async def change(world: World, shop: str, **access_token: Any) -> dict[str, Any]:
    """Change the client, and wait until it is Ready as it is now."""
    spec = {"audiences": [AUDIENCE], "accessToken": access_token}
    await world.api.merge_patch(OAUTH_CLIENTS.item(shop, "billing"), {"spec": spec})
    return await world.ready(OAUTH_CLIENTS, shop, "billing")


async def test_a_key_of_its_own_lives_and_ends_with_the_client(world: World) -> None:
    shop, files = await shop_with(world, dedicatedKey=True)
    ready = await world.get(OAUTH_CLIENTS, shop, "billing")
    jwks_uri = ready["status"]["accessTokenJWKSURI"]
    assert jwks_uri == f"{world.installation.issuer_url}/clients/{shop}:billing/jwks"
    _, body = await token(world.folder, files)
    _, own = await curl(world, jwks_uri)
    _, issuers = await curl(world, f"{world.installation.issuer_url}/jwks")
    [kid] = [key["kid"] for key in own["keys"]]
    assert header(body["access_token"])["kid"] == kid
    assert kid not in [key["kid"] for key in issuers["keys"]]
    assert verify_with_pyjwt(body["access_token"], own, AUDIENCE)["client_id"] == f"{shop}:billing"
    asked = ("-d", f"client_id={shop}:billing", "-d", f"token={body['access_token']}")
    introspect = f"{world.installation.mtls_url}/introspect"
    assert (await curl(world, introspect, *asked))[1]["active"] is True

    listed = await mintls(world, "remove-signing-key")
    [line] = [line for line in listed.output.splitlines() if line.startswith(kid)]
    assert line.endswith(f"  client-{ready['metadata']['uid']}")
    removed = await mintls(world, "remove-signing-key", kid, "--yes")
    assert (removed.exit_code, removed.output) == (0, f"signing key {kid}: removed\n")

    async def refused() -> bool:
        return (await curl(world, introspect, *asked))[1] == {"active": False}

    await eventually(refused)
    _, body = await token(world.folder, files)
    assert header(body["access_token"])["kid"] not in {kid, *(key["kid"] for key in issuers["keys"])}

    await world.api.delete(OAUTH_CLIENTS.item(shop, "billing"))

    async def gone() -> bool:
        return await kids(world) == {} and (await curl(world, jwks_uri))[0] == 404

    await eventually(gone)


async def test_another_algorithm_comes_with_a_key_for_it_and_goes_after_its_last_token(world: World) -> None:
    shop, files = await shop_with(world, signingAlgorithm="PS256")
    _, body = await token(world.folder, files)
    assert header(body["access_token"])["alg"] == "PS256"
    _, keys = await curl(world, f"{world.installation.issuer_url}/jwks")
    assert sorted(key["alg"] for key in keys["keys"]) == ["ES256", "PS256"]
    [published] = [key for key in keys["keys"] if key["alg"] == "PS256"]
    claims = jwt.decode(body["access_token"], jwt.PyJWK(published), algorithms=["PS256"], audience=AUDIENCE)
    assert claims["client_id"] == f"{shop}:billing"
    _, metadata = await curl(world, f"{world.installation.issuer_url}/.well-known/oauth-authorization-server")
    assert set(metadata["id_token_signing_alg_values_supported"]) == {"ES256", "PS256"}

    await change(world, shop, signingAlgorithm=None)
    _, body = await token(world.folder, files)
    assert header(body["access_token"])["alg"] == "ES256"
    _, keys = await curl(world, f"{world.installation.issuer_url}/jwks")
    assert sorted(key["alg"] for key in keys["keys"]) == ["ES256", "PS256"], "its tokens are not dead yet"


async def test_a_client_that_asks_for_nothing_costs_no_secret(world: World) -> None:
    await shop_with(world, lifetime="5m")
    assert await kids(world) == {}
