"""The control group that all pods of a node live in: in every hierarchy of a machine with version 1, 2 or both."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")


def hierarchies(mountinfo: str) -> list[Path]:
    """Where the hierarchies are mounted, as *mountinfo* (proc_pid_mountinfo(5)) tells.

    >>> hierarchies("30 25 0:26 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu")
    [PosixPath('/sys/fs/cgroup/cpu')]
    """
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ")[:1] in (["cgroup"], ["cgroup2"]):
            found.append(Path(before.split(" ")[4]))
    return found


def make(label: str) -> None:
    """Have the group *label* in every hierarchy; raises OSError."""
    for hierarchy in hierarchies(_MOUNTS.read_text()):
        group = hierarchy / label
        group.mkdir(exist_ok=True)
        # In a cpuset of version 1 no process may start before it was told its processors.
        for name in ("cpuset.cpus", "cpuset.mems"):
            file = group / name
            if file.exists() and (hierarchy / "cgroup.clone_children").exists() and not file.read_text().strip():
                file.write_text((hierarchy / name).read_text())


def groups(label: str) -> list[Path]:
    """The folders of the group *label* that are there, one a hierarchy."""
    return [path for hierarchy in hierarchies(_MOUNTS.read_text()) if (path := hierarchy / label).is_dir()]


def members(label: str) -> set[int]:
    """The ids of all processes in the group and below."""
    found: set[int] = set()
    for group in groups(label):
        for folder in _deepest_first(group):
            with contextlib.suppress(OSError):
                found.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
    return found


def remove(label: str, seconds: float = 10) -> set[int]:
    """Kill what is in the group and delete it; returns the processes that were still there after *seconds*."""
    deadline = time.monotonic() + seconds
    while (left := members(label)) and time.monotonic() < deadline:
        _kill(left)
        time.sleep(0.05)
    while groups(label) and time.monotonic() < deadline:
        for group in groups(label):
            for folder in _deepest_first(group):
                with contextlib.suppress(OSError):
                    folder.rmdir()
        time.sleep(0.02)
    return left


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        # 0: a process of another pid namespace; to kill(2) that is our own group.
        if pid > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _deepest_first(group: Path) -> Iterator[Path]:
    for folder, _, _ in os.walk(group, topdown=False):
        yield Path(folder)
