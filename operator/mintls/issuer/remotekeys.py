"""Keys of clients that keep them at a URL (``jwks_uri``): fetched ahead, kept, and fetched again when one is unknown.

Each replica fetches for itself. By itself it does so when a document is fresh no longer, so that requests do not wait;
for a request only if that presents what is not in the document, and not more often than ``ON_DEMAND``. What was fetched
counts for ``STALE_FOR`` if the source is away.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mintls.core.oauth.client import Client
from mintls.core.oauth.jwks_uri import JwksNotUsable, fresh_for, keys_in
from mintls.core.oauth.key_cache import Failed, Got, KeyCache, Outcome, Unchanged
from mintls.core.oauth.registration import Registration
from mintls.issuer.directory import Directory
from mintls.issuer.exchange import Clock
from mintls.issuer.jwksclient import FetchFailed, JwksClient

logger = logging.getLogger(__name__)

type CountFetch = Callable[[str], None]
"""Counts a fetch by its outcome: ``ok``, ``unchanged`` or ``failed``."""

_AT_ONCE = 8
_LONGEST_SLEEP = timedelta(seconds=60)


@dataclass
class _Source:
    """One client's URL. ``fetching`` is the fetch that is under way, which all who want one share."""

    registration: Registration
    cache: KeyCache
    fetching: asyncio.Task[None] | None = field(default=None)

    def is_of(self, registration: Registration) -> bool:
        return self.registration.jwks_source == registration.jwks_source


class RemoteKeys:
    """The documents of all clients that have one. Not for several threads."""

    def __init__(self, directory: Directory, client: JwksClient, clock: Clock, count: CountFetch) -> None:
        self._directory = directory
        self._client = client
        self._clock = clock
        self._count = count
        self._sources: dict[str, _Source] = {}
        self._changed = asyncio.Event()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        directory.on_client_change(self._follow)

    @property
    def without_keys(self) -> int:
        """How many clients have a URL and no keys that count now."""
        now = self._clock()
        return sum(not _counts(source.cache, now) for source in self._sources.values())

    def problem(self, client_id: str) -> str:
        """Why a client's keys are not to be had here, in words for its owner; "" if they are."""
        source = self._sources.get(client_id)
        if source is None or _counts(source.cache, self._clock()):
            return ""
        return source.cache.problem or "not fetched yet"

    async def renewed(self, client: Client) -> Client | None:
        """The client with its keys as they are at their URL now, if they may be fetched now and can be.

        Returns:
            ``None`` if nothing can be newer than what is known: there is no URL, it was asked a moment ago, or it does
            not answer.
        """
        source = self._sources.get(client.registration.client_id)
        if source is None or not source.is_of(client.registration):
            return None
        if source.fetching is None and not source.cache.may_be_asked(self._clock()):
            return None
        await asyncio.shield(self._fetching(source))
        return self._directory.client(client.registration.client_id) if not source.cache.failures else None

    async def run(self) -> None:
        """Fetch what is due, until cancelled."""
        try:
            while True:
                self._changed.clear()
                now = self._clock()
                for source in self._sources.values():
                    if source.cache.due <= now and source.fetching is None:
                        source.fetching = asyncio.create_task(self._fetch(source))
                await self._until(min((source.cache.due for source in self._waiting()), default=now + _LONGEST_SLEEP))
        finally:
            for source in self._sources.values():
                if source.fetching is not None:
                    source.fetching.cancel()

    def _waiting(self) -> list[_Source]:
        return [source for source in self._sources.values() if source.fetching is None]

    async def _until(self, due: datetime) -> None:
        seconds = min(due - self._clock(), _LONGEST_SLEEP).total_seconds()
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _follow(self, client_id: str) -> None:
        """A client is as it is now, or gone."""
        client, known = self._directory.client(client_id), self._sources.get(client_id)
        registration = client.registration if client else None
        if registration is not None and known is not None and known.is_of(registration):
            return
        if known is not None:
            del self._sources[client_id]
            self._directory.remove_client_keys(known.registration)
        if registration is not None and registration.jwks_uri:
            self._sources[client_id] = _Source(registration, KeyCache(due=self._clock()))
            self._changed.set()

    def _fetching(self, source: _Source) -> asyncio.Task[None]:
        if source.fetching is None:
            source.fetching = asyncio.create_task(self._fetch(source))
        return source.fetching

    async def _fetch(self, source: _Source) -> None:
        try:
            async with self._slots:
                outcome = await self._ask(source)
            self._take(source, outcome)
        finally:
            source.fetching = None
            self._changed.set()

    async def _ask(self, source: _Source) -> Outcome:
        try:
            registration, known = source.registration, source.cache
            found = await self._client.fetch(registration.jwks_uri, known.etag if known.keys else "")
            fresh = fresh_for(found.cache_control, found.age)
            if found.body is None:
                return Unchanged(fresh)
            return Got(keys_in(found.body, registration.token_endpoint_auth_method), found.etag, fresh)
        except (FetchFailed, JwksNotUsable) as error:
            return Failed(str(error))

    def _take(self, source: _Source, outcome: Outcome) -> None:
        client_id, before = source.registration.client_id, source.cache
        source.cache = before.after(outcome, self._clock())
        self._count({Got: "ok", Unchanged: "unchanged", Failed: "failed"}[type(outcome)])
        if source.cache.problem and source.cache.problem != before.problem:
            logger.warning("the keys of client %s cannot be fetched: %s", client_id, source.cache.problem)
        elif before.problem and not source.cache.problem:
            logger.info("the keys of client %s can be fetched again", client_id)
        # The client may have gone, or have another URL, while the fetch was under way.
        current = self._sources.get(client_id) is source
        if current and source.cache.keys is not None and not isinstance(outcome, Failed):
            self._directory.put_client_keys(source.registration, source.cache.keys)


def _counts(cache: KeyCache, now: datetime) -> bool:
    return cache.keys is not None and cache.keys.usable(now)
