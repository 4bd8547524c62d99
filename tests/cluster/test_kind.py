"""The kind provider against programs that only pretend: no container engine is needed."""

from pathlib import Path

import pytest

from clusterlib import record
from clusterlib.cluster import State
from clusterlib.errors import BadRequestError, NotRunningError, StartError, ToolMissingError
from clusterlib.kind import Kind, engine
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.progress import Silent

from .conftest import MakeProgram

pytestmark = pytest.mark.usefixtures("state_home", "programs_only_from")

KIND = """
echo "$KIND_EXPERIMENTAL_PROVIDER $@" >> {home}/calls
case "$1 $2" in
"create cluster") echo "$4" >> {home}/clusters; echo kubeconfig > "$6";;
"delete cluster") : > {home}/clusters;;
"get clusters") cat {home}/clusters 2>/dev/null;;
esac
"""
KUBECTL = """echo '{"serverVersion": {"gitVersion": "v1.34.0"}}'"""


@pytest.fixture
def calls(program: MakeProgram, tmp_path: Path) -> Path:
    """What kind was asked, on a machine where everything is there."""
    program("docker", "exit 0")
    program("kind", KIND.format(home=tmp_path))
    program("kubectl", KUBECTL)
    return tmp_path / "calls"


def test_up_creates_the_cluster_under_a_name_of_ours(calls: Path) -> None:
    brought = Kind(Silent()).up("here", Options(), owned=False)
    assert brought.fresh
    assert brought.version == "v1.34.0"
    assert brought.cluster.kubeconfig.read_text() == "kubeconfig\n"
    assert "create cluster --name mintls-here" in calls.read_text()


@pytest.mark.usefixtures("calls")
def test_a_second_up_does_nothing() -> None:
    Kind(Silent()).up("here", Options(), owned=False)
    assert not Kind(Silent()).up("here", Options(), owned=False).fresh
    assert Kind(Silent()).status("here").state is State.RUNNING


def test_down_deletes_it_and_every_trace(calls: Path) -> None:
    Kind(Silent()).up("here", Options(), owned=False)
    assert Kind(Silent()).down("here")
    assert "delete cluster --name mintls-here" in calls.read_text()
    assert not ClusterDir.of("here").root.exists()
    assert Kind(Silent()).status("here").state is State.ABSENT


def test_down_of_a_cluster_that_is_not_ours_runs_nothing(calls: Path) -> None:
    assert not Kind(Silent()).down("here")
    assert not calls.exists()


def test_a_cluster_deleted_by_hand_is_stopped_and_made_anew(calls: Path, tmp_path: Path) -> None:
    Kind(Silent()).up("here", Options(), owned=False)
    (tmp_path / "clusters").write_text("")
    assert Kind(Silent()).status("here").state is State.STOPPED
    assert Kind(Silent()).up("here", Options(), owned=False).fresh
    assert calls.read_text().count("create cluster") == 2


def test_a_failed_create_shows_why_and_leaves_nothing(program: MakeProgram, calls: Path) -> None:
    program("kind", f'echo "$@" >> {calls}; [ "$1" != create ] || {{ echo no space left >&2; exit 1; }}')
    with pytest.raises(StartError, match=r"(?s)`kind create cluster` ended with status 1.*no space left"):
        Kind(Silent()).up("here", Options(), owned=False)
    assert "delete cluster --name mintls-here" in calls.read_text()
    assert not ClusterDir.of("here").root.exists()


@pytest.mark.usefixtures("calls")
def test_a_sessions_cluster_has_an_owner() -> None:
    Kind(Silent()).up("here", Options(), owned=True)
    known = record.load(ClusterDir.of("here"))
    assert known is not None
    assert known.owner is not None


def test_podman_serves_where_docker_does_not_answer(program: MakeProgram, calls: Path) -> None:
    program("docker", "echo is the daemon running >&2; exit 1")
    program("podman", "exit 0")
    assert engine() == "podman"
    Kind(Silent()).up("here", Options(), owned=False)
    assert "podman create cluster" in calls.read_text()


def test_a_client_without_an_engine_is_no_engine(program: MakeProgram) -> None:
    program("docker", "exit 1")
    assert engine() is None


@pytest.mark.parametrize("missing", ["kind", "kubectl", "docker"])
def test_a_missing_tool_is_named(missing: str, calls: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / missing).unlink()
    with pytest.raises(ToolMissingError, match=missing):
        Kind(Silent()).up("here", Options(), owned=False)
    assert not calls.exists()


@pytest.mark.usefixtures("calls")
def test_options_of_the_embedded_provider_are_refused() -> None:
    with pytest.raises(BadRequestError, match="only --provider embedded"):
        Kind(Silent()).up("here", Options(audit_log=True), owned=False)


def test_there_is_nothing_to_find_before_up() -> None:
    with pytest.raises(NotRunningError, match="hack/cluster up --name here"):
        Kind(Silent()).find("here")
