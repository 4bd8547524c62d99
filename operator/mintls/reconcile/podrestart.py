"""Which pod to restart after a credential was renewed, for programs that read theirs at start and never again.

One pod at a time, and the next when the last one's successor is ready, as a rolling update does. A pod goes by the
Eviction API, so a PodDisruptionBudget is respected, and nothing is written to what a user owns.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

_LOOK_AGAIN = timedelta(seconds=5)
_OVER = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that reads a Secret.

    Attributes:
        name: Its name.
        uid: Its uid.
        ready: Whether its condition ``Ready`` is true.
        ending: Whether it is being deleted.
        controlled: Whether something makes another one when it goes.
        began: When the first of its containers began to run; None if none has yet.
    """

    name: str
    uid: str
    ready: bool
    ending: bool
    controlled: bool
    began: datetime | None


@dataclass(frozen=True, slots=True)
class Restart:
    """Evict this pod, and look again then."""

    pod: Pod
    look_again: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Another pod is on its way: look again then."""

    look_again: datetime


def next_restart(pods: Iterable[Pod], written: datetime, now: datetime) -> Restart | Wait | None:
    """What to do now; None when no pod has read what was there before.

    Args:
        pods: The pods that read the Secret.
        written: When the Secret was last written, to the second.
        now: Aware UTC.
    """
    there = list(pods)
    # A pod whose containers have not begun reads the Secret when they do. Both times are whole seconds: one restart
    # too many is better than one too few.
    stale = [pod for pod in there if pod.controlled and not pod.ending and pod.began and pod.began <= written]
    if not stale:
        return None
    idle = [pod for pod in stale if not pod.ready]
    if not idle and not all(pod.ready and not pod.ending for pod in there):
        return Wait(now + _LOOK_AGAIN)
    # One that serves nobody goes first: it may be this very certificate that it lacks.
    chosen = min(idle or stale, key=lambda pod: (pod.began or now, pod.name))
    return Restart(chosen, now + _LOOK_AGAIN)


def reading(pods: Iterable[Mapping[str, Any]], secret: str) -> Iterator[Pod]:
    """Those of *pods* (v1 Pod, as the API gives them) that read *secret* and have not ended."""
    for body in pods:
        if body.get("status", {}).get("phase") not in _OVER and secret in set(_secrets(body["spec"])):
            yield _pod(body)


def _pod(body: Mapping[str, Any]) -> Pod:
    metadata, status = body["metadata"], body.get("status", {})
    began = [
        datetime.fromisoformat(state["startedAt"])
        for one in status.get("containerStatuses") or ()
        for state in ((one.get("state") or {}).get("running"), (one.get("lastState") or {}).get("terminated"))
        if state and state.get("startedAt")
    ]
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        ready=any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or ()),
        ending=bool(metadata.get("deletionTimestamp")),
        controlled=any(owner.get("controller") for owner in metadata.get("ownerReferences") or ()),
        began=min(began, default=None),
    )


def _secrets(spec: Mapping[str, Any]) -> Iterator[str]:
    """The names of the Secrets that a pod reads: as volumes, and as environment."""
    for volume in spec.get("volumes") or ():
        yield (volume.get("secret") or {}).get("secretName", "")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield (source.get("secret") or {}).get("name", "")
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        for source in container.get("envFrom") or ():
            yield (source.get("secretRef") or {}).get("name", "")
        for variable in container.get("env") or ():
            yield ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", "")
