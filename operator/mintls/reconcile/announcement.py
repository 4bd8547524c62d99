"""An event that a decision wants to be posted."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a person wants to know.

    Attributes:
        warning: Whether somebody should look at it.
        reason: One CamelCase word for programs.
        message: What happened and what to do.
    """

    warning: bool
    reason: str
    message: str
