"""Somebody else who writes to a Secret of ours again and again: it is put right with growing waits, not in a loop."""

from datetime import datetime, timedelta

from mintls.core.schedule import backoff
from mintls.reconcile.certificate.values import Observed, Repairs
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason

_AT_ONCE = 5
"""So many repairs in a row are made without a wait: a person who tries things out changes a Secret a few times."""

_QUIET = timedelta(minutes=10)
"""A repair that held for so long, beyond the wait before it, was the last of its row."""


def is_changed_by_others(seen: Observed) -> bool:
    """Whether the Secret is gone, or of another version than we left it in when it was whole."""
    if not seen.whole_version:
        return False
    return seen.secret is None or seen.secret.resource_version != seen.whole_version


def after_repair(seen: Observed) -> Repairs | None:
    """The row of repairs once the Secret was written for what was seen; ``None`` if nobody else had changed it.

    The first few have no wait; from then on each is twice as long as the one before, up to ten minutes.
    """
    if not is_changed_by_others(seen):
        return seen.repairs
    before = seen.repairs
    count = before.count + 1 if before and seen.now - before.until < _QUIET else 1
    wait = backoff(count - _AT_ONCE + 1, seen.certificate.metadata.uid, first=timedelta(seconds=2))
    return Repairs(count, seen.now, wait)


def pause(seen: Observed, harm: Violation) -> tuple[datetime, Violation] | None:
    """Until when a harm is left as it is, and what is said of it; ``None`` if it is put right now."""
    repairs = seen.repairs
    if repairs is None or not repairs.wait or not is_changed_by_others(seen):
        return None
    # A clock that was set back would make it a longer wait than any that was decided.
    if not repairs.last <= seen.now < repairs.until:
        return None
    name = seen.certificate.spec.secret_name
    return repairs.until, Violation(
        Reason.SECRET_CONTESTED,
        f'Secret "{name}" was put right {repairs.count} times and changed again soon after each time, '
        f"{_by_whom(seen)}; now {harm.message}: end what writes to it, or give this ClientCertificate another "
        "Secret by a new object",
    )


def _by_whom(seen: Observed) -> str:
    if seen.secret is None:
        return "the last time deleted (the API server's audit log says by whom)"
    if seen.secret.foreign:
        return f'the last other writer is field manager "{seen.secret.foreign}"'
    return "by a writer whom the Secret does not name (the API server's audit log does)"
