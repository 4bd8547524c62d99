"""What kopf keeps of an object for handlers of changes, and for daemons: nothing, for there are none.

It would copy each object several times at each event to compare it with its last state: a fifth of what the operator
does in a burst. And it would remember 700 octets of each for as long as it exists.
"""

from typing import Any

from mintls.controllers.kopfalone import ResourceMemories, ResourceMemory, kopf


class NoDiffBase(kopf.DiffBaseStorage):
    """Every object is like every other."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002 - kopf's signature
        """Nothing of the object."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:  # noqa: ARG002 - kopf's signature
        """There is no last state."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keep nothing."""


class NoProgress(kopf.ProgressStorage):
    """No handler is ever halfway."""

    def fetch(self, *, key: str, body: kopf.Body) -> None:  # noqa: ARG002 - kopf's signature
        """There is no progress."""
        return

    def store(self, *, key: str, record: object, body: kopf.Body, patch: kopf.Patch) -> None:
        """Keep nothing."""

    def purge(self, *, key: str, body: kopf.Body, patch: kopf.Patch) -> None:
        """There is nothing to remove."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """There is nothing to touch."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """There is nothing to take out."""
        return essence


class NoMemories(ResourceMemories):
    """Every event of an object is its first."""

    async def recall(self, raw_body: Any, **options: Any) -> ResourceMemory:
        """What lasts as long as the event is handled."""
        return await super().recall(raw_body, **(options | {"ephemeral": True}))
