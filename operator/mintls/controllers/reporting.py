"""Status and events: written last, and only when they differ from what is there."""

import logging
from typing import Any

import msgspec

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers.objects import CustomResource, ObjectStore
from mintls.controllers.scheduler import Clock
from mintls.controllers.writer import Writer
from mintls.kube.errors import NotFound
from mintls.kube.events import EventRecorder, ObjectRef
from mintls.kube.jsonvalues import same_json, without_nulls
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS, Resource
from mintls.reconcile.announcement import Announcement

logger = logging.getLogger(__name__)

RESOURCES: dict[type, Resource] = {
    OAuthClient: OAUTH_CLIENTS,
    ClientCertificate: CLIENT_CERTIFICATES,
    CertificateAuthority: CERTIFICATE_AUTHORITIES,
}


class Reporter[T: CustomResource]:
    """Writes the status of one kind and posts its events."""

    def __init__(self, store: ObjectStore[T], writer: Writer, recorder: EventRecorder, clock: Clock) -> None:
        """Prepare."""
        self._store = store
        self._writer = writer
        self._recorder = recorder
        self._clock = clock

    async def report(self, item: T, status: Any, announcement: Announcement | None) -> None:
        """Write the status if it differs, then post the event.

        Raises:
            ApiError: The status was not written. An object that was deleted meanwhile is no error.
        """
        await self._write(item, status)
        if announcement is not None:
            await self.announce(item, announcement)

    async def announce(self, item: T, announcement: Announcement) -> None:
        """Post an event; the log has it too."""
        resource = RESOURCES[type(item)]
        log = logger.warning if announcement.warning else logger.info
        log("%s: %s", announcement.reason, announcement.message, extra=fields(item, announcement.reason))
        await self._recorder.record(
            ObjectRef(
                api_version=resource.api_version,
                kind=resource.kind,
                namespace=item.metadata.namespace,
                name=item.metadata.name,
                uid=item.metadata.uid,
            ),
            "Warning" if announcement.warning else "Normal",
            announcement.reason,
            announcement.message,
            self._clock(),
        )

    async def _write(self, item: T, status: Any) -> None:
        if item.status == status:
            return  # Mostly. To compare what the API would have in JSON takes a fifth of a look at an object.
        old, new = (without_nulls(msgspec.to_builtins(each)) for each in (item.status, status))
        if same_json(old, new):
            return
        meta, resource = item.metadata, RESOURCES[type(item)]
        try:
            path = resource.status(meta.namespace or None, meta.name)
            answer = await self._writer.replace_status(path, meta.uid, new)
        except NotFound as error:
            # Or the Secret that goes with the object would be made again and again until the watch tells of its end.
            if not error.resource_missing:
                self._store.gone((meta.namespace, meta.name), meta.uid)
            return
        self._store.wrote(answer)


def fields(item: CustomResource, reason: str) -> dict[str, Any]:
    """Structured fields of a log line about an object."""
    return {
        "kind": type(item).__name__,
        "namespace": item.metadata.namespace,
        "name_": item.metadata.name,
        "generation": item.metadata.generation,
        "reason": str(reason),
    }
