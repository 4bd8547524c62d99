"""Events: what a person reading ``kubectl describe`` wants to know (``events.k8s.io/v1``).

An event is a courtesy: it is never waited for longer than a few seconds, and failing to post one fails nothing else.
"""

import logging
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self

from mintls.kube.client import ApiClient, Object
from mintls.kube.errors import ApiError
from mintls.kube.paths import EVENTS

logger = logging.getLogger(__name__)

QUIET = timedelta(minutes=10)
_REMEMBERED = 4096
_POST_SECONDS = 5.0
# events.k8s.io/v1 validation: note at most 1 kB; action, reason and reportingInstance at most 128 characters.
_NOTE_BYTES = 1024
_WORD_LIMIT = 128


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Which object an event is about (``v1 ObjectReference``); ``namespace`` is "" for cluster-scoped objects."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, item: Object) -> Self:
        """The reference to an object as the API gave it, with its ``apiVersion`` and ``kind``."""
        metadata = item["metadata"]
        return cls(
            item["apiVersion"], item["kind"], metadata.get("namespace", ""), metadata["name"], metadata.get("uid", "")
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


type _What = tuple[ObjectRef, str, str, str]


class EventRecorder:
    """Posts events; the same (object, type, reason, message) at most once in ten minutes."""

    def __init__(self, api: ApiClient, component: str = "mintls-operator", host: str = "mintls") -> None:
        """Prepare.

        Args:
            api: The client.
            component: ``reportingController``.
            host: ``reportingInstance``: the pod's or the machine's name.
        """
        self._api = api
        self._component = component
        self._host = host[:_WORD_LIMIT] or component
        # By a hash of what they say, which may be long: thousands of them are remembered.
        self._posted: OrderedDict[int, datetime] = OrderedDict()

    async def record(
        self,
        involved: ObjectRef,
        type_: Literal["Normal", "Warning"],
        reason: str,
        message: str,
        now: datetime,
        *,
        action: str = "Reconcile",
    ) -> None:
        """Post an event unless it was posted lately. Never raises because of the API.

        Args:
            involved: The object.
            type_: ``Warning`` for what a person should act on.
            reason: One word in CamelCase.
            message: A sentence; cut at 1 kB.
            now: Aware UTC.
            action: What the controller was doing, one word in CamelCase.
        """
        what = (involved, type_, reason, message)
        if not self._is_news(what, now):
            return
        namespace = involved.namespace or "default"
        body = self._event(what, now, action)
        try:
            await self._api.create(EVENTS.collection(namespace), body, seconds=_POST_SECONDS)
        except ApiError as error:
            self._posted.pop(hash(what), None)
            logger.warning("event %s of %s was not posted: %s", reason, involved, error)

    def _is_news(self, what: _What, now: datetime) -> bool:
        known = hash(what)
        before = self._posted.get(known)
        if before is not None and now - before < QUIET:
            return False
        self._posted[known] = now
        self._posted.move_to_end(known)
        self._forget(now)
        return True

    def _forget(self, now: datetime) -> None:
        """What was posted long ago, and what there is no room for."""
        while len(self._posted) > _REMEMBERED or now - next(iter(self._posted.values())) >= QUIET:
            self._posted.popitem(last=False)

    def _event(self, what: _What, now: datetime, action: str) -> Object:
        involved, type_, reason, message = what
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                # As client-go names them: the object's name, and something that makes it unique.
                "name": f"{involved.name[:200].rstrip('.-')}.{secrets.token_hex(8)}",
                # Events about cluster-scoped objects live in "default" (events.k8s.io/v1 validation).
                "namespace": involved.namespace or "default",
            },
            "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": self._component,
            "reportingInstance": self._host,
            "action": action[:_WORD_LIMIT],
            "reason": reason[:_WORD_LIMIT],
            "regarding": {
                "apiVersion": involved.api_version,
                "kind": involved.kind,
                "namespace": involved.namespace,
                "name": involved.name,
                "uid": involved.uid,
            },
            "note": _cut(message),
            "type": type_,
        }


def _cut(message: str) -> str:
    return message.encode()[:_NOTE_BYTES].decode("utf-8", "ignore")
