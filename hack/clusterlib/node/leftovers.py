"""Taking away all that a node leaves in the machine, found by the cluster's name alone: also after a crash.

That is: containers with their shims, control groups, mounts, links and addresses in folders that are not ours to
choose, the network, and settings of the kernel that the kubelet changes.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from clusterlib import processes
from clusterlib.errors import StopError
from clusterlib.files import write_private
from clusterlib.node import cgroups, machine, network
from clusterlib.paths import RUN_DIR, ClusterDir

_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8

_SYSCTLS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
"""Those that the kubelet sets, below /proc/sys."""

_KEPT = RUN_DIR / "sysctl.json"
_CONTAINER_LOGS = Path("/var/log/containers")
_CNI_RESULTS = Path("/var/lib/cni/results")


def exist(folder: ClusterDir) -> bool:
    """Whether a node of this cluster left anything."""
    return folder.run.exists() or network.exists(folder) or bool(cgroups.groups(folder.label))


def keep_sysctls() -> None:
    """Write down the kernel's settings before the first node changes them; raises OSError."""
    RUN_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _KEPT.exists():
        write_private(_KEPT, json.dumps({name: (Path("/proc/sys") / name).read_text().strip() for name in _SYSCTLS}))


def remove(folder: ClusterDir) -> None:
    """Take everything away; its servers have to be stopped already. Raises StopError for what resists."""
    if machine.unfit():
        return
    _end_containers(folder)
    held = _unmount(folder)
    if held:
        raise StopError(f"cluster {folder.name}: {held[0]} cannot be unmounted: see `findmnt {held[0]}`.")
    network.remove(folder)
    _unlink(folder)
    shutil.rmtree(folder.run, ignore_errors=True)
    _restore_sysctls()


def _end_containers(folder: ClusterDir) -> None:
    # The shims first: each would try to clean up after its container, and write to what is being deleted.
    deadline = time.monotonic() + 5
    while (shims := list(_shims(folder))) and time.monotonic() < deadline:
        for pid in shims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    left = [*shims, *cgroups.remove(folder.label)]
    if left:
        raise StopError(
            f"cluster {folder.name}: process {left[0]} of a container is still there after SIGKILL. It may hang in the "
            "kernel: look at its state with `ps`, then run `hack/cluster down` again."
        )


def _shims(folder: ClusterDir) -> Iterator[int]:
    address = f"-address {folder.run}/"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            line = processes.command_line(int(entry.name))
            if "containerd-shim" in line.partition(" ")[0] and address in line:
                yield int(entry.name)


def _unmount(folder: ClusterDir) -> list[Path]:
    """Unmount what is mounted in the cluster's folders, the innermost first; returns what is mounted still."""
    for path in _mounts(folder):
        # Lazily: a process of a stranger that looks into it must not keep it.
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(path), _MNT_DETACH | _UMOUNT_NOFOLLOW)
    return _mounts(folder)


def _mounts(folder: ClusterDir) -> list[Path]:
    mountinfo = Path("/proc/self/mountinfo").read_text()
    return sorted(mounts_below(mountinfo, (folder.root, folder.run)), key=lambda path: -len(path.parts))


def mounts_below(mountinfo: str, roots: tuple[Path, ...]) -> list[Path]:
    r"""The mount points of *mountinfo* (proc_pid_mountinfo(5)) in and below *roots*, once for each mount.

    >>> mounts_below(r"30 25 0:26 / /run/a\040b rw - tmpfs t rw", (Path("/run/a b"),))
    [PosixPath('/run/a b')]
    """
    points = [Path(_unescape(line.split(" ")[4])) for line in mountinfo.splitlines()]
    return [point for point in points if any(point.is_relative_to(root) for root in roots)]


def _unescape(text: str) -> str:
    # The kernel writes blank, tab, newline and backslash as three octal digits, and all else as it is.
    for character in (" ", "\t", "\n", "\\"):
        text = text.replace(f"\\{ord(character):03o}", character)
    return text


def _unlink(folder: ClusterDir) -> None:
    """Links to the logs of containers, and what CNI remembers: their folders are the same for all nodes."""
    for link in _CONTAINER_LOGS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(folder.root):
            link.unlink(missing_ok=True)
    for result in _CNI_RESULTS.glob(f"{folder.label}-*"):
        result.unlink(missing_ok=True)


def _restore_sysctls() -> None:
    """After the last node of this machine, set the kernel as it was."""
    if not _KEPT.exists() or any(entry.is_dir() for entry in RUN_DIR.iterdir()):
        return
    with contextlib.suppress(OSError, ValueError):
        for name, value in json.loads(_KEPT.read_text()).items():
            (Path("/proc/sys") / name).write_text(value)
    shutil.rmtree(RUN_DIR, ignore_errors=True)
