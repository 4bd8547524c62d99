from pathlib import Path

import pytest

from clusterlib import existing
from clusterlib.cluster import State
from clusterlib.errors import BadRequestError, NotRunningError, ToolMissingError
from clusterlib.existing import Existing
from clusterlib.options import Options
from clusterlib.progress import Silent

from .conftest import MakeProgram

ANSWERS = """echo "$@" >> {calls}; echo '{{"serverVersion": {{"gitVersion": "v1.33.0"}}}}'"""

pytestmark = pytest.mark.usefixtures("state_home", "programs_only_from")


@pytest.fixture
def kubeconfig(state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert not state_home.exists()
    path = tmp_path / "theirs"
    path.write_text("theirs")
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.fixture
def calls(program: MakeProgram, tmp_path: Path) -> Path:
    """What a kubectl whose API server answers was asked."""
    program("kubectl", ANSWERS.format(calls=tmp_path / "calls"))
    return tmp_path / "calls"


def test_up_asks_the_server_and_changes_nothing(kubeconfig: Path, calls: Path) -> None:
    brought = Existing(Silent()).up("here", Options(), owned=False)
    assert brought.cluster.kubeconfig == kubeconfig
    assert brought.version == "v1.33.0"
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["version"]


def test_down_runs_nothing_and_deletes_nothing(kubeconfig: Path, calls: Path) -> None:
    assert not Existing(Silent()).down("here")
    assert kubeconfig.read_text() == "theirs"
    assert not calls.exists()


@pytest.mark.usefixtures("kubeconfig", "calls")
def test_status_of_one_that_answers() -> None:
    assert Existing(Silent()).status("here").state is State.RUNNING


@pytest.mark.usefixtures("kubeconfig")
def test_status_of_one_that_does_not(program: MakeProgram) -> None:
    program("kubectl", "echo connection refused >&2; exit 1")
    assert Existing(Silent()).status("here").state is State.STOPPED


@pytest.mark.usefixtures("kubeconfig")
def test_up_of_one_that_does_not_answer_gives_up(program: MakeProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    program("kubectl", "exit 1")
    monkeypatch.setattr(existing, "_PATIENCE", 0.0)
    with pytest.raises(NotRunningError, match="no Kubernetes API answers"):
        Existing(Silent()).up("here", Options(), owned=False)


@pytest.mark.usefixtures("kubeconfig", "calls")
def test_flags_of_a_foreign_server_cannot_be_set() -> None:
    with pytest.raises(BadRequestError, match="--audit-log"):
        Existing(Silent()).up("here", Options(audit_log=True), owned=False)


@pytest.mark.usefixtures("kubeconfig")
def test_kubectl_is_needed() -> None:
    with pytest.raises(ToolMissingError, match="kubectl"):
        Existing(Silent()).find("here")


@pytest.mark.usefixtures("calls")
@pytest.mark.parametrize("value", ["", "/one:/two", "/nonexistent/kubeconfig"])
def test_anything_but_one_file_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Above all: an empty KUBECONFIG must not mean ~/.kube/config.
    monkeypatch.setenv("KUBECONFIG", value)
    with pytest.raises(BadRequestError, match="KUBECONFIG"):
        Existing(Silent()).find("here")
