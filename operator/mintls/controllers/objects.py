"""The custom resources as this process last saw them, from watch events, from sweeps, and from our own writes.

Each is kept packed, and read when it is asked for.
"""

import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, KeysView, Mapping
from typing import Any

import msgspec

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.api.v1alpha1.meta import GROUP
from mintls.controllers.packedtable import PackedTable
from mintls.reconcile.conditions import holds

logger = logging.getLogger(__name__)

_ENDED = 4096
"""So many uids of objects that are gone are remembered: no uid is ever used again."""

type ObjectKey = tuple[str, str]
type CustomResource = OAuthClient | ClientCertificate | CertificateAuthority


class _Identity(msgspec.Struct, rename="camel"):
    """What of ``metadata`` tells an object and its version from others."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""

    @property
    def key(self) -> ObjectKey:
        return _key(self.namespace, self.name)


class _Head(msgspec.Struct):
    metadata: _Identity


_head = msgspec.json.Decoder(_Head)


class ObjectStore[T: CustomResource]:
    """Objects of one kind, each in its newest version.

    Events can come late and twice; ``resourceVersion`` orders them (Kubernetes API Concepts, "Resource versions":
    those of one resource can be compared as numbers).

    Attributes:
        type: What the objects are read as.
    """

    def __init__(self, type_: type[T], on_change: Callable[[ObjectKey, T | None, T | None], None]) -> None:
        """Prepare.

        Args:
            type_: What the objects are read as.
            on_change: Told key, old and new object of each change that is not our own status write.
        """
        self.type = type_
        self._on_change = on_change
        self._json = msgspec.json.Decoder(type_)
        # A mark is on those that are well by their conditions.
        self._objects = PackedTable(type_)
        self._unreadable: dict[ObjectKey, str] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def get(self, key: ObjectKey) -> T | None:
        """The object, or ``None``."""
        return self._objects.get(key)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._objects)

    def __iter__(self) -> Iterator[T]:
        """All of them, as they are now."""
        return (item for _, item in self.items())

    def keys(self) -> KeysView[ObjectKey]:
        """The keys of all of them."""
        return self._objects.keys()

    def items(self) -> Iterator[tuple[ObjectKey, T]]:
        """All of them with their keys, as they are now."""
        return self._objects.items()

    def ailing(self) -> Iterator[T]:
        """Those that are not ``Ready``, or wait for something: few, so that asking costs nothing where all is well."""
        return self._objects.unmarked()

    def uids(self) -> dict[ObjectKey, str]:
        """The uid of each object, also of one that cannot be read."""
        return self._unreadable | {key: item.metadata.uid for key, item in self.items()}

    def told(self, event: str | None, body: Mapping[str, Any]) -> None:
        """A watch told of an object; ``event`` is its type, ``None`` for one that was listed."""
        if event == "DELETED":
            self.gone(key_of(body), body["metadata"].get("uid", ""))
        elif event != "BOOKMARK":
            self.saw(body)

    def saw(self, body: Mapping[str, Any]) -> None:
        """An object changed."""
        uid = str(body["metadata"].get("uid", ""))
        self._saw(key_of(body), uid, version_of(body), lambda: msgspec.convert(body, self.type))

    def listed(self, raw: msgspec.Raw) -> ObjectKey:
        """An object was listed, in JSON; read as far as it takes to see that it is known, and it mostly is.

        Returns:
            Its key.
        """
        identity = _head.decode(raw).metadata
        version = _number(identity.resource_version)
        self._saw(identity.key, identity.uid, version, lambda: self._json.decode(raw))
        return identity.key

    def _saw(self, key: ObjectKey, uid: str, version: int, read: Callable[[], T]) -> None:
        if uid in self._ended:
            return  # an event from before its end that came late
        if not self._objects.is_newer(key, version):
            return
        new = self._read(key, uid, read)
        if new is None:
            return
        old = self._put(key, version, new)
        if old is None or _worth_a_look(old, new):
            self._on_change(key, old, new)

    def wrote(self, body: Mapping[str, Any]) -> None:
        """The API's answer to our own status write: remembered, and no reason to look again."""
        key, version = key_of(body), version_of(body)
        if key not in self._objects or not self._objects.is_newer(key, version):
            return
        new = self._read(key, str(body["metadata"].get("uid", "")), lambda: msgspec.convert(body, self.type))
        if new is None:
            return
        old = self._put(key, version, new)
        if old is not None and _worth_a_look(msgspec.structs.replace(old, status=new.status), new):
            self._on_change(key, old, new)

    def gone(self, key: ObjectKey, uid: str = "") -> None:
        """An object was deleted; with a uid, only if it is that very one."""
        self._unreadable.pop(key, None)
        old = self.get(key)
        if old is None or (uid and old.metadata.uid != uid):
            return
        self._objects.pop(key)
        self._ended[old.metadata.uid] = None
        if len(self._ended) > _ENDED:
            self._ended.popitem(last=False)
        self._on_change(key, old, None)

    def _put(self, key: ObjectKey, version: int, new: T) -> T | None:
        """Keep it; what was there before."""
        old = self.get(key)
        self._objects.put(key, version, new, is_marked=_is_well(new))
        return old

    def _read(self, key: ObjectKey, uid: str, read: Callable[[], T]) -> T | None:
        try:
            item = read()
        except msgspec.ValidationError as error:
            self._refuse(key, uid, error)
            return None
        self._unreadable.pop(key, None)
        return item

    def _refuse(self, key: ObjectKey, uid: str, error: Exception) -> None:
        """An object that the schema would refuse today keeps what we knew of it; the others go on."""
        if key not in self._unreadable:
            logger.error(
                "%s %s/%s cannot be read and is left alone: %s; correct it with kubectl edit",
                self.type.__name__,
                *key,
                error,
            )
        self._unreadable[key] = uid


def _is_well(item: CustomResource) -> bool:
    conditions = item.status.conditions
    return holds(conditions, "Ready") and not holds(conditions, "Issuing")


def _worth_a_look(old: CustomResource, new: CustomResource) -> bool:
    """Whether more than bookkeeping changed: generation, status (somebody else's hand), identity, our annotations."""
    a, b = old.metadata, new.metadata
    return (
        a.uid != b.uid
        or a.generation != b.generation
        or a.deletion_timestamp != b.deletion_timestamp
        or old.status != new.status
        or _ours(a.annotations) != _ours(b.annotations)
    )


def _ours(annotations: Mapping[str, str]) -> dict[str, str]:
    """By which a person asks for something."""
    return {name: value for name, value in annotations.items() if name.startswith(f"{GROUP}/")}


def key_of(body: Mapping[str, Any]) -> ObjectKey:
    """Namespace ("" for cluster-scoped objects) and name."""
    metadata = body["metadata"]
    return _key(metadata.get("namespace", ""), metadata["name"])


def _key(namespace: str, name: str) -> ObjectKey:
    # It goes into many tables, and few namespaces have many objects.
    return (sys.intern(namespace), name)


def version_of(body: Mapping[str, Any]) -> int:
    """``resourceVersion`` as a number."""
    return _number(body["metadata"].get("resourceVersion", ""))


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() else 0
