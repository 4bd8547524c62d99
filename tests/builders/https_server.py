"""A server with a certificate of a CA, that answers as a test says."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from builders.pki import Authority
from builders.world import free_port

type Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """A server with a certificate of the CA, that answers as a test says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.answer: Answer = self._nothing

    async def _nothing(self, request: web.Request) -> web.StreamResponse:
        raise AssertionError(request.path)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST":
            self.asked.append(await request.json())
            self.paths.append(request.path)
        return await self.answer(request)

    def says(self, body: object, status: int = 200, **headers: str) -> None:
        async def answer(_request: web.Request) -> web.StreamResponse:
            text = body if isinstance(body, str) else json.dumps(body)
            return web.Response(text=text, status=status, headers=headers)

        self.answer = answer


@asynccontextmanager
async def serving(ca: Authority, folder: Path) -> AsyncIterator[Server]:
    """One that serves as ``localhost``."""
    certificate, key = ca.server().write(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    port = free_port()
    made = Server(f"https://localhost:{port}")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    yield made
    await runner.cleanup()
