"""The record of what an authority has issued, in a ConfigMap: what the Lease has no room for.

It holds everything, so it is written seldom: the longer it has become, the more each write costs this process and the
API server. In a burst the Lease holds what was issued meanwhile.
"""

import base64
from datetime import datetime, timedelta

from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.keys import Key
from mintls.controllers.objects import version_of
from mintls.controllers.publishedlists import LISTS, RECORD, RECORD_FILE, Found, PublishedLists
from mintls.controllers.publishing import Publishing
from mintls.controllers.scheduler import Clock
from mintls.kube.errors import ApiError
from mintls.reconcile.issuedcertificates import fitted
from mintls.reconcile.revocationlist import still_needed

_SPACING = timedelta(seconds=5)
"""Between two writes of a record."""

_PRESSING = timedelta(seconds=1)
"""The same where the Lease has not much room left. Not at once: where it cannot be written, that would be tried, and
told, with each certificate."""


class IssuedRecordController:
    """Keeps ``mintls-issued-<authority>``."""

    def __init__(
        self, *, publishing: Publishing, published: PublishedLists, issued: IssuedCertificates, clock: Clock
    ) -> None:
        """Prepare.

        Args:
            publishing: Writes the ConfigMap.
            published: The ConfigMaps as they are now; told of this one.
            issued: What was issued.
            clock: The time.
        """
        self._publishing = publishing
        self._published = published
        self._issued = issued
        self._clock = clock
        self._written: dict[str, datetime] = {}

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at the record of one authority.

        Returns:
            When to look again; ``None`` for when more was issued.

        Raises:
            ApiError: The ConfigMap was not written.
        """
        name, now = key.name, self._clock()
        if not self._issued.record_due(name):
            return None
        last, spacing = self._written.get(name), _PRESSING if self._issued.record_presses(name) else _SPACING
        if last is not None and last <= now < last + spacing:
            return last + spacing
        try:
            await self._write(name)
        except ApiError as error:
            await self._publishing.failed(RECORD, name, error)
            raise
        self._written[name] = self._clock()
        return None

    async def _write(self, name: str) -> None:
        published = self._published.get(LISTS, name)
        lists = published.lists if published else ()
        self._issued.keep(name, still_needed(self._issued.of(name), lists, self._clock()))
        issued = self._issued.of(name)
        record, octets = fitted(issued)
        body = await self._publishing.write(
            RECORD, name, {"binaryData": {RECORD_FILE: base64.b64encode(octets).decode()}}
        )
        if body is None:
            return
        self._published.wrote(Found(RECORD, name, version_of(body), record=record))
        self._issued.recorded(name, record)
        if len(record) < len(issued):
            self._issued.give_up(name)
            lost = len(issued) - len(record)
            await self._publishing.no_room(
                name, f"{lost} certificates are not remembered past the end of their objects"
            )
