"""What is written down about a demo, so that a later command can end what an earlier one started."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from clusterlib import processes
from clusterlib.files import write_private
from clusterlib.processes import Identity
from demolib.errors import DemoError


@dataclass(frozen=True, slots=True)
class Record:
    """One demo.

    Attributes:
        provider: Where its cluster comes from.
        kubeconfig: The administrator's.
        kubectl: The program.
        folder: The demo's folder.
        kept: Whether it is to go on after the command that started it.
        owner: Process id of that command.
        owner_started: Tells it from a later process of that id (``clusterlib.processes.started_at``).
        pids: Operator and issuer.
    """

    provider: str
    kubeconfig: str
    kubectl: str
    folder: str
    kept: bool
    owner: int = field(default_factory=os.getpid)
    owner_started: str = field(default_factory=lambda: processes.started_at(os.getpid()))
    pids: dict[str, int] = field(default_factory=dict)

    def with_process(self, part: str, pid: int) -> "Record":
        """The same, with one more process."""
        return dataclasses.replace(self, pids={**self.pids, part: pid})

    def identities(self) -> tuple[Identity, ...]:
        """The processes, each with what tells it from a stranger of the same id."""
        return tuple(Identity(pid, binary="mintls", folder=self.folder) for pid in self.pids.values())

    def owner_lives(self) -> bool:
        """Whether the command that started it still runs."""
        return bool(self.owner_started) and processes.started_at(self.owner) == self.owner_started


def load(path: Path) -> Record | None:
    """The record; ``None`` if there is none.

    Raises:
        DemoError: The file cannot be read.
    """
    try:
        return Record(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise DemoError(
            f"{path} cannot be read ({error}): end what `pgrep -af mintls` shows, then delete it"
        ) from error


def save(path: Path, record: Record) -> None:
    """Write the record, whole or not at all.

    Raises:
        OSError: The file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(dataclasses.asdict(record), indent=2) + "\n")
