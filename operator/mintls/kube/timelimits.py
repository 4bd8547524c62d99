"""How long an API server is waited for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long an API server is waited for that does not answer, in seconds.

    Attributes:
        connect: For a connection.
        request: For a request as a whole, and for a watch to begin.
        silence: Between two bytes of a watch. The API server sends a bookmark about once a minute on a quiet one: twice
            that without any means a dead connection.
    """

    connect: float = 5.0
    request: float = 30.0
    silence: float = 120.0


LIMITS = TimeLimits()
"""Those of a client that is told none."""
