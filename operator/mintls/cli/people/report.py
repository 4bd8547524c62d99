"""What there is to say of objects: what is well, what is on its way, what is wrong and what to do. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How an object is."""

    OK = "ok"
    WAITING = "waiting"
    """It will go on by itself, or nobody has looked at it yet."""
    WRONG = "wrong"
    """It needs somebody."""


@dataclass(frozen=True, slots=True)
class Line:
    """One object."""

    kind: str
    namespace: str
    """"" for objects of the whole cluster."""
    name: str
    state: State
    reason: str
    message: str
    due: str = ""
    """When something happens next by itself, RFC 3339."""

    @property
    def title(self) -> str:
        """The object as a person names it."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


_AMISS = ("Issuing", "BundlesMissing")
"""Conditions of an object that is still good: that its next certificate does not come, people want to hear of before
the end."""
_DUE = {"ClientCertificate": "renewalTime", "CertificateAuthority": "nextRotationTime"}


def line_of(item: Mapping[str, Any], now: datetime) -> Line:
    """What to say of an object of ours, as the API shows it, at *now* (aware)."""
    meta, status = item["metadata"], item.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    ready = conditions.get("Ready", {})
    stalled = conditions.get("Stalled", {}).get("status") == "True"
    due = "" if stalled else status.get(_DUE.get(item["kind"], ""), "")
    state, reason, message = State.OK, ready.get("reason", ""), ready.get("message", "")
    if status.get("observedGeneration") != meta["generation"] or not ready:
        state, reason = State.WAITING, "NotObserved"
        message = "the operator has not looked at this generation yet: if that lasts, see that it runs"
    elif ready["status"] != "True":
        state = State.WRONG if stalled else State.WAITING
    elif amiss := next((conditions[type_] for type_ in _AMISS if type_ in conditions), None):
        state, reason, message = State.WRONG, amiss["reason"], amiss["message"]
    elif due and datetime.fromisoformat(due) + _GRACE < now:
        state, reason = State.WRONG, "Overdue"
        message = f"was due at {due}, and the operator has not acted: see that it runs"
    return Line(item["kind"], meta.get("namespace", ""), meta["name"], state, reason, message, due)


_GRACE = timedelta(minutes=5)
"""How late a rotation may be before it counts as forgotten."""


def as_data(lines: Iterable[Line]) -> list[dict[str, str]]:
    """The lines for a program."""
    return [asdict(line) for line in lines]


def as_text(lines: Iterable[Line], now: datetime) -> str:
    """The lines for a person: a table, then each object that is not well with its message."""
    lines = list(lines)
    if not lines:
        return "There is no CertificateAuthority, OAuthClient or ClientCertificate here."
    width = max(len(line.title) for line in lines)
    reasons = max(len(line.reason) for line in lines)
    rows = [f"{line.state:<8}{line.title:<{width}}  {line.reason:<{reasons}}  {_next(line, now)}" for line in lines]
    troubled = [f"{line.title}: {line.message}" for line in lines if line.state is not State.OK]
    return "\n".join([*(row.rstrip() for row in rows), *(["", *troubled] if troubled else [])])


def _next(line: Line, now: datetime) -> str:
    if not line.due or line.state is State.WAITING:
        return ""
    what = "renewal" if line.kind == "ClientCertificate" else "rotation"
    return f"{what} {in_words(datetime.fromisoformat(line.due) - now)}"


def in_words(distance: timedelta) -> str:
    """How far away something is.

    >>> in_words(timedelta(hours=15, minutes=59)), in_words(timedelta(days=-2))
    ('in 15 h', '2 d ago')
    """
    seconds = int(abs(distance).total_seconds())
    size, unit = next(
        ((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= size), (1, "s")
    )
    return f"in {seconds // size} {unit}" if distance >= timedelta() else f"{seconds // size} {unit} ago"
