"""What can go wrong with the demo.

DemoError            base: its text says what happened and what to do
├── StepFailedError  a step did not come out as expected
├── NotReadyError    operator or issuer ended, or did not become ready
├── ToolMissingError a program that the demo runs is not installed
└── OccupiedError    a demo runs already, or the cluster has something that the demo would delete at its end
"""


class DemoError(Exception):
    """Anything that keeps the demo from coming to its end."""


class StepFailedError(DemoError):
    """A step did not come out as expected."""


class NotReadyError(DemoError):
    """Operator or issuer ended, or did not become ready."""


class ToolMissingError(DemoError):
    """A program that the demo runs is not installed, and could not be."""


class OccupiedError(DemoError):
    """Going on would take away what somebody still uses."""
