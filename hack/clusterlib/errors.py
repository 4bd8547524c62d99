"""What can go wrong with a cluster.

ClusterError            base: its text says what happened, to what, and what to do
├── BadRequestError     the options contradict each other or the machine
├── ToolMissingError    a program that the provider needs is not installed
├── BuildError          Go could not build a binary, or Go could not be had
├── StartError          a part of the cluster did not become ready
├── StopError           a process outlived its kill
├── NotRunningError     there is no such cluster, or not all of it runs
├── RecordError         the file that says what runs is damaged
├── ImageError          an image could not be brought in
└── KubectlError        kubectl said no
"""


class ClusterError(Exception):
    """Anything that keeps the launcher from doing what it was asked."""


class BadRequestError(ClusterError):
    """The options contradict each other, the running cluster, or the machine."""


class ToolMissingError(ClusterError):
    """A program that the chosen provider needs is not installed."""


class BuildError(ClusterError):
    """A binary could not be built, or no Go toolchain could be had."""


class StartError(ClusterError):
    """A part of the cluster did not become ready; nothing of it was left running."""


class StopError(ClusterError):
    """A process outlived its kill."""


class NotRunningError(ClusterError):
    """There is no such cluster, or it does not run completely."""


class RecordError(ClusterError):
    """The file that says what runs is damaged."""


class ImageError(ClusterError):
    """An image could not be brought in."""


class KubectlError(ClusterError):
    """A kubectl command ended with a status other than 0."""
