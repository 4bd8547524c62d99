"""A live picture of one collection: list it, watch it, list again when the watch cannot go on.

::

    list (pages) ──► watch from the list's resourceVersion ──► ended, cut off: watch on from the last event
      ▲                                                   └──► 410 Gone: list again
      └── any failure: the same step again, after a wait that grows, or as soon as the API server is back

What vanished while nobody watched is found by the next list: each complete list is compared with the store.
Source: Kubernetes documentation, "Kubernetes API Concepts", "Efficient detection of changes".
"""

import asyncio
import logging
import random
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, cast

from mintls.kube.client import ApiClient, Object
from mintls.kube.errors import ApiError, Gone, Unreachable
from mintls.kube.paths import Resource
from mintls.kube.timelimits import LIMITS

logger = logging.getLogger(__name__)

type Key = tuple[str, str]
"""Namespace ("" for cluster-scoped objects) and name."""

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 4.0
# A watch that the server ends sooner than this without an event would otherwise be opened again in a tight loop.
_SHORT_WATCH_SECONDS = 1.0
# A quiet watch gets a bookmark about once a minute, and the client ends a silent one itself after this long.
HEALTHY_SECONDS = LIMITS.silence + 30.0


@dataclass(frozen=True, slots=True)
class Change[T]:
    """What happened to one object of the store.

    Attributes:
        kind: ``put`` (appeared or changed) or ``gone``.
        key: Namespace and name.
        old: What the store had; None if nothing.
        new: What the store has now; None if ``gone``.
    """

    kind: Literal["put", "gone"]
    key: Key
    old: T | None
    new: T | None


@dataclass(frozen=True, slots=True)
class _Version:
    """Which object, and which version of it, an entry of the store was made from."""

    uid: str
    resource_version: str


class Informer[T]:
    """Keeps a store of one collection equal to the API's and tells of every change, in order.

    Start ``run()`` as a task; it ends only by being cancelled. ``on_change`` and ``on_error`` are called in the event
    loop and have to be quick: put a key into a queue and return.

    An object that ``decode`` refuses is reported to ``on_error``, is not (or no longer) in the store, and is named in
    ``refused``: the store is the same after a restart. Who acts on something being *gone* should look there first.

    Attributes:
        store: The decoded objects by key; a live read-only view.
        refused: For each object that could not be decoded, what ``decode`` said.
        connected: Whether a watch is open now.
        problem: Why it is not, in words; "" while all is well.
        last_event: ``time.monotonic()`` of the last sign of life from the API server; -inf before the first.
    """

    def __init__(
        self,
        api: ApiClient,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        on_change: Callable[[Change[T]], None] | None = None,
        on_error: Callable[[Key, Exception], None] | None = None,
        decode: Callable[[Object], T] | None = None,
        page_size: int = 500,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked before ``run()``.

        Args:
            api: The client.
            resource: What to watch.
            namespace: One namespace; None for all (and for cluster-scoped resources).
            label_selector: As ``kubectl --selector``.
            field_selector: As ``kubectl --field-selector``.
            metadata_only: Ask for metadata alone.
            on_change: Told each change, after the store has it.
            on_error: Told the key and the exception when ``decode`` or ``on_change`` raises; it is logged in any case.
            decode: Makes the store's value of an object; None keeps the object as it came.
            page_size: Items per page of the list.
            clock: Seconds of a monotonic clock.
        """
        self.resource = resource
        self._api = api
        self._path = resource.collection(namespace)
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._metadata_only = metadata_only
        self._on_change = on_change
        self._on_error = on_error
        self._decode = decode if decode is not None else cast("Callable[[Object], T]", lambda item: item)
        self._page_size = page_size
        self._clock = clock
        self._objects: dict[Key, T] = {}
        self._refused: dict[Key, str] = {}
        self._versions: dict[Key, _Version] = {}
        self._synced = asyncio.Event()
        self._position: str | None = None
        self._failures = 0
        self.store: Mapping[Key, T] = MappingProxyType(self._objects)
        self.refused: Mapping[Key, str] = MappingProxyType(self._refused)
        self.connected = False
        self.problem = ""
        self.last_event = float("-inf")

    async def synced(self) -> None:
        """Wait until the store has held a complete list once."""
        await self._synced.wait()

    @property
    def has_synced(self) -> bool:
        """Whether the store has held a complete list once."""
        return self._synced.is_set()

    def healthy(self, now_monotonic: float) -> bool:
        """Whether the store is complete and the API server gave a sign of life lately (``HEALTHY_SECONDS``)."""
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
                logger.exception("informer of %s: a defect; starting over", self._path)
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
                    seen.add(_key(item))
                    self._put(item)
        for key in self._versions.keys() - seen:
            self._remove(key)
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
            self._remove(_key(item))
        elif kind != "BOOKMARK":
            self._put(item)

    def _opened(self) -> None:
        self._alive()
        self.connected = True
        if self.problem:
            logger.info("watching %s again", self._path)
        self.problem = ""

    def _alive(self) -> None:
        self.last_event = self._clock()

    def _put(self, item: Object) -> None:
        key, version = _key(item), _version(item)
        known = self._versions.get(key)
        if known == version:
            return
        if known is not None and known.uid != version.uid:
            # Deleted and made again between two lists: whoever tracks the old one has to hear of its end.
            self._remove(key)
        self._versions[key] = version
        try:
            new = self._decode(item)
        except Exception as error:  # noqa: BLE001 - decode is the caller's; whatever it raises concerns this object alone
            self._refuse(key, error)
            return
        self._refused.pop(key, None)
        old = self._objects.get(key)
        self._objects[key] = new
        self._tell(Change("put", key, old, new))

    def _remove(self, key: Key) -> None:
        self._versions.pop(key, None)
        self._refused.pop(key, None)
        self._drop(key)

    def _drop(self, key: Key) -> None:
        if key in self._objects:
            self._tell(Change("gone", key, self._objects.pop(key), None))

    def _refuse(self, key: Key, error: Exception) -> None:
        self._refused[key] = f"{type(error).__name__}: {error}"
        self._drop(key)
        self._report("cannot be decoded", key, error)

    def _tell(self, change: Change[T]) -> None:
        if self._on_change is None:
            return
        try:
            self._on_change(change)
        except Exception as error:  # noqa: BLE001 - a defect of the listener must not stop the others' news
            self._report("was not taken by its listener", change.key, error)

    def _report(self, what: str, key: Key, error: Exception) -> None:
        # The exception's text is left out: it may quote the object.
        logger.error("%s %s/%s %s (%s)", self.resource.plural, *key, what, type(error).__name__)
        if self._on_error is not None:
            self._on_error(key, error)

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


def _key(item: Object) -> Key:
    metadata: dict[str, Any] = item["metadata"]
    # One string for the many objects of a namespace.
    return sys.intern(metadata.get("namespace", "")), metadata["name"]


def _version(item: Object) -> _Version:
    metadata: dict[str, Any] = item["metadata"]
    return _Version(metadata.get("uid", ""), metadata["resourceVersion"])
