"""Who may write: one holder of a ``coordination.k8s.io/v1`` Lease.

The rules are those of client-go's leader election:

- A contender never compares its wall clock with the record's times. It notes by its own monotonic clock when the record
  last changed, and may take the Lease once the record has stood still for the holder's ``leaseDurationSeconds``.
- Each change is a PUT with the resourceVersion that was read: of two contenders one gets a Conflict.
- The holder counts from *before* it sent its last successful renewal, and stops after ``renew_deadline``, which is
  shorter than ``duration``: it has stopped before anybody else can begin, as long as clocks run at about the same rate.

In one thing they are gentler: a holder that stopped because the API server was away goes on asking, and holds the Lease
again if nobody took it meanwhile. The resourceVersion of its own last write proves that, or the record with its name
and the same ``leaseTransitions``, which whoever takes a Lease counts up. What it knows is as good then as after any
other silence of the API server.

A request that was on its way when the Lease was lost can still arrive: check ``held`` before each write, bound a
write's time by ``seconds_left``, and use preconditions where two writers would harm.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from mintls.kube.client import ApiClient, Object
from mintls.kube.errors import ApiError, Conflict, NotFound
from mintls.kube.paths import LEASES

logger = logging.getLogger(__name__)

TROUBLE_SECONDS = 0.5
"""Between two attempts while the API server does not answer: whoever waits for it is told by the first answer."""
_LABELS = {"app.kubernetes.io/managed-by": "mintls"}


@dataclass(frozen=True, slots=True)
class _Record:
    """The part of the Lease's spec that moves with each renewal; compared as a whole."""

    holder: str
    seconds: float
    renew_time: str
    transitions: int

    @classmethod
    def of(cls, lease: Object) -> Self:
        spec: dict[str, Any] = lease.get("spec") or {}
        return cls(
            holder=spec.get("holderIdentity") or "",
            seconds=spec.get("leaseDurationSeconds") or 0,
            renew_time=spec.get("renewTime") or "",
            transitions=spec.get("leaseTransitions") or 0,
        )


class Memo(Protocol):
    """What the holder leaves for the next one, in an annotation of the Lease: written with each renewal.

    Attributes:
        annotation: The annotation's name.
    """

    annotation: str

    def load(self, text: str) -> None:
        """What stands there when the Lease is about to be taken, "" for nothing; it may come more than once."""

    def text(self) -> str:
        """What is to stand there; "" for nothing."""


