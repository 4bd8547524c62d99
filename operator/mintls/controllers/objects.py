"""The custom resources as this process last saw them, from watch events, from sweeps, and from our own writes."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.api.v1alpha1.meta import GROUP

logger = logging.getLogger(__name__)

_ENDED = 4096
"""So many uids of objects that are gone are remembered: no uid is ever used again."""

type ObjectKey = tuple[str, str]
type CustomResource = OAuthClient | ClientCertificate | CertificateAuthority


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
        self._objects: dict[ObjectKey, T] = {}
        self._unreadable: dict[ObjectKey, str] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def get(self, key: ObjectKey) -> T | None:
        """The object, or ``None``."""
        return self._objects.get(key)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._objects)

    def __iter__(self) -> Iterator[T]:
        """All of them."""
        return iter(list(self._objects.values()))

    def uids(self) -> dict[ObjectKey, str]:
        """The uid of each object, also of one that cannot be read."""
        return self._unreadable | {key: item.metadata.uid for key, item in self._objects.items()}

    def saw(self, body: Mapping[str, Any]) -> None:
        """An object was listed or changed."""
        key, version = key_of(body), version_of(body)
        if body["metadata"].get("uid") in self._ended:
            return  # an event from before its end that came late
        old = self._objects.get(key)
        if old is not None and version <= _number(old.metadata.resource_version):
            return
        new = self._read(key, body)
        if new is None:
            return
        self._objects[key] = new
        if old is None or _worth_a_look(old, new):
            self._on_change(key, old, new)

    def wrote(self, body: Mapping[str, Any]) -> None:
        """The API's answer to our own status write: remembered, and no reason to look again."""
        key = key_of(body)
        old = self._objects.get(key)
        if old is not None and version_of(body) > _number(old.metadata.resource_version):
            new = self._read(key, body)
            if new is None:
                return
            self._objects[key] = new
            if _worth_a_look(msgspec.structs.replace(old, status=new.status), new):
                self._on_change(key, old, new)

    def gone(self, key: ObjectKey, uid: str = "") -> None:
        """An object was deleted; with a uid, only if it is that very one."""
        self._unreadable.pop(key, None)
        old = self._objects.get(key)
        if old is None or (uid and old.metadata.uid != uid):
            return
        del self._objects[key]
        self._ended[old.metadata.uid] = None
        if len(self._ended) > _ENDED:
            self._ended.popitem(last=False)
        self._on_change(key, old, None)

    def _read(self, key: ObjectKey, body: Mapping[str, Any]) -> T | None:
        try:
            item = msgspec.convert(body, self.type)
        except msgspec.ValidationError as error:
            self._refuse(key, str(body["metadata"].get("uid", "")), error)
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
    return (metadata.get("namespace", ""), metadata["name"])


def version_of(body: Mapping[str, Any]) -> int:
    """``resourceVersion`` as a number."""
    return _number(body["metadata"].get("resourceVersion", ""))


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() else 0
