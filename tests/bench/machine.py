"""Processes on a core of their own, what they cost, and what machine this is."""

import contextlib
import os
import platform
import shutil
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

SERVER_CORE, LOAD_CORE = 0, 1
_CALLS = 500_000
_TICKS = os.sysconf("SC_CLK_TCK")


class CannotMeasure(RuntimeError):  # noqa: N818 - reads as the sentence that it stands for
    """Something is missing that a measurement needs; the message says what."""


def require(*programs: str) -> None:
    """Make sure that there are two cores and these programs.

    Raises:
        CannotMeasure: There are not.
    """
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise CannotMeasure(f"these programs are missing: {', '.join(missing)}")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise CannotMeasure("two cores are needed: one for what is measured, one for the load")


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """A process while the block lasts; its output goes to a file. Gives the process id."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, stdin=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def must_run(pid: int, what: str) -> None:
    """Make sure that a process has not ended.

    Raises:
        CannotMeasure: It has.
    """
    if not is_running(pid):
        raise CannotMeasure(f"{what} has ended by itself")


def is_running(pid: int) -> bool:
    """Whether a process has not ended, also where nobody has waited for it yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"X", "Z"}


def rss_mib(pid: int) -> float:
    """Resident memory now."""
    return _status_kib(pid, "VmRSS") / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def confine(pids: Sequence[int], cores: Collection[int]) -> None:
    """Keep all threads of processes on these cores, from now on."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def described() -> dict[str, str]:
    """Machine and versions, for the record."""
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    return {
        "cpu": cpu.partition(":")[2].strip() or platform.machine(),
        "cores": str(os.cpu_count()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "calls of a Python function a second": f"{_calls_a_second() / 1e6:.0f} million",
        "openssl": _said("openssl", "version"),
        "node": _said("node", "--version"),
        "aiohttp": version("aiohttp"),
        "uvloop": version("uvloop"),
        "cryptography": version("cryptography"),
        "commit": _said("git", "describe", "--always", "--dirty", "--abbrev=12"),
    }


def _calls_a_second() -> float:
    """The interpreter alone: one that was compiled without profile-guided optimization is half as fast as others."""

    def nothing() -> None: ...

    def taken() -> float:
        began = time.process_time()
        for _ in range(_CALLS):
            nothing()
        return time.process_time() - began

    return _CALLS / min(taken() for _ in range(5))


def checked_out(commit: str, folder: Path) -> Path:
    """The files of a commit, in a new folder.

    Raises:
        CannotMeasure: There is no such commit.
    """
    folder.mkdir()
    archive = ["git", "archive", "--format=tar", commit, "operator"]
    done = subprocess.run(archive, capture_output=True, check=False, cwd=Path(__file__).parents[2])
    if done.returncode:
        raise CannotMeasure(f"commit {commit}: {done.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", folder], input=done.stdout, check=True)
    return folder


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    return done.stdout.strip()


def _status_kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
