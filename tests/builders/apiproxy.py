"""An HTTP proxy before a real API server, for tests that come between a client and it."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

_HOP_BY_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "content-encoding"})
WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class ApiProxy:
    """Passes everything on; ``url`` is what clients connect to, with their own credentials."""

    def __init__(self) -> None:
        self.url = ""
        self._server = ""
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; what is a watch is passed on line by line."""
        if request.query.get("watch") == "true":
            return await self.watch(request)
        return await self.answer(request)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        return await self.carried_out(request)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        async with self.onward(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
            await response.prepare(request)
            async for line in answer.content:
                await response.write(line)
            return response

    async def carried_out(self, request: web.Request) -> web.Response:
        """What the API server answers."""
        async with self.onward(request, await request.read()) as answer:
            body = await answer.read()
        return web.Response(status=answer.status, headers=end_to_end(answer.headers), body=body)

    def onward(self, request: web.Request, body: bytes = b"") -> "aiohttp.client._RequestContextManager":
        assert self._session is not None
        return self._session.request(
            request.method,
            self._server + request.raw_path,
            data=body or None,
            headers=end_to_end(request.headers),
        )

    @asynccontextmanager
    async def before(self, kubeconfig: Path) -> AsyncIterator[None]:
        """Stand before the API server of a kubeconfig."""
        cluster = _cluster(kubeconfig)
        self._server = cluster["server"]
        connector = aiohttp.TCPConnector(ssl=_trust(kubeconfig, cluster), limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            self._session = session
            app = web.Application(client_max_size=2**24)
            app.router.add_route("*", "/{path:.*}", self.handle)
            runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield
            finally:
                await runner.cleanup()


def end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a proxy passes on."""
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def reset(request: web.Request) -> web.Response:
    """No answer: the connection is gone."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def silence() -> None:
    """No answer, and the connection stays: until whoever asked gives up."""
    await asyncio.Event().wait()


def _cluster(kubeconfig: Path) -> dict[str, str]:
    cluster: dict[str, str] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return cluster


def _trust(kubeconfig: Path, cluster: dict[str, str]) -> ssl.SSLContext:
    if "certificate-authority-data" in cluster:
        return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    return ssl.create_default_context(cafile=str(kubeconfig.parent / cluster["certificate-authority"]))
