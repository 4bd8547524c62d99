"""Our Secrets by their metadata: from an informer, and from our own writes, which are newer than what it has told."""

import base64
import sys
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mintls.kube.client import FIELD_MANAGER
from mintls.kube.informer import Change
from mintls.kube.managedfields import last_other, last_written, was_posted
from mintls.reconcile.credential import BUNDLE_DIGEST, REVISION, ROOT_KEY, Contents, SecretView

type SecretKey = tuple[str, str]

_ALIKE = frozenset({ROOT_KEY, BUNDLE_DIGEST, REVISION})
_GONE = 1000  # so many at most are remembered: an answer is late by milliseconds


def view_of(body: Mapping[str, Any]) -> SecretView:
    """The part of a Secret's metadata that decisions look at."""
    metadata = body["metadata"]
    owners = metadata.get("ownerReferences") or []
    managed = metadata.get("managedFields") or []
    return SecretView(
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        controller=next((owner["uid"] for owner in owners if owner.get("controller")), ""),
        labels=_shared(metadata.get("labels")),
        annotations=_shared(metadata.get("annotations"), _ALIKE),
        posted=was_posted(managed, FIELD_MANAGER),
        written=last_written(managed, FIELD_MANAGER),
        foreign=last_other(managed, FIELD_MANAGER),
    )


def _shared(texts: Mapping[str, str] | None, which: Collection[str] | None = None) -> dict[str, str]:
    """Thousands of Secrets have the same values: one string for all of them."""
    return {name: sys.intern(text) if which is None or name in which else text for name, text in (texts or {}).items()}


def contents_of(body: Mapping[str, Any]) -> Contents:
    """A Secret's data, decoded. A value that is not base64 cannot come from the API server."""
    data = {name: base64.b64decode(value) for name, value in (body.get("data") or {}).items()}
    return Contents(data, body.get("type", ""), bool(body.get("immutable")))


class SecretViews:
    """The newest known metadata of each Secret that carries our label."""

    def __init__(self, on_change: Callable[[SecretKey, SecretView | None, SecretView | None], None]) -> None:
        """Prepare; ``on_change`` is told key, old and new of each change that is not our own write."""
        self._views: dict[SecretKey, SecretView] = {}
        self._gone: dict[SecretKey, int] = {}
        self._on_change = on_change

    def get(self, key: SecretKey) -> SecretView | None:
        """The Secret's metadata; ``None`` if none with our label is known."""
        return self._views.get(key)

    def view_of(self, body: Mapping[str, Any]) -> SecretView:
        """What the informer tells of: the view that is there, if it is of that very version: it is kept once then."""
        meta = body["metadata"]
        known = self._views.get((meta["namespace"], meta["name"]))
        if known is not None and (known.uid, known.resource_version) == (meta["uid"], meta["resourceVersion"]):
            return known
        return view_of(body)

    def wrote(self, key: SecretKey, view: SecretView) -> None:
        """We wrote it, or read it just now; the informer may have told of something newer meanwhile."""
        known, version = self._views.get(key), int(view.resource_version)
        if version > self._gone.get(key, -1) and (known is None or version > int(known.resource_version)):
            self._views[key] = view

    def missing(self, key: SecretKey) -> None:
        """It was just read and is not there."""
        self._views.pop(key, None)

    def changed(self, change: Change[SecretView]) -> None:
        """The informer's word, unless we know something newer."""
        known = self._views.get(change.key)
        if change.new is not None:
            if known is not None and int(change.new.resource_version) <= int(known.resource_version):
                return
            self._views[change.key] = change.new
        else:
            if known is None or (change.old is not None and known.uid != change.old.uid):
                return
            del self._views[change.key]
            self._remember_gone(change.key, int(known.resource_version))
        self._on_change(change.key, known, change.new)

    def _remember_gone(self, key: SecretKey, version: int) -> None:
        """The late answer to a write of ours must not bring it back: nobody would tell again that it is gone."""
        self._gone.pop(key, None)
        self._gone[key] = version
        if len(self._gone) > _GONE:
            del self._gone[next(iter(self._gone))]
