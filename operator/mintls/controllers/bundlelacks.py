"""Which namespaces lack their trust bundle, and who is told."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.writer import Writer
from mintls.kube.errors import ApiError, Forbidden, Invalid
from mintls.kube.events import EventRecorder
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.bundlelack import CONDITION, Lack, with_lacks
from mintls.reconcile.conditions import find
from mintls.reconcile.reasons import Reason

_PASSING = 3
"""So often in a row has to fail what may well be over a moment later, before it is said."""
_BETWEEN_REPORTS = timedelta(seconds=2)
"""A right that is missing is missing in every namespace: their failures are said together."""


def lack_of(error: ApiError) -> Lack:
    """Why a ConfigMap was not written, in words that are the same each time."""
    target = error.target
    if isinstance(error, Forbidden) and error.quota:
        return Lack(Reason.QUOTA_EXCEEDED, f'ResourceQuota "{error.quota}" is exhausted; raise it')
    if isinstance(error, Forbidden) and error.right_missing:
        return Lack(
            Reason.RIGHT_MISSING,
            f'the operator needs verb "{error.verb}" on resource "{target.plural}"; give it the chart\'s roles again',
        )
    if isinstance(error, Invalid) and error.immutable:
        return Lack(Reason.BUNDLE_IMMUTABLE, "somebody made it immutable; delete it, and it is made anew at once")
    status = " ".join(filter(None, (f"HTTP {error.status}" if error.status else "no answer", error.reason)))
    return Lack(Reason.WRITE_FAILED, f"the API server does not take it ({status}; the operator's log has its words)")


class BundleLacks:
    """What came of the latest look at the bundle of each namespace."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Prepare; ``on_change`` is told when there is something else to say."""
        self._on_change = on_change
        self._lacks: dict[str, Lack] = {}
        self._failures: Counter[str] = Counter()
        self._unseen: set[str] | None = None

    def begin(self, namespaces: Iterable[str]) -> None:
        """These will all be looked at; before that nothing is said anew."""
        self._unseen = set(namespaces)

    @property
    def known(self) -> bool:
        """Whether each namespace was looked at since the start."""
        return self._unseen is not None and not self._unseen

    def saw(self, namespace: str, lack: Lack | None) -> None:
        """The bundle is right, or why it is not."""
        self._failures.pop(namespace, None)
        self._note(namespace, lack)

    def failed(self, namespace: str, error: ApiError) -> None:
        """It was not written."""
        self._failures[namespace] += 1
        if not error.retriable or self._failures[namespace] >= _PASSING:
            self._note(namespace, lack_of(error))

    def _note(self, namespace: str, lack: Lack | None) -> None:
        before, known = self._lacks.get(namespace), self.known
        if lack is None:
            self._lacks.pop(namespace, None)
        else:
            self._lacks[namespace] = lack
        if self._unseen is not None:
            self._unseen.discard(namespace)
        if self.known and (lack != before or not known):
            self._on_change()

    def of(self, concerns: Callable[[str], bool]) -> dict[str, Lack] | None:
        """Those of some namespaces; ``None`` while not all were looked at."""
        return {name: lack for name, lack in self._lacks.items() if concerns(name)} if self.known else None

    def by_reason(self) -> Counter[str]:
        """How many namespaces lack it, by reason."""
        return Counter(lack.reason for lack in self._lacks.values())


class AuthorityReporter(Reporter[CertificateAuthority]):
    """Writes the status of an authority together with what is to be said of its bundles."""

    def __init__(
        self,
        store: ObjectStore[CertificateAuthority],
        writer: Writer,
        recorder: EventRecorder,
        clock: Clock,
        lacks: Callable[[str], Mapping[str, Lack] | None],
    ) -> None:
        """Prepare; ``lacks`` has what an authority's bundles lack, by its name."""
        super().__init__(store, writer, recorder, clock)
        self._lacks = lacks
        self._now = clock

    async def report(self, item: CertificateAuthority, status: Any, announcement: Announcement | None) -> None:
        """As ``Reporter.report``."""
        lacks = self._lacks(item.metadata.name)
        whole, begun = with_lacks(item.status.conditions, status, lacks, self._now())
        await super().report(item, whole, announcement)
        if begun is not None:
            await self.announce(item, begun)


class BundleReportController:
    """Has those authorities looked at whose condition is of an earlier time, and not too often."""

    def __init__(
        self,
        *,
        authorities: Iterable[CertificateAuthority],
        lacks: Callable[[str], Mapping[str, Lack] | None],
        on_stale: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Prepare; ``on_stale`` is told the name of each authority that has something else to say."""
        self._authorities = authorities
        self._lacks = lacks
        self._on_stale = on_stale
        self._clock = clock
        self._last: datetime | None = None

    async def reconcile(self, key: Key) -> datetime | None:
        """Compare what is said with what there is to say.

        Returns:
            When to look again, if it was a moment ago.
        """
        del key
        now = self._clock()
        if self._last is not None and self._last <= now < self._last + _BETWEEN_REPORTS:
            return self._last + _BETWEEN_REPORTS
        self._last = now
        for authority in self._authorities:
            name, status = authority.metadata.name, authority.status
            whole, _ = with_lacks(status.conditions, status, self._lacks(name), now)
            if find(whole.conditions, CONDITION) != find(status.conditions, CONDITION):
                self._on_stale(name)
        return None