class Lease:
    """One contender for a Lease.

    ::

        await lease.acquire()          # waits until held, then renews in a task
        ... while lease.held ...       # ask before each write
        await lease.wait_held()        # it was not renewed in time, and perhaps it is again
        await lease.lost.wait()        # somebody else took it; what to do then: stop the process
        await lease.release()          # on a clean stop

    Lost is for good: a new attempt needs a new ``Lease``. The identity has to be unique per process (the pod's name
    alone is not: a restarted container would take itself for the holder).

    Attributes:
        identity: Our ``holderIdentity``.
        lost: Set when the Lease was held and somebody else may hold it now; not by ``release``.
    """

    def __init__(
        self,
        api: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 15.0,
        renew_deadline: float = 10.0,
        retry: float = 2.0,
        memo: Memo | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare; nothing is asked before ``acquire``.

        Args:
            api: The client.
            namespace: The Lease's namespace.
            name: The Lease's name.
            identity: Unique per process.
            duration: Seconds without a renewal after which others may take the Lease; whole seconds.
            renew_deadline: Seconds after the last renewal at which the holder stops.
            retry: Seconds between two attempts; while the API server does not answer, ``TROUBLE_SECONDS`` at most.
            memo: What is left for the next holder.
            clock: Seconds of a monotonic clock.
            now: The wall clock, for the times in the record; people read them, contenders do not.

        Raises:
            ValueError: The times do not fit: ``retry`` < ``renew_deadline`` < ``duration`` is needed.
        """
        if not 0 < retry < renew_deadline < duration or duration != int(duration):
            raise ValueError(
                f"lease {namespace}/{name}: retry {retry:g} s < renew_deadline {renew_deadline:g} s < "
                f"duration {duration:g} s is needed, and the duration in whole seconds"
            )
        self.identity = identity
        self.lost = asyncio.Event()
        self._api = api
        self._path = LEASES.item(namespace, name)
        self._namespace, self._name = namespace, name
        self._duration, self._renew_deadline, self._retry = duration, renew_deadline, retry
        self._clock, self._now = clock, now
        self._memo = memo
        self._observed: _Record | None = None
        self._observed_at = float("-inf")
        self._held_since: float | None = None
        self._written: Object | None = None
        self._problem = ""
        self._said_lapsed, self._taken = False, False
        self._transitions = 0
        self._renewed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether we hold the Lease now, by our own clock; ask before each write."""
        return self.seconds_left > 0

    @property
    def lapsed(self) -> bool:
        """Whether it was held and was not renewed in time; it may be held again."""
        return self._held_since is not None and not self.held

    @property
    def seconds_left(self) -> float:
        """For how long we hold the Lease even if no renewal succeeds; 0 when we do not."""
        if self._held_since is None or self.lost.is_set():
            return 0.0
        return max(0.0, self._held_since + self._renew_deadline - self._clock())

    async def wait_held(self) -> None:
        """Wait until we hold the Lease; for ever once it is lost."""
        while not self.held:
            self._renewed.clear()
            await self._renewed.wait()

    async def acquire(self) -> None:
        """Wait until the Lease is ours; from then on a task renews it. Failures of the API are waited out."""
        while not await self._attempt():  # noqa: ASYNC110 - it asks the API, no event tells it
            await asyncio.sleep(self._pause())
        logger.info("lease %s/%s acquired by %s", self._namespace, self._name, self.identity)
        self._keeper = asyncio.create_task(self._keep(), name=f"lease {self._namespace}/{self._name}")

    async def release(self) -> None:
        """Stop renewing and, when we are the holder, write an empty holder: the next contender's attempt succeeds."""
        await self._stop_keeper()
        if not self.held:
            return
        self._held_since = None
        try:
            await self._write_no_holder()
        except ApiError as error:
            logger.warning("the lease was not released, others wait for its end: %s", error)

    async def _write_no_holder(self) -> None:
        lease = await self._read()
        if _Record.of(lease).holder == self.identity:
            # One second, as client-go does: contenders of other makes wait for the duration even without a holder.
            await self._replace(lease, self._spec(lease["spec"], holder="", seconds=1))

    async def _stop_keeper(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)

    async def _keep(self) -> None:
        try:
            await self._renew_until_lost()
        except Exception:
            logger.exception("lease %s/%s: a defect in renewing", self._namespace, self._name)
        self.lost.set()
        logger.error("lease %s/%s lost by %s", self._namespace, self._name, self.identity)

    async def _renew_until_lost(self) -> None:
        while not self._taken:
            # No longer than we hold it: that it has lapsed is said at once, whatever hangs.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.seconds_left or None):
                    await asyncio.sleep(self._pause())
                    await self._attempt()
            self._note_lapse()

    def _note_lapse(self) -> None:
        where, lapsed = (self._namespace, self._name), self.lapsed
        if lapsed and not self._said_lapsed:
            logger.warning("lease %s/%s was not renewed in time: nothing is written until it is", *where)
        elif self._said_lapsed and not lapsed:
            logger.info("lease %s/%s is held again: nobody took it meanwhile", *where)
        self._said_lapsed = lapsed

    async def _attempt(self) -> bool:
        """Take or renew the Lease once; False when another holds it or the API did not answer."""
        started = self._clock()
        try:
            renewed = await self._renew_unread() or await self._take_or_renew()
        except Conflict:
            return False
        except ApiError as error:
            self._trouble(str(error))
            return False
        self._problem = ""
        if renewed:
            self._held_since = started
            self._renewed.set()
        return renewed

    async def _renew_unread(self) -> bool:
        """Renew the version that we wrote last: while we hold it nobody else writes. False when it has to be read."""
        if self._written is None:
            return False
        lease, self._written = self._written, None
        try:
            await self._put(lease)
        except (Conflict, NotFound):
            return False
        return True

    async def _take_or_renew(self) -> bool:
        try:
            lease = await self._read()
        except NotFound:
            if self._held_since is not None and not self.held:
                self._taken = True
                return False
            await self._create()
            return True
        if self._held_since is not None:
            self._taken = not self._is_ours(_Record.of(lease))
        if self._taken or not self._may_take(_Record.of(lease)):
            return False
        if self._memo is not None:
            self._memo.load((lease["metadata"].get("annotations") or {}).get(self._memo.annotation, ""))
        await self._put(lease)
        return True

    def _is_ours(self, record: _Record) -> bool:
        """Whether nobody can have held it since we did. Whoever takes it from somebody counts the transitions up."""
        if self.held:
            return record.holder in {"", self.identity}  # emptied by hand: nobody may take it yet
        return record.holder == self.identity and record.transitions == self._transitions

    def _may_take(self, record: _Record) -> bool:
        self._observe(record)
        if record.holder in {"", self.identity}:
            return True
        return self._clock() - self._observed_at >= record.seconds

    def _observe(self, record: _Record) -> None:
        if record != self._observed:
            self._observed, self._observed_at = record, self._clock()

    def _spec(self, before: dict[str, Any], holder: str, seconds: float) -> dict[str, Any]:
        now = _micro_time(self._now())
        changed = (before.get("holderIdentity") or "") != holder
        return {
            **before,
            "holderIdentity": holder,
            "leaseDurationSeconds": int(seconds),
            "acquireTime": now if changed else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": (before.get("leaseTransitions") or 0) + (1 if changed and before and holder else 0),
        }

    async def _read(self) -> Object:
        return await self._api.get(self._path, bounded=False, seconds=self._request_seconds)

    async def _put(self, lease: Object) -> None:
        await self._replace(lease, self._spec(lease.get("spec") or {}, self.identity, self._duration))

    async def _replace(self, lease: Object, spec: dict[str, Any]) -> None:
        body = {**lease, "metadata": self._noted(lease["metadata"]), "spec": spec}
        self._note(await self._api.replace(self._path, body, bounded=False, seconds=self._request_seconds))

    async def _create(self) -> None:
        metadata = self._noted({"name": self._name, "namespace": self._namespace, "labels": _LABELS})
        body: Object = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": self._spec({}, self.identity, self._duration),
        }
        path = LEASES.collection(self._namespace)
        self._note(await self._api.create(path, body, bounded=False, seconds=self._request_seconds))

    def _noted(self, metadata: Object) -> Object:
        if self._memo is None:
            return metadata
        others = {
            name: text for name, text in (metadata.get("annotations") or {}).items() if name != self._memo.annotation
        }
        text = self._memo.text()
        return {**metadata, "annotations": others | ({self._memo.annotation: text} if text else {})}

    def _note(self, written: Object) -> None:
        self._written = written
        record = _Record.of(written)
        self._transitions = record.transitions
        self._observe(record)

    @property
    def _request_seconds(self) -> float:
        # Short enough that a request which hangs leaves time for another before the deadline.
        return self._renew_deadline / 3

    def _pause(self) -> float:
        seconds = min(self._retry, TROUBLE_SECONDS) if self._api.reachability.away else self._retry
        return seconds * random.uniform(0.9, 1.1)  # noqa: S311 - no secret

    def _trouble(self, problem: str) -> None:
        logger.log(logging.DEBUG if problem == self._problem else logging.WARNING, "%s", problem)
        self._problem = problem


def _micro_time(moment: datetime) -> str:
    # meta/v1 MicroTime: RFC 3339 with exactly six digits of a second.
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
