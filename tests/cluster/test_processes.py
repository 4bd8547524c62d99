import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.waiting import poll
from clusterlib import processes
from clusterlib.processes import Identity

from .conftest import MakeProgram


@pytest.fixture
def sleeper(tmp_path: Path, program: MakeProgram) -> Iterator[Identity]:
    """A process that names its folder on its command line, as every server of a cluster does."""
    binary = program("server", "while :; do sleep 0.05; done")
    pid = processes.spawn([str(binary), f"--data-dir={tmp_path}/data"], tmp_path / "logs" / "server.log", os.environ)
    process = Identity(pid, str(binary), f"{tmp_path}/")
    poll(process.is_alive)
    yield process
    processes.stop([process], grace=0)


def test_a_started_process_is_recognised(sleeper: Identity) -> None:
    assert sleeper.is_alive()


def test_a_process_of_another_folder_is_not_ours(sleeper: Identity) -> None:
    assert not Identity(sleeper.pid, sleeper.binary, "/other/folder/").is_alive()


def test_a_process_of_another_binary_is_not_ours(sleeper: Identity) -> None:
    assert not Identity(sleeper.pid, "/other/binary", sleeper.folder).is_alive()


def test_a_stranger_with_our_process_id_is_not_signalled(sleeper: Identity) -> None:
    stranger = Identity(sleeper.pid, sleeper.binary, "/other/folder/")
    assert processes.stop([stranger], grace=0) == []
    assert sleeper.is_alive()


def test_a_stopped_process_is_gone(sleeper: Identity) -> None:
    assert processes.stop([sleeper], grace=5) == []
    assert not sleeper.is_alive()
    assert processes.command_line(sleeper.pid) == ""


def test_a_process_that_will_not_end_is_killed(tmp_path: Path, program: MakeProgram) -> None:
    binary = program("stubborn", "trap '' TERM; while :; do sleep 0.05; done")
    pid = processes.spawn([str(binary), f"{tmp_path}/"], tmp_path / "log", os.environ)
    process = Identity(pid, str(binary), f"{tmp_path}/")
    poll(process.is_alive)
    assert processes.stop([process], grace=0.3) == []
    assert not process.is_alive()


def test_a_started_process_has_a_session_of_its_own(sleeper: Identity) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid


def test_signals_that_the_launcher_holds_back_reach_what_it_starts(tmp_path: Path) -> None:
    with processes.uninterrupted():
        pid = processes.spawn(["/bin/cat", "/proc/self/status"], tmp_path / "status", os.environ)
    os.waitpid(pid, 0)
    assert "SigBlk:\t0000000000000000" in (tmp_path / "status").read_text()


def test_signals_are_held_back_while_a_process_is_written_down() -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    arrived = []
    try:
        with processes.uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            arrived.append("the block was finished")
    except KeyboardInterrupt:
        arrived.append("then it was interrupted")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert arrived == ["the block was finished", "then it was interrupted"]


def test_the_exit_status_of_a_child_is_told_once(tmp_path: Path, program: MakeProgram) -> None:
    pid = processes.spawn([str(program("brief", "exit 7"))], tmp_path / "log", os.environ)
    statuses = iter(lambda: processes.exit_status(pid), 7)
    poll(lambda: next(statuses, 7) == 7)
    assert processes.exit_status(pid) is None


def test_a_start_mark_lasts_as_long_as_the_process(sleeper: Identity) -> None:
    mark = processes.started_at(sleeper.pid)
    assert mark
    assert mark == processes.started_at(sleeper.pid)
    assert mark != processes.started_at(os.getppid())
    processes.stop([sleeper], grace=5)
    assert processes.started_at(sleeper.pid) == ""


def test_where_there_is_no_proc_ps_tells_the_same(sleeper: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = processes.command_line(sleeper.pid)
    monkeypatch.setattr(processes, "_PROC", Path("/nonexistent"))
    assert processes.command_line(sleeper.pid) == expected
    assert processes.started_at(sleeper.pid)
