"""Our Secrets by their metadata: from a watch, and from our own writes, which are newer than what it has told."""

import base64
import logging
import sys
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from mintls.controllers.objects import version_of
from mintls.controllers.packedtable import PackedTable
from mintls.kube.client import FIELD_MANAGER
from mintls.kube.managedfields import last_other, last_written, was_posted
from mintls.kube.reflection import key_of
from mintls.reconcile.credential import MANAGED_BY, Contents, SecretView

logger = logging.getLogger(__name__)

type SecretKey = tuple[str, str]

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
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        posted=was_posted(managed, FIELD_MANAGER),
        written=last_written(managed, FIELD_MANAGER),
        foreign=last_other(managed, FIELD_MANAGER),
    )


def contents_of(body: Mapping[str, Any]) -> Contents:
    """A Secret's data, decoded. A value that is not base64 cannot come from the API server."""
    data = {name: base64.b64decode(value) for name, value in (body.get("data") or {}).items()}
    return Contents(data, body.get("type", ""), bool(body.get("immutable")))


class SecretViews:
    """The newest known metadata of each Secret that carries our label, or was read by its name."""

    def __init__(self, on_change: Callable[[SecretKey, SecretView], None]) -> None:
        """Prepare.

        Args:
            on_change: Told of each change that is not our own write: the key, and the metadata, the last if it is gone.
        """
        self._on_change = on_change
        self._views = PackedTable(SecretView)
        self._gone: dict[SecretKey, int] = {}

    def get(self, key: SecretKey) -> SecretView | None:
        """The Secret's metadata; ``None`` if none with our label is known."""
        return self._views.get(key)

    # --- our own reads and writes ---

    def wrote(self, key: SecretKey, view: SecretView) -> None:
        """We wrote it, or read it just now; the watch may have told of something newer meanwhile."""
        version = int(view.resource_version)
        if version > self._gone.get(key, -1) and self._views.is_newer(key, version):
            self._keep(key, version, view)

    def missing(self, key: SecretKey) -> None:
        """It was just read and is not there."""
        self._views.pop(key)

    # --- the picture of a reflection ---

    def put(self, item: Mapping[str, Any]) -> None:
        """The watch's word, unless we know something newer."""
        key, version = key_of(item), version_of(item)
        if not self._views.is_newer(key, version):
            return
        try:
            view = view_of(item)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one Secret must not keep us from the others
            logger.error("Secret %s/%s is left out, its metadata cannot be read (%s)", *key, type(error).__name__)  # noqa: TRY400 - the text may quote the object
            return
        self._keep(key, version, view)
        self._on_change(key, view)

    def gone(self, item: Mapping[str, Any]) -> None:
        """It was deleted, or carries our label no longer; another of its name may have been made since."""
        key = key_of(item)
        view = self.get(key)
        if view is not None and view.uid == item["metadata"]["uid"]:
            self._end(key, view)

    def listed(self, keys: AbstractSet[SecretKey], version: str) -> None:
        """At that version these carried our label and no others; what was written later is not among them."""
        for key in self._views.keys() - keys:
            view = self._views.get(key)
            if view is not None and _is_labelled(view) and int(view.resource_version) <= int(version):
                self._end(key, view)

    def _keep(self, key: SecretKey, version: int, view: SecretView) -> None:
        namespace, name = key
        self._views.put((sys.intern(namespace), name), version, view)

    def _end(self, key: SecretKey, view: SecretView) -> None:
        """The late answer to a write of ours must not bring it back: nobody would tell again that it is gone."""
        self._views.pop(key)
        self._gone.pop(key, None)
        self._gone[key] = int(view.resource_version)
        if len(self._gone) > _GONE:
            del self._gone[next(iter(self._gone))]
        self._on_change(key, view)


def _is_labelled(view: SecretView) -> bool:
    return view.labels.get(MANAGED_BY[0]) == MANAGED_BY[1]
