"""A real Envoy with a file of docs/examples, of which only addresses and paths are other ones."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from builders.pki import Leaf
from builders.processes import started
from builders.protected import listens


@asynccontextmanager
async def running_envoy(
    program: Path, example: Path, directory: Path, *, port: int, upstream: int, changes: Mapping[str, str]
) -> AsyncIterator[None]:
    """Envoy with the example at a port, and something behind it that says whom it was told of."""
    config = _write(example, directory, changes)
    log = directory / "envoy.log"
    arguments = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "--log-path", str(log))
    async with _resource(upstream):
        process = started([program, "-c", str(config), *arguments])
        try:
            while not listens(port):
                assert process.poll() is None, log.read_text() if log.exists() else "see above"
                await asyncio.sleep(0.02)
            yield
        finally:
            process.kill()  # nothing in it is worth waiting for
            process.wait()


def mount(directory: Path, leaf: Leaf, bundle: str) -> None:
    """Write a credential as the kubelet does with a Secret: links to a folder that is exchanged at once."""
    directory.mkdir(exist_ok=True)
    folder = directory / f"..{leaf.facts.serial:x}"
    folder.mkdir()
    leaf.write(folder)
    (folder / "ca.crt").write_text(bundle)
    (directory / "..new").symlink_to(folder.name)
    (directory / "..new").rename(directory / "..data")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")


def _write(example: Path, directory: Path, changes: Mapping[str, str]) -> Path:
    shutil.copytree(example.parent / "sds", directory / "sds")
    config = directory / "envoy.yaml"
    for source, target in ((example, config), *((path, path) for path in (directory / "sds").iterdir())):
        text = source.read_text()
        for old, new in changes.items():
            assert old in text or source != example, old
            text = text.replace(old, new)
        target.write_text(text)
    return config


@asynccontextmanager
async def _resource(port: int) -> AsyncIterator[None]:
    async def answer(request: web.Request) -> web.Response:
        client, scope = (", ".join(request.headers.getall(f"X-Token-{name}", ())) for name in ("Client-Id", "Scope"))
        text = f"{request.method} {request.raw_path} client={client} scope={scope}\n"
        return web.Response(text=text if request.method != "HEAD" else None)

    app = web.Application()
    app.router.add_route("*", r"/{path:[\s\S]*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "localhost", port).start()
        yield
    finally:
        await runner.cleanup()
