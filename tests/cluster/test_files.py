import os
import subprocess
import sys
import threading
from pathlib import Path

from clusterlib.files import locked, tail, write_private
from clusterlib.paths import MODULE_DIR


def test_a_private_file_is_its_owners_alone(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "secret")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_private_file_replaces_one_that_all_could_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    write_private(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_text() == "new"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_tail_has_the_last_lines_even_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"one\ntwo\n\xff three\n")
    assert tail(tmp_path / "log", 2) == ["two", "\N{REPLACEMENT CHARACTER} three"]


def test_tail_of_no_file_is_empty(tmp_path: Path) -> None:
    assert tail(tmp_path / "absent") == []


def test_a_lock_keeps_the_second_out_until_the_first_is_done(tmp_path: Path) -> None:
    order = []
    waits = threading.Event()

    def second() -> None:
        with locked(tmp_path / "lock", waits.set):
            order.append("second")

    with locked(tmp_path / "lock", lambda: None):
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]


def test_a_lock_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", lambda: None):
        pass
    assert list(tmp_path.iterdir()) == []


COUNT_UP = """
import pathlib, sys
from clusterlib.files import locked
folder = pathlib.Path(sys.argv[1])
for _ in range(200):
    with locked(folder / "lock", lambda: None):
        value = int((folder / "count").read_text())
        (folder / "count").write_text(str(value + 1))
"""


def test_many_processes_never_hold_a_lock_together(tmp_path: Path) -> None:
    # Each release deletes the file under those who wait for it: the case that is easily got wrong.
    (tmp_path / "count").write_text("0")
    environment = os.environ | {"PYTHONPATH": str(MODULE_DIR.parent)}
    command = [sys.executable, "-c", COUNT_UP, str(tmp_path)]
    workers = [subprocess.Popen(command, env=environment) for _ in range(4)]
    assert [worker.wait(30) for worker in workers] == [0, 0, 0, 0]
    assert (tmp_path / "count").read_text() == "800"
