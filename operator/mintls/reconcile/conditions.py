"""Conditions as kstatus reads them: Ready always; Reconciling and Stalled only while they are true."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mintls.api.v1alpha1.meta import Condition, ConditionStatus


@dataclass(frozen=True, slots=True)
class Finding:
    """What a condition should say now, without its history."""

    type: str
    status: bool
    reason: str
    message: str


def conditions(
    earlier: Iterable[Condition], findings: Iterable[Finding], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """The list to write: one condition a finding, in their order; all others are dropped.

    ``lastTransitionTime`` is kept while the status of a condition stays the same (``metav1.Condition``).
    """
    before = {condition.type: condition for condition in earlier}
    return tuple(_condition(before.get(finding.type), finding, generation, now) for finding in findings)


def _condition(before: Condition | None, finding: Finding, generation: int, now: datetime) -> Condition:
    status = ConditionStatus.TRUE if finding.status else ConditionStatus.FALSE
    unchanged = before is not None and before.status == status
    return Condition(
        type=finding.type,
        status=status,
        reason=finding.reason,
        message=finding.message,
        last_transition_time=before.last_transition_time if before and unchanged else now.replace(microsecond=0),
        observed_generation=generation,
    )


def find(conditions: Iterable[Condition], type_: str) -> Condition | None:
    """The condition of that type, if there is one."""
    return next((condition for condition in conditions if condition.type == type_), None)


def holds(conditions: Iterable[Condition], type_: str) -> bool:
    """Whether the condition of that type is there and True."""
    condition = find(conditions, type_)
    return condition is not None and condition.status == ConditionStatus.TRUE


def ready(reason: str, message: str) -> tuple[Finding, ...]:
    """All is well."""
    return (Finding("Ready", status=True, reason=reason, message=message),)


def waiting(reason: str, message: str) -> tuple[Finding, ...]:
    """Not yet, and it will go on by itself (kstatus: in progress)."""
    return (
        Finding("Ready", status=False, reason=reason, message=message),
        Finding("Reconciling", status=True, reason=reason, message=message),
    )


def stalled(reason: str, message: str) -> tuple[Finding, ...]:
    """Not before somebody changes something (kstatus: failed)."""
    return (
        Finding("Ready", status=False, reason=reason, message=message),
        Finding("Stalled", status=True, reason=reason, message=message),
    )
