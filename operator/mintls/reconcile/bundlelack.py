"""What a CertificateAuthority says of namespaces in which its trust bundle cannot be as it should be.

A condition that is there only while it is true, beside ``Ready``: certificates are issued all the same, and each has
the roots in the ``ca.crt`` of its Secret.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import msgspec

from mintls.api.v1alpha1.certificateauthority import CertificateAuthorityStatus
from mintls.api.v1alpha1.meta import Condition
from mintls.reconcile import conditions as conds
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.reasons import Reason
from mintls.reconcile.trustbundle import NAME

CONDITION = "BundlesMissing"
"""Type of the condition."""

_NAMES = 5
"""So many namespaces are named for each cause, and so many causes."""


@dataclass(frozen=True, slots=True, order=True)
class Lack:
    """Why the bundle of a namespace is not as it should be: for programs, and for people with what to do.

    The same cause has the same words each time that it is met, so that nothing is written while nothing changes.
    """

    reason: Reason
    message: str


NOT_OWNED = Lack(
    Reason.BUNDLE_NOT_OWNED,
    "somebody else made a ConfigMap of that name, which is left as it is; delete it, and it is made at once",
)


def with_lacks(
    item_conditions: Iterable[Condition],
    status: CertificateAuthorityStatus,
    lacks: Mapping[str, Lack] | None,
    now: datetime,
) -> tuple[CertificateAuthorityStatus, Announcement | None]:
    """A status with the condition, or without, and an event when it begins.

    Args:
        item_conditions: The conditions of the object as it is.
        status: What else is to be said.
        lacks: Namespaces that lack the bundle, and why; ``None`` while not all were looked at, after a start: then it
            is as it was.
        now: The time.
    """
    before = conds.find(item_conditions, CONDITION)
    others = tuple(one for one in status.conditions if one.type != CONDITION)
    if lacks is None:
        return msgspec.structs.replace(status, conditions=(*others, *((before,) if before else ()))), None
    if not lacks:
        return msgspec.structs.replace(status, conditions=others), None
    finding = finding_of(lacks)
    said = conds.conditions((before,) if before else (), (finding,), generation=status.observed_generation, now=now)
    announcement = None
    if before is None:
        announcement = Announcement(warning=True, reason=Reason(finding.reason), message=finding.message)
    return msgspec.structs.replace(status, conditions=(*others, *said)), announcement


def finding_of(lacks: Mapping[str, Lack]) -> conds.Finding:
    """The condition; its reason is the cause that most namespaces share."""
    causes = _by_cause(lacks)
    count = len(lacks)
    head = f"{count} namespace{'s' if count > 1 else ''} without ConfigMap {NAME} as it should be"
    parts = [f"{_names(namespaces)}: {cause.message}" for cause, namespaces in causes[:_NAMES]]
    left = sum(len(namespaces) for _, namespaces in causes[_NAMES:])
    more = [f"and {left} more for other causes"] if left else []
    return conds.Finding(
        CONDITION, status=True, reason=causes[0][0].reason, message=f"{head}: {'; '.join([*parts, *more])}"
    )


def _by_cause(lacks: Mapping[str, Lack]) -> list[tuple[Lack, list[str]]]:
    """The causes with their namespaces, that of most namespaces first."""
    pairs = sorted((lack, namespace) for namespace, lack in lacks.items())
    groups = [(lack, [namespace for _, namespace in group]) for lack, group in groupby(pairs, key=lambda pair: pair[0])]
    return sorted(groups, key=lambda group: (-len(group[1]), group[0]))


def _names(namespaces: list[str]) -> str:
    named, left = namespaces[:_NAMES], len(namespaces) - _NAMES
    return ", ".join(named) + (f" and {left} more" if left > 0 else "")
