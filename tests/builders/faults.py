"""An HTTP proxy before a real API server that answers wrongly, late or not at all, by a seeded generator."""

import asyncio
import base64
import collections
import json
import os
import random
import secrets
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import yaml
from aiohttp import web

from builders.kube import status_object

SEED = "MINTLS_FAULT_SEED"
"""Environment variable with the seed of a run that is to be repeated."""

_HOP_BY_HOP = frozenset({"host", "connection", "transfer-encoding", "content-length", "content-encoding"})
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SLOW_SECONDS = 1.5

ANSWERED_WRONGLY = ("429", "500", "504", "reset", "slow")
"""Before the API server has seen the request; writes get 409, too."""
CARRIED_OUT = ("carried out, 504", "carried out, reset")
"""The API server did it, and the client does not hear so."""
WATCHES = ("429", "500", "cut", "ended", "410", "error")


class Faults:
    """Decides for each request; between ``begin`` and ``end`` that share of them fails.

    Attributes:
        seed: Of the generator: the same seed gives the same row of faults.
        counts: How often each fault happened.
    """

    def __init__(self, seed: int, share: float) -> None:
        self.seed = seed
        self.counts: collections.Counter[str] = collections.Counter()
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._share = share
        self._on = asyncio.Event()

    def begin(self) -> None:
        self._on.set()

    def end(self) -> None:
        self._on.clear()

    def of_request(self, method: str) -> str:
        """The fault of a request; "" for none."""
        if not self._on.is_set() or self._random.random() >= self._share:
            return ""
        kinds = [*ANSWERED_WRONGLY]
        if method in _WRITES:
            kinds += [*CARRIED_OUT, "409"]
        return self._count(self._random.choice(kinds))

    async def of_watch(self) -> str:
        """The fault of a watch, when its time has come: every watch has one while there are faults."""
        await self._on.wait()
        await asyncio.sleep(self._random.uniform(0.2, 4.0))
        if not self._on.is_set():
            await asyncio.Event().wait()
        return self._count(self._random.choice(WATCHES[2:]))

    def refused_watch(self) -> str:
        if not self._on.is_set() or self._random.random() >= self._share:
            return ""
        return self._count(self._random.choice(WATCHES[:2]))

    def _count(self, kind: str) -> str:
        self.counts[kind] += 1
        return kind


class FaultyApi:
    """The proxy; ``url`` is what clients connect to, with their own credentials.

    Attributes:
        silent: Plurals whose watches tell nothing more, though they stay open.
    """

    def __init__(self, faults: Faults, server: str, session: aiohttp.ClientSession) -> None:
        self.faults = faults
        self.url = ""
        self.silent: set[str] = set()
        self._server = server
        self._session = session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") == "true":
            return await self._watch(request)
        fault = self.faults.of_request(request.method)
        if fault == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        elif fault == "reset":
            return _reset(request)
        elif fault in {"409", "429", "500", "504"}:
            return _refusal(fault)
        async with self._onward(request) as answer:
            body = await answer.read()
        if fault == "carried out, reset":
            return _reset(request)
        if fault == "carried out, 504":
            return _refusal("504")
        return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=body)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        refused = self.faults.refused_watch()
        if refused:
            return _refusal(refused)
        async with self._onward(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=_end_to_end(answer.headers))
            await response.prepare(request)
            passing = asyncio.create_task(self._pass(answer, response, request.path.rsplit("/", 1)[1]))
            fault = asyncio.create_task(self.faults.of_watch())
            try:
                await asyncio.wait({passing, fault}, return_when=asyncio.FIRST_COMPLETED)
                if fault.done() and not passing.done():
                    await self._break(fault.result(), request, response)
            finally:
                for task in (passing, fault):
                    task.cancel()
                await asyncio.gather(passing, fault, return_exceptions=True)
            return response

    async def _break(self, fault: str, request: web.Request, response: web.StreamResponse) -> None:
        if fault == "cut":
            # In the middle of a line.
            await response.write(b'{"type":"MODIFIED","obj')
            _reset(request)
        elif fault == "410":
            await response.write(_error_event(410, "Expired"))
        elif fault == "error":
            await response.write(_error_event(500, "InternalError"))

    async def _pass(self, answer: aiohttp.ClientResponse, response: web.StreamResponse, plural: str) -> None:
        async for line in answer.content:
            if plural not in self.silent:
                await response.write(line)

    def _onward(self, request: web.Request) -> "aiohttp.client._RequestContextManager":
        return self._session.request(
            request.method,
            self._server + request.raw_path,
            data=request.content if request.can_read_body else None,
            headers=_end_to_end(request.headers),
        )


def _end_to_end(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _reset(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _refusal(code: str) -> web.Response:
    reasons = {"409": "Conflict", "429": "TooManyRequests", "500": "InternalError", "504": "Timeout"}
    headers = {"Retry-After": "1"} if code == "429" else {}
    return web.json_response(status_object(int(code), reasons[code], "a fault"), status=int(code), headers=headers)


def _error_event(code: int, reason: str) -> bytes:
    return json.dumps({"type": "ERROR", "object": status_object(code, reason, "a fault")}).encode() + b"\n"


def chosen_seed() -> int:
    """A new one, or that of the environment; printed, so that a failure can be repeated."""
    seed = int(os.environ.get(SEED) or secrets.randbelow(2**32))
    sys.stdout.write(f"faults by {SEED}={seed}\n")  # pytest shows it with a failure
    return seed


@asynccontextmanager
async def faulty_api(kubeconfig: Path, *, share: float = 0.2) -> AsyncIterator[FaultyApi]:
    """Stand before the API server of a kubeconfig; nothing fails before ``faults.begin()``."""
    cluster = _cluster(kubeconfig)
    context = _trust(kubeconfig, cluster)
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
        proxy = FaultyApi(Faults(chosen_seed(), share), cluster["server"], session)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


def _cluster(kubeconfig: Path) -> dict[str, str]:
    cluster: dict[str, str] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return cluster


def _trust(kubeconfig: Path, cluster: dict[str, str]) -> ssl.SSLContext:
    if "certificate-authority-data" in cluster:
        return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    return ssl.create_default_context(cafile=str(kubeconfig.parent / cluster["certificate-authority"]))
