import io
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterlib import cli, record
from clusterlib.cli import duration, main
from clusterlib.cluster import Cluster
from clusterlib.errors import KubectlError
from clusterlib.paths import MODULE_DIR, ClusterDir
from clusterlib.processes import started_at
from clusterlib.progress import Progress
from clusterlib.record import Owner, Record

pytestmark = pytest.mark.usefixtures("state_home")


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """The command takes over signals; pytest gets them back."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_way_of_being_told_to_stop_ends_with_that_signals_status(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "ensure_binaries", lambda _: os.kill(os.getpid(), number))
    assert main(["build"]) == 128 + number
    assert capsys.readouterr().err == "hack/cluster: interrupted; what had been started is stopped\n"


def test_the_entry_is_executable() -> None:
    assert (MODULE_DIR.parent / "cluster").stat().st_mode & stat.S_IXUSR


def test_status_of_nothing_is_absent(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--provider", "embedded"]) == 3
    assert capsys.readouterr().out == "cluster default: absent (embedded)\n"


def test_status_of_a_crashed_one_says_how_to_heal_it(folder: ClusterDir, capsys: pytest.CaptureFixture[str]) -> None:
    record.save(folder, Record("here", "embedded", ready=True, kubernetes="v1.35.4", pids={"etcd": 4194305}))
    assert main(["status", "--name", "here"]) == 3
    written = capsys.readouterr().out
    assert "cluster here: stopped (embedded, Kubernetes v1.35.4)" in written
    assert "`hack/cluster up --name here` starts it again" in written


def test_an_error_is_one_text_and_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kubeconfig", "--name", "here", "--provider", "embedded"]) == 1
    written = capsys.readouterr()
    assert written.err == "hack/cluster: cluster here is not up: run `hack/cluster up --name here`.\n"
    assert written.out == ""


def test_kubeconfig_is_a_path_or_its_content(folder: ClusterDir, capsys: pytest.CaptureFixture[str]) -> None:
    record.save(folder, Record("here", "embedded", ready=True))
    folder.kubeconfig.write_text("kind: Config\n")
    main(["kubeconfig", "--name", "here"])
    assert capsys.readouterr().out == f"{folder.kubeconfig}\n"
    main(["kubeconfig", "--name", "here", "--raw"])
    assert capsys.readouterr().out == "kind: Config\n"


def test_kubectl_path_is_the_one_that_was_built(folder: ClusterDir, capsys: pytest.CaptureFixture[str]) -> None:
    record.save(folder, Record("here", "embedded", ready=True, binaries="/built"))
    main(["kubectl-path", "--name", "here"])
    assert capsys.readouterr().out == "/built/kubectl\n"


def test_down_of_all_takes_each_by_what_it_was_made_with(folder: ClusterDir, monkeypatch: pytest.MonkeyPatch) -> None:
    record.save(folder, Record("here", "embedded"))
    monkeypatch.setenv("MINTLS_CLUSTER_PROVIDER", "existing")
    assert main(["down", "--all"]) == 0
    assert not folder.root.exists()


def test_down_of_all_leaves_the_cluster_of_a_running_test_session(
    folder: ClusterDir, capsys: pytest.CaptureFixture[str]
) -> None:
    record.save(folder, Record("here", "embedded", owner=Owner(os.getpid(), started_at(os.getpid()))))
    assert main(["down", "--all"]) == 0
    assert f"process {os.getpid()} works with it" in capsys.readouterr().err
    assert folder.root.exists()
    assert main(["down", "--name", "here"]) == 0
    assert not folder.root.exists()


def test_one_damaged_record_does_not_keep_all_from_going_down(
    folder: ClusterDir, capsys: pytest.CaptureFixture[str]
) -> None:
    record.save(folder, Record("here", "embedded"))
    broken = ClusterDir.of("a-broken-one")
    broken.root.mkdir()
    broken.record.write_text("{")
    assert main(["down", "--all"]) == 1
    assert "a-broken-one" in capsys.readouterr().err
    assert not folder.root.exists()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3661, "1 h 1 min"), (90000, "1 d 1 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_kubectl_that_fails_says_what_it_wrote(tmp_path: Path) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "no such thing ($KUBECONFIG)" >&2\nexit 1\n')
    kubectl.chmod(0o755)
    with pytest.raises(
        KubectlError, match=r"`kubectl get x` on cluster here ended with status 1: no such thing \(/k\)"
    ):
        Cluster("here", "embedded", Path("/k"), kubectl).kubectl("get", "x")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_step_is_overwritten_by_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusterlib.progress._TERMINAL_INTERVAL", 0.0)
    stream = Terminal()
    progress = Progress(stream)
    progress.step("123")
    progress.step("4")
    progress.say("done")
    assert stream.getvalue() == "\r123\r4  \r \rdone\n"


def test_in_a_log_steps_are_rare() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.say("building")
    progress.step("1 s")
    assert stream.getvalue() == "building\n"
