"""The watches are begun again, whatever ended them, and only where there is something to watch."""

import asyncio
import itertools
from typing import Any

import pytest

from builders.virtual_time import in_virtual_time, now
from mintls.controllers.tasks import running
from mintls.controllers.watching import Watching
from mintls.kube.errors import NotFound, ServerError
from mintls.kube.reachability import Reachability

GROUP = "/apis/mintls.dev/v1alpha1"
BOTH = frozenset({"oauthclients", "clientcertificates"})


class Parts:
    """Watches that a test ends, and what was done around them."""

    def __init__(self, *served: str) -> None:
        self.served: Any = served
        self.done: list[tuple[str, float]] = []
        self.fail = asyncio.Event()
        self.unlisted = ""
        self.reachability = Reachability(now)
        self.watching = Watching(
            self,  # type: ignore[arg-type]  # as much of an API as it asks
            BOTH,
            watch=self.watch,
            sweep=self.sweep,
            on_restart=lambda: self.note("restart"),
        )

    def note(self, what: str) -> None:
        self.done.append((what, now()))

    async def get(self, path: str) -> dict[str, Any]:
        assert path == GROUP
        if isinstance(self.served, Exception):
            raise self.served
        return {"resources": [{"name": name} for name in self.served]}

    async def watch(self) -> None:
        self.note("watch")
        await self.fail.wait()
        raise RuntimeError("kopf has ended")

    async def sweep(self) -> str:
        self.note("sweep")
        return self.unlisted

    def names(self) -> list[str]:
        return [name for name, _ in self.done]


@in_virtual_time
async def test_nothing_is_watched_before_all_kinds_are_served(caplog: pytest.LogCaptureFixture) -> None:
    parts = Parts("oauthclients")
    async with running(parts.watching.run()):
        await asyncio.sleep(30)
        assert parts.done == []
        assert "does not serve clientcertificates.mintls.dev: put the CRDs back" in parts.watching.problem
        assert len(caplog.records) == 1, "said once"
        parts.served = BOTH
        await asyncio.sleep(1.5)
    assert parts.names() == ["watch"]
    assert parts.watching.problem == ""


@in_virtual_time
async def test_a_watch_that_ended_is_begun_again_after_a_list_of_everything() -> None:
    parts = Parts(*BOTH)
    async with running(parts.watching.run()):
        await asyncio.sleep(100)
        parts.fail.set()
        await asyncio.sleep(0.01)
        parts.fail.clear()
        await asyncio.sleep(5)
    assert parts.names() == ["watch", "sweep", "restart", "watch"]


@in_virtual_time
async def test_waits_grow_up_to_a_ceiling_while_watches_end_at_once() -> None:
    parts = Parts(*BOTH)
    parts.fail.set()
    async with running(parts.watching.run()):
        await asyncio.sleep(120)
    times = [when for name, when in parts.done if name == "watch"]
    waits = [round(later - earlier, 3) for earlier, later in itertools.pairwise(times)]
    assert waits[0] <= 0.5
    assert waits == sorted(waits)
    assert 7 <= waits[-1] <= 10


@in_virtual_time
async def test_kinds_that_are_gone_are_waited_for() -> None:
    parts = Parts(*BOTH)
    async with running(parts.watching.run()):
        await asyncio.sleep(1)
        parts.served = NotFound(404, "", "404 page not found", GROUP)
        parts.fail.set()
        await asyncio.sleep(60)
        assert parts.names() == ["watch"]
        parts.served = ServerError(500, "InternalError", "etcd is full", GROUP)
        await asyncio.sleep(5)
        assert "etcd is full" in parts.watching.problem
        parts.served, parts.fail = BOTH, asyncio.Event()
        await asyncio.sleep(2)
    assert parts.names() == ["watch", "sweep", "restart", "watch"]


@in_virtual_time
async def test_what_cannot_be_listed_is_named_and_not_watched() -> None:
    parts = Parts(*BOTH)
    async with running(parts.watching.run()):
        await asyncio.sleep(1)
        parts.unlisted = "no right"
        parts.fail.set()
        await asyncio.sleep(60)
        assert parts.watching.problem == "no right"
        assert parts.names() == ["watch", *["sweep"] * (len(parts.done) - 1)]
        parts.unlisted, parts.fail = "", asyncio.Event()
        await asyncio.sleep(11)
        assert parts.watching.problem == ""
    assert parts.names()[-2:] == ["restart", "watch"]
