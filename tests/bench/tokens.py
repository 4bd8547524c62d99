"""Tokens with the credential of a Secret, as a workload gets them that reads it."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.cluster import NAMESPACE
from bench.machine import CannotMeasure
from builders.world import World
from mintls.kube.errors import NotFound

_LOOK_SECONDS = 0.01
_MOST_SECONDS = 120.0
_EACH_SECONDS = 0.1


async def token_after(world: World, name: str, folder: Path, namespace: str = NAMESPACE) -> float:
    """Seconds from the request for a client and its certificate to a token with them.

    Raises:
        CannotMeasure: There is none after a long time.
    """
    began = time.monotonic()
    await world.client(namespace, name)
    await world.certificate(namespace, name)
    status = 0
    while time.monotonic() - began < _MOST_SECONDS:
        with contextlib.suppress(NotFound):
            status = await token(await world.secret(namespace, f"{name}-mtls"), folder)
            if status == 200:
                return time.monotonic() - began
        await asyncio.sleep(_LOOK_SECONDS)
    raise CannotMeasure(f"no token for {name} after {_MOST_SECONDS:g} s: {status or 'no Secret'}")


async def token(files: dict[str, bytes], folder: Path) -> int:
    """Ask for a token over a connection of its own; the status of the answer."""
    form = {"grant_type": "client_credentials", "client_id": files["client-id"].decode()}
    where = files["token-endpoint"].decode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(where, data=form, ssl=_context(files, folder)) as answer,
    ):
        await answer.read()
        return answer.status


def _context(files: dict[str, bytes], folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=files["ca.crt"].decode())
    pair = folder / "credential.pem"
    pair.touch(mode=0o600)
    pair.write_bytes(files["tls.key"] + files["tls.crt"])
    context.load_cert_chain(pair)
    return context


@dataclass
class Told:
    """What a workload came to.

    Attributes:
        asked: How often it asked for a token.
        failures: What came instead of one.
    """

    asked: int = 0
    failures: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def asking(world: World, name: str, folder: Path) -> AsyncIterator[Told]:
    """A workload that reads its Secret anew and asks for a token, again and again while the block lasts."""
    told = Told()
    task = asyncio.create_task(_ask(world, name, folder, told))
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _ask(world: World, name: str, folder: Path, told: Told) -> None:
    while True:
        told.asked += 1
        try:
            status = await token(await world.secret(NAMESPACE, f"{name}-mtls"), folder)
            if status != 200:
                told.failures.append(f"status {status}")
        except (aiohttp.ClientError, OSError) as error:
            told.failures.append(repr(error))
        await asyncio.sleep(_EACH_SECONDS)
