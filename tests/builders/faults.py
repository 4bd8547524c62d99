"""An HTTP proxy before a real API server that answers wrongly, late or not at all, by a seeded generator."""

import asyncio
import collections
import json
import os
import random
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from builders.apiproxy import WRITES, ApiProxy, end_to_end, reset, silence
from builders.kube import status_object

SEED = "MINTLS_FAULT_SEED"
"""Environment variable with the seed of a run that is to be repeated."""

_SLOW_SECONDS = 1.5

ANSWERED_WRONGLY = ("429", "500", "504", "reset", "slow", "silence")
"""Before the API server has seen the request; writes get 409, too."""
CARRIED_OUT = ("carried out, 504", "carried out, reset", "carried out, silence")
"""The API server did it, and the client does not hear so."""
WATCHES = ("429", "500", "silence", "cut", "ended", "hushed", "410", "error")


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
        if method in WRITES:
            kinds += [*CARRIED_OUT, "409"]
        return self._count(self._random.choice(kinds))

    async def of_watch(self) -> str:
        """The fault of a watch, when its time has come: every watch has one while there are faults."""
        await self._on.wait()
        await asyncio.sleep(self._random.uniform(0.2, 4.0))
        if not self._on.is_set():
            await asyncio.Event().wait()
        return self._count(self._random.choice(WATCHES[3:]))

    def refused_watch(self) -> str:
        if not self._on.is_set() or self._random.random() >= self._share:
            return ""
        return self._count(self._random.choice(WATCHES[:3]))

    def _count(self, kind: str) -> str:
        self.counts[kind] += 1
        return kind


class FaultyApi(ApiProxy):
    """The proxy.

    Attributes:
        silent: Plurals whose watches tell nothing more, though they stay open.
    """

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self.faults = faults
        self.silent: set[str] = set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults.of_request(request.method)
        if fault == "slow":
            await asyncio.sleep(_SLOW_SECONDS)
        elif fault and not fault.startswith("carried out"):
            return await _unanswered(fault, request)
        answer = await self.carried_out(request)
        if fault.startswith("carried out"):
            return await _unanswered(fault.removeprefix("carried out, "), request)
        return answer

    async def watch(self, request: web.Request) -> web.StreamResponse:
        refused = self.faults.refused_watch()
        if refused:
            return await _unanswered(refused, request)
        async with self.onward(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
            await response.prepare(request)
            passing = asyncio.create_task(self._pass(answer, response, request.path.rsplit("/", 1)[1]))
            fault = asyncio.create_task(self.faults.of_watch())
            try:
                await asyncio.wait({passing, fault}, return_when=asyncio.FIRST_COMPLETED)
                if fault.done() and not passing.done():
                    if fault.result() == "hushed":
                        passing.cancel()
                        await silence()
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
            reset(request)
        elif fault == "410":
            await response.write(_error_event(410, "Expired"))
        elif fault == "error":
            await response.write(_error_event(500, "InternalError"))

    async def _pass(self, answer: aiohttp.ClientResponse, response: web.StreamResponse, plural: str) -> None:
        async for line in answer.content:
            if plural not in self.silent:
                await response.write(line)


async def _unanswered(fault: str, request: web.Request) -> web.Response:
    if fault == "silence":
        await silence()
    return reset(request) if fault == "reset" else _refusal(fault)


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
    proxy = FaultyApi(Faults(chosen_seed(), share))
    async with proxy.before(kubeconfig):
        yield proxy
