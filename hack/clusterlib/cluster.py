"""A cluster as its users see it, and what every provider has to offer."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from clusterlib.errors import KubectlError
from clusterlib.options import Options


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes API that answers."""

    name: str
    provider: str
    kubeconfig: Path
    kubectl_path: Path
    audit_log: Path | None = None
    """One JSON event per request and line; None unless asked for, and only ``embedded`` has it."""
    kubectl_cache: Path | None = None

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """*base* (default: this process's environment) for a program that is to use this cluster."""
        environment = dict(os.environ if base is None else base)
        environment["KUBECONFIG"] = str(self.kubeconfig)
        if self.kubectl_cache:
            # kubectl remembers for minutes which kinds an address serves; the next cluster may have this one's.
            environment["KUBECACHEDIR"] = str(self.kubectl_cache)
        return environment

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What ``kubectl`` *arguments* writes to stdout; raises KubectlError with what it wrote to stderr."""
        done = subprocess.run(
            [self.kubectl_path, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment(),
            check=False,
        )
        if done.returncode:
            raise KubectlError(
                f"`kubectl {' '.join(arguments)}` on cluster {self.name} ended with status {done.returncode}: "
                f"{done.stderr.strip()}"
            )
        return done.stdout


def server_version(cluster: Cluster) -> str:
    """The version that the API server says it has, such as ``v1.35.4``; empty where none answers in 5 seconds."""
    try:
        answer = json.loads(cluster.kubectl("version", "--output=json", "--request-timeout=5s"))
        return str(answer["serverVersion"]["gitVersion"])
    except (KubectlError, ValueError, KeyError):
        return ""


class State(StrEnum):
    """How a cluster is."""

    RUNNING = "running"
    DAMAGED = "damaged"
    """A part is gone or does not answer."""
    STOPPED = "stopped"
    """There is a record of it, but nothing of it runs."""
    ABSENT = "absent"


@dataclass(frozen=True)
class PartStatus:
    """One process of a cluster."""

    name: str
    version: str
    pid: int | None
    address: str
    condition: str
    """``ready``, ``not answering``, ``gone`` or ``never started``."""


@dataclass(frozen=True)
class Status:
    """A cluster at one moment."""

    name: str
    provider: str
    state: State
    version: str = ""
    kubeconfig: Path | None = None
    audit_log: Path | None = None
    uptime: float | None = None
    """Seconds since it became ready."""
    parts: tuple[PartStatus, ...] = ()
    advice: str = ""
    """What to do about a state that is not ``running``."""


@dataclass(frozen=True)
class Brought:
    """The outcome of ``up``."""

    cluster: Cluster
    version: str
    fresh: bool
    """False where it ran already."""


class Provider(Protocol):
    """A way to have a cluster. Every method raises a ClusterError when it cannot do its work."""

    @property
    def name(self) -> str:
        """What ``--provider`` calls it."""
        ...

    def up(self, name: str, options: Options, *, owned: bool) -> Brought:
        """Have the cluster *name* running; *owned*: it is of use only as long as this process lives."""
        ...

    def down(self, name: str) -> bool:
        """Take away all that ``up`` made; False where there was nothing to take away."""
        ...

    def status(self, name: str) -> Status:
        """How the cluster is."""
        ...

    def load(self, name: str, archive: Path) -> list[str]:
        """Bring the images of an archive (as ``docker save`` writes it) to the cluster's node; returns their names."""
        ...

    def find(self, name: str) -> Cluster:
        """The cluster, provided that it is up; raises NotRunningError."""
        ...
