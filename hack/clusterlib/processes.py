"""Servers that outlive the launcher: start, recognise, stop.

A process id alone proves nothing: ids are used again. A process is ours only if its command line names our binary
and our cluster's folder; nothing else is ever signalled.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Identity:
    """What tells a process of ours from a stranger with the same id."""

    pid: int
    binary: str
    folder: str

    def is_alive(self) -> bool:
        """Whether the process runs and is the one that was started."""
        _reap(self.pid)
        line = command_line(self.pid)
        return self.binary in line and self.folder in line


def spawn(argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> int:
    """Start *argv* in a session of its own, with output appended to *log*; returns the process id.

    Raises OSError when the binary cannot be run. A session of its own: Ctrl-C in the terminal stops the
    launcher, which then stops what it started, in its order. Not subprocess.Popen: that object complains when it
    is dropped while the process lives, and living on is the point.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    # Whatever this process blocks or ignores at the moment is none of the server's business.
    return os.posix_spawn(
        argv[0],
        list(argv),
        environment,
        file_actions=files,
        setsid=True,
        setsigmask=(),
        setsigdef=(*_INTERRUPTS, signal.SIGPIPE),
    )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and its like for the few instructions between starting a process and writing its id down.

    By handlers, not by the signal mask: that is a thread's own, and a signal to the process would come by another.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals interrupt the main thread alone
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda number, _frame: arrived.append(number)) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for late in dict.fromkeys(arrived):
            signal.raise_signal(late)


def command_line(pid: int) -> str:
    """The command line of *pid*, blank-separated; empty for a process that is gone, a zombie, or hidden from us."""
    if _PROC.is_dir():
        try:
            return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    return _ps(pid, "command=")


def started_at(pid: int) -> str:
    """A mark of when *pid* started, equal for as long as it is the same process; empty for none and for a zombie."""
    if _PROC.is_dir():
        try:
            # proc_pid_stat(5): the second field may hold blanks and brackets, so count from its end: 3 is the state,
            # 22 the start. A zombie has ended: only its parent has not asked yet.
            state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            return "" if state in "ZX" else fields[18]
        except (OSError, ValueError, IndexError):
            return ""
    return _ps(pid, "lstart=")


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(["ps", "-ww", "-o", column, "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def exit_status(pid: int) -> int | None:
    """The exit status of our child *pid* (negative: the signal that killed it); None while it runs or is not ours."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if done else None


def _reap(pid: int) -> None:
    exit_status(pid)


def stop(processes: Sequence[Identity], grace: float) -> list[Identity]:
    """Ask all *processes* to end, kill those that still run after *grace* seconds; returns those that outlived that."""
    # From here on by the start mark: an ending process loses its command line well before it lets its ports go.
    marks = {process: started_at(process.pid) for process in processes if process.is_alive()}
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5)):
        _signal(marks, number)
        marks = _wait_gone(marks, seconds)
    return list(marks)


def _signal(marks: Mapping[Identity, str], number: signal.Signals) -> None:
    for process, mark in marks.items():
        if started_at(process.pid) == mark:
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _wait_gone(marks: Mapping[Identity, str], seconds: float) -> dict[Identity, str]:
    """Wait for at most *seconds*; returns those that are still there."""
    deadline = time.monotonic() + seconds
    remaining = _remaining(marks)
    while remaining and time.monotonic() < deadline:
        time.sleep(0.02)
        remaining = _remaining(remaining)
    return remaining


def _remaining(marks: Mapping[Identity, str]) -> dict[Identity, str]:
    for process in marks:
        _reap(process.pid)
    return {process: mark for process, mark in marks.items() if mark and started_at(process.pid) == mark}
