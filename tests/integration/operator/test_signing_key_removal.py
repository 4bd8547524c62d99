"""An emergency on a real API server: a signing key is removed by the command of docs/issuer.md."""

import asyncio
import json

import pytest
from click.testing import CliRunner, Result

from builders.world import World, eventually
from mintls.cli.main import main

from .test_token import token

pytestmark = pytest.mark.cluster


async def mintls(world: World, *arguments: str) -> Result:
    whole = [*arguments, "--kubeconfig", str(world.cluster.kubeconfig)]
    return await asyncio.to_thread(CliRunner().invoke, main, whole)


async def published(world: World) -> list[str]:
    url = f"https://localhost:{world.ports[0]}/jwks"
    command = ("curl", "-sS", "--cacert", str(world.folder / "ca.crt"), url)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return [key["kid"] for key in json.loads(out)["keys"]]


async def test_its_tokens_are_refused_and_another_key_signs(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    files = await world.secret(shop)
    (world.folder / "ca.crt").write_bytes(files["ca.crt"])
    assert (await token(world.folder, files))[0] == 200
    [kid] = await published(world)

    listed = await mintls(world, "remove-signing-key")
    assert listed.output.startswith(f"{kid}  ES256  signs 20"), listed.output
    unsure = await mintls(world, "remove-signing-key", kid)
    tried = await mintls(world, "remove-signing-key", kid, "--dry-run")
    unknown = await mintls(world, "remove-signing-key", "unknown", "--yes")
    assert (unsure.exit_code, tried.exit_code, unknown.exit_code) == (1, 0, 1)
    assert await published(world) == [kid]

    removed = await mintls(world, "remove-signing-key", kid, "--yes")
    assert (removed.exit_code, removed.output) == (0, f"signing key {kid}: removed\n")

    async def gone() -> bool:
        return kid not in await published(world)

    await eventually(gone)
    assert (await token(world.folder, files))[0] == 200
    assert len(await published(world)) == 1
