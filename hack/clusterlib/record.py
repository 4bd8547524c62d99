"""What is written down about a cluster, so that any later command can find and stop what an earlier one started."""

import dataclasses
import json
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from clusterlib.errors import RecordError
from clusterlib.files import locked, write_private
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.progress import Progress


@dataclass(frozen=True)
class Owner:
    """The process that a cluster is for; when it is gone, the cluster has no use."""

    pid: int
    started: str
    """See ``processes.started_at``: tells the owner from a later process with its id."""


@dataclass(frozen=True)
class Node:
    """The node of a cluster that has one."""

    address: str
    """Its IPv4 address, which the whole cluster listens on."""
    gateway: str
    """The machine's end of the cable to it."""
    programs: str
    """The folder of the programs that are not Kubernetes' own."""


@dataclass(frozen=True)
class Record:
    """One cluster, as it was left."""

    name: str
    provider: str
    options: Options = field(default_factory=Options)
    ready: bool = False
    """False from the first step of a start until all parts answered."""
    started: float = 0.0
    """When it became ready, in seconds since the epoch."""
    kubernetes: str = ""
    etcd: str = ""
    binaries: str = ""
    """The folder of the programs that run."""
    pids: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    owner: Owner | None = None
    node: Node | None = None

    def became_ready(self) -> "Record":
        """The same, ready since now."""
        return dataclasses.replace(self, ready=True, started=time.time())


def exclusively(folder: ClusterDir, progress: Progress) -> AbstractContextManager[None]:
    """Keep every other command from changing a cluster; says so where it has to wait for one."""
    text = f"cluster {folder.name}: another command works on it; waiting"
    return locked(folder.lock, lambda: progress.say(text))


def load(folder: ClusterDir) -> Record | None:
    """The record of a cluster, None without one; raises RecordError."""
    try:
        data = json.loads(folder.record.read_text())
        return _decode(data)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise RecordError(
            f"cluster {folder.name}: {folder.record} cannot be read ({error}). See with `pgrep -af {folder.root}` "
            f"whether anything of it runs, stop that, then delete {folder.root}."
        ) from error


def save(folder: ClusterDir, record: Record) -> None:
    """Write the record of a cluster, whole or not at all; raises OSError."""
    write_private(folder.record, json.dumps(dataclasses.asdict(record), indent=2) + "\n")


def _decode(data: dict[str, Any]) -> Record:
    options = data.pop("options")
    owner = data.pop("owner")
    node = data.pop("node", None)
    return Record(
        **data,
        options=Options(**options | {"apiserver_args": tuple(options["apiserver_args"])}),
        owner=Owner(**owner) if owner else None,
        node=Node(**node) if node else None,
    )
