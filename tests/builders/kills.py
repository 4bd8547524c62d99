"""A proxy before a real API server that lets a client come to its k-th write, and answers none from then on."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from aiohttp import web

from builders.apiproxy import WRITES, ApiProxy, reset
from mintls.kube.paths import EVENTS, LEASES, parse_path

_UNCOUNTED = frozenset({EVENTS.plural, LEASES.plural})
"""Whose writes are no step of a plan."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a client is to get no further.

    Attributes:
        write: At its first write, or its second, and so on.
        side: ``before``: the API server never sees that write; ``after``: it was carried out, and not answered.
    """

    write: int
    side: Literal["before", "after"]

    def __str__(self) -> str:
        return f"stopped {self.side} write {self.write}"


@dataclass
class Lane:
    """What belongs together, and is written in an order that matters: a namespace and what is named as it is.

    Attributes:
        name: That of the namespace; "" for everything.
        point: Where the client is to get no further; ``None`` for nowhere.
        writes: What was asked for, as ``METHOD resource name``, until the point was reached.
        carried_out: Those of them that the API server did not refuse.
        leaves: Hashes of the certificates that were written into Secrets, in order.
        stuck: Set when the point was reached: no write of the lane is carried out or answered any more.
        last: When something was written last, by the event loop's clock.
    """

    name: str
    point: Point | None = None
    writes: list[str] = field(default_factory=list)
    carried_out: list[str] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    last: float = float("-inf")

    def begin(self, point: Point | None = None) -> None:
        """Count from here."""
        self.point = point
        self.writes.clear()
        self.carried_out.clear()
        self.leaves.clear()
        self.stuck.clear()

    async def at_rest(self, seconds: float) -> None:
        """Wait until nothing was written for that long."""
        self.last = max(self.last, _now())
        while (left := self.last + seconds - _now()) > 0:  # noqa: ASYNC110 - it is put off by each write
            await asyncio.sleep(left)

    def issued(self) -> int:
        """How many certificates were written."""
        return len(dict.fromkeys(self.leaves))


class KillingApi(ApiProxy):
    """The proxy: each lane has its own point, so that many of them are tried at once."""

    def __init__(self) -> None:
        super().__init__()
        self._lanes: dict[str, Lane] = {}
        self._dead = asyncio.Event()

    def lane(self, name: str) -> Lane:
        """A lane that is never stuck until it is told to."""
        return self._lanes.setdefault(name, Lane(name))

    def client_dies(self) -> None:
        """From now on nothing is carried out; what waits for an answer gets none."""
        self._dead.set()

    def answers_again(self) -> None:
        """Requests are passed on again, but for those that wait: whoever waits for them has to give them up."""
        for lane in self._lanes.values():
            lane.point = None
            lane.stuck.clear()

    def another_comes(self) -> None:
        """Requests are passed on again, and no lane has a point."""
        self._dead = asyncio.Event()
        self.answers_again()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self._dead.is_set():
            return reset(request)
        target = parse_path(request.path)
        if request.method not in WRITES or target.plural in _UNCOUNTED:
            return await self.carried_out(request)
        body = await request.read()
        written = json.loads(body) if body else {}
        lane = self._of(request.path, written)
        if lane is None:
            return await self.carried_out(request)
        return await self._write(request, lane, _named(request, written), written)

    def _of(self, path: str, body: Any) -> Lane | None:
        name = body.get("metadata", {}).get("name", "") if isinstance(body, dict) else ""
        parts = [*path.split("/"), name]
        found = (one for one in self._lanes.values() if one.name and any(_within(one.name, part) for part in parts))
        return next(found, self._lanes.get(""))

    async def _write(self, request: web.Request, lane: Lane, what: str, body: Any) -> web.StreamResponse:
        dead = self._dead
        lane.last = _now()
        if lane.stuck.is_set():
            return await _never(request, dead)
        lane.writes.append(what)
        number, point = len(lane.writes), lane.point
        if point is not None and number >= point.write:
            if number == point.write:
                if point.side == "after":
                    await self._carried_out(request, lane, what, body)
                # Not by a later one that comes meanwhile: this one is to be carried out first.
                lane.stuck.set()
            return await _never(request, dead)
        answer = await self._carried_out(request, lane, what, body)
        lane.last = _now()
        return answer

    async def _carried_out(self, request: web.Request, lane: Lane, what: str, body: Any) -> web.StreamResponse:
        answer = await self.carried_out(request)
        if answer.status < 300:
            lane.carried_out.append(what)
        certificate = (body.get("data") or {}).get("tls.crt") if isinstance(body, dict) else None
        if certificate and answer.status < 300:
            lane.leaves.append(hashlib.sha256(certificate.encode()).hexdigest())
        return answer


@asynccontextmanager
async def killing_api(kubeconfig: Path) -> AsyncIterator[KillingApi]:
    """Stand before the API server of a kubeconfig."""
    proxy = KillingApi()
    async with proxy.before(kubeconfig):
        try:
            yield proxy
        finally:
            proxy.client_dies()


async def _never(request: web.Request, dead: asyncio.Event) -> web.Response:
    await dead.wait()
    return reset(request)


def _named(request: web.Request, body: Any) -> str:
    target = parse_path(request.path)
    kind = "/".join(filter(None, (target.plural, target.subresource)))
    name = target.name or (body.get("metadata", {}).get("name", "") if isinstance(body, dict) else "")
    return f"{request.method} {kind} {name}"


def _within(name: str, part: str) -> bool:
    """Whether a part of a path is named after a lane: as it stands, or with a prefix or suffix at a dash."""
    return part == name or part.startswith(f"{name}-") or part.endswith(f"-{name}") or f"-{name}-" in part


def _now() -> float:
    return asyncio.get_running_loop().time()
