"""The list and the watch of one collection, and what keeps the picture that they give.

::

    list (pages) ──► watch from the list's resourceVersion ──► ended, cut off: watch on from the last event
      ▲                                                   └──► 410 Gone: list again
      └── any failure: the same step again, after a wait that grows, or as soon as the API server is back

What vanished while nobody watched is found by the next list: each complete list is compared with the picture.
Source: Kubernetes documentation, "Kubernetes API Concepts", "Efficient detection of changes".
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import aclosing
from typing import Any, Protocol, TypedDict, Unpack

from mintls.kube.client import ApiClient, Object
from mintls.kube.errors import ApiError, Gone, Unreachable
from mintls.kube.paths import Resource
from mintls.kube.timelimits import LIMITS

logger = logging.getLogger(__name__)

type Key = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 4.0
_PAGE_SIZE = 500
# A watch that the server ends sooner than this without an event would otherwise be opened again in a tight loop.
_SHORT_WATCH_SECONDS = 1.0
# A quiet watch gets a bookmark about once a minute, and the client ends a silent one itself after this long.
HEALTHY_SECONDS = LIMITS.silence + 30.0


class Picture(Protocol):
    """Keeps what is in a collection. Its methods are called in the event loop, and have to be quick."""

    def put(self, item: Object) -> None:
        """An object is there in this version; it may be known already."""
        ...

    def gone(self, item: Object) -> None:
        """An object was deleted, or is no longer selected; that is how it was at the end."""
        ...

    def listed(self, keys: AbstractSet[Key], version: str) -> None:
        """The list is complete: at that version of the collection there were these objects and no others."""
        ...


class Selection(TypedDict, total=False):
    """Which objects of a resource are watched, and how they are listed.

    Attributes:
        namespace: One namespace; None for all (and for cluster-scoped resources).
        label_selector: As ``kubectl --selector``.
        field_selector: As ``kubectl --field-selector``.
        metadata_only: Ask for metadata alone.
        page_size: Items per page of the list.
        clock: Seconds of a monotonic clock.
    """

    namespace: str | None
    label_selector: str | None
    field_selector: str | None
    metadata_only: bool
    page_size: int
    clock: Callable[[], float]


class Reflection:
    """Keeps a picture of one collection equal to the API's.

    Start ``run()`` as a task; it ends only by being cancelled.

    Attributes:
        resource: What is watched.
        connected: Whether a watch is open now.
        problem: Why it is not, in words; "" while all is well.
        last_event: ``time.monotonic()`` of the last sign of life from the API server; -inf before the first.
    """

    def __init__(self, api: ApiClient, resource: Resource, into: Picture, **which: Unpack[Selection]) -> None:
        """Prepare; nothing is asked before ``run()``.

        Args:
            api: The client.
            resource: What to watch.
            into: Keeps what is seen.
            which: Which objects of the resource, and how they are listed.
        """
        self.resource = resource
        self._api = api
        self._into = into
        self._path = resource.collection(which.get("namespace"))
        self._label_selector = which.get("label_selector")
        self._field_selector = which.get("field_selector")
        self._metadata_only = which.get("metadata_only", False)
        self._page_size = which.get("page_size", _PAGE_SIZE)
        self._clock = which.get("clock", time.monotonic)
        self._synced = asyncio.Event()
        self._position: str | None = None
        self._failures = 0
        self.connected = False
        self.problem = ""
        self.last_event = float("-inf")

    async def synced(self) -> None:
        """Wait until the picture has been complete once."""
        await self._synced.wait()

    @property
    def has_synced(self) -> bool:
        """Whether the picture has been complete once."""
        return self._synced.is_set()

    def healthy(self, now_monotonic: float) -> bool:
        """Whether the picture is complete and the API server gave a sign of life lately (``HEALTHY_SECONDS``)."""
        return self.has_synced and now_monotonic - self.last_event <= HEALTHY_SECONDS

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                await self._step()
            except Gone as error:
                self._position = None
                await self._list_again(error)
            except ApiError as error:
                self._in_trouble(str(error))
                await self._wait(error)
            except Exception as error:
                logger.exception("reflection of %s: a defect; starting over", self._path)
                self._position = None
                await self._wait(error)

    async def _step(self) -> None:
        if self._position is None:
            self._position = await self._list()
            self._synced.set()
        await self._watch(self._position)

    async def _list(self) -> str:
        seen: set[Key] = set()
        position = ""
        pages = self._api.list_pages(
            self._path,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            limit=self._page_size,
        )
        async with aclosing(pages):
            async for page in pages:
                self._alive()
                position = page["metadata"]["resourceVersion"]
                for item in page["items"]:
                    seen.add(key_of(item))
                    self._into.put(item)
        self._into.listed(seen, position)
        return position

    async def _watch(self, position: str) -> None:
        started = self._clock()
        events = self._api.watch(
            self._path,
            resource_version=position,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
            on_open=self._opened,
        )
        try:
            async with aclosing(events):
                async for kind, item in events:
                    self._alive()
                    self._failures = 0
                    self._take(kind, item)
                    self._position = item["metadata"]["resourceVersion"]
        finally:
            self.connected = False
            if self._clock() - started >= _SHORT_WATCH_SECONDS:
                self._failures = 0
        self._alive()
        if self._clock() - started < _SHORT_WATCH_SECONDS and self._position == position:
            await self._wait(None)

    def _take(self, kind: str, item: Object) -> None:
        if kind == "DELETED":
            self._into.gone(item)
        elif kind != "BOOKMARK":
            self._into.put(item)

    def _opened(self) -> None:
        self._alive()
        self.connected = True
        if self.problem:
            logger.info("watching %s again", self._path)
        self.problem = ""

    def _alive(self) -> None:
        self.last_event = self._clock()

    def _in_trouble(self, problem: str) -> None:
        # Once in the log for each kind of trouble, not at each attempt.
        logger.log(logging.DEBUG if problem == self.problem else logging.WARNING, "%s", problem)
        self.problem = problem

    async def _list_again(self, error: Gone) -> None:
        # Nobody's failure: history was compacted while we were away. It waits only when it happens again at once.
        logger.info("%s", error)
        if self._failures:
            await self._wait(error)
        self._failures += 1

    async def _wait(self, error: Exception | None) -> None:
        asked = error.retry_after if isinstance(error, ApiError) else None
        seconds = min(FIRST_WAIT_SECONDS * 2**self._failures, LONGEST_WAIT_SECONDS)
        # Jitter, so that not every informer of every replica comes back in the same instant.
        seconds *= random.uniform(0.75, 1.25)  # noqa: S311 - no secret
        self._failures = min(self._failures + 1, 8)
        if isinstance(error, Unreachable):
            await self._api.reachability.pause(seconds)
        else:
            await asyncio.sleep(max(seconds, asked or 0.0))


def key_of(item: Mapping[str, Any]) -> Key:
    """Namespace ("" for cluster-scoped objects) and name."""
    metadata: dict[str, Any] = item["metadata"]
    # One string for the many objects of a namespace.
    return sys.intern(metadata.get("namespace", "")), metadata["name"]
