"""A live picture of one collection: each object as it was decoded, and word of every change."""

import logging
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Unpack, cast

from mintls.kube.client import ApiClient, Object
from mintls.kube.paths import Resource
from mintls.kube.reflection import Key, Reflection, Selection, key_of

logger = logging.getLogger(__name__)


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


class Informer[T](Reflection):
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
        on_change: Callable[[Change[T]], None] | None = None,
        on_error: Callable[[Key, Exception], None] | None = None,
        decode: Callable[[Object], T] | None = None,
        **which: Unpack[Selection],
    ) -> None:
        """Prepare; nothing is asked before ``run()``.

        Args:
            api: The client.
            resource: What to watch.
            on_change: Told each change, after the store has it.
            on_error: Told the key and the exception when ``decode`` or ``on_change`` raises; it is logged in any case.
            decode: Makes the store's value of an object; None keeps the object as it came.
            which: Which objects of the resource, and how they are listed.
        """
        super().__init__(api, resource, self, **which)
        self._on_change = on_change
        self._on_error = on_error
        self._decode = decode if decode is not None else cast("Callable[[Object], T]", lambda item: item)
        self._objects: dict[Key, T] = {}
        self._refused: dict[Key, str] = {}
        self._versions: dict[Key, _Version] = {}
        self.store: Mapping[Key, T] = MappingProxyType(self._objects)
        self.refused: Mapping[Key, str] = MappingProxyType(self._refused)

    def put(self, item: Object) -> None:
        """An object is there in this version: what it decodes to is in the store."""
        key, version = key_of(item), _version(item)
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

    def gone(self, item: Object) -> None:
        """An object is there no longer."""
        self._remove(key_of(item))

    def listed(self, keys: AbstractSet[Key], version: str) -> None:  # noqa: ARG002 - what is known, a list has told of
        """What is not among these is there no longer."""
        for key in self._versions.keys() - keys:
            self._remove(key)

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


def _version(item: Object) -> _Version:
    metadata: dict[str, Any] = item["metadata"]
    return _Version(metadata.get("uid", ""), metadata["resourceVersion"])
