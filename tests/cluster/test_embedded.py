"""The embedded provider as people use it: the command, real servers, kubectl.

The first run on a machine builds the servers; from then on this file takes about half a minute.
"""

import functools
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.waiting import poll
from clusterlib import build, embedded, record
from clusterlib.embedded import Embedded
from clusterlib.errors import StartError
from clusterlib.options import Options
from clusterlib.paths import MODULE_DIR, ClusterDir
from clusterlib.progress import Silent

from .conftest import processes_naming

pytestmark = pytest.mark.cluster

COMMAND = MODULE_DIR.parent / "cluster"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this module's clusters live; whatever a failed test leaves there is stopped."""
    build.ensure_binaries(Silent())
    path = tmp_path_factory.mktemp("state")
    yield path
    run(path, "down", "--all")


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run hack/cluster to its end."""
    return subprocess.run([COMMAND, *arguments], env=environment(home), capture_output=True, text=True, check=False)


def environment(home: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "MINTLS_CLUSTER_PROVIDER")}
    return kept | {"XDG_STATE_HOME": str(home), "MINTLS_CLUSTER_PROVIDER": "embedded"}


@functools.cache
def printed(home: Path, *arguments: str) -> str:
    """What a command prints; it prints the same as long as the cluster lives, and heals."""
    return run(home, *arguments).stdout.strip()


def kubectl(home: Path, name: str, *arguments: str, stdin: str = "", status: int = 0) -> str:
    """What kubectl says to a cluster, through nothing but what the command prints."""
    program = printed(home, "kubectl-path", "--name", name)
    kubeconfig = printed(home, "kubeconfig", "--name", name)
    done = subprocess.run(
        [program, f"--kubeconfig={kubeconfig}", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def two(home: Path) -> Path:
    """Clusters ``one`` (with an audit log) and ``two``, brought up at the same time."""
    commands = (["up", "--name", "one", "--audit-log"], ["up", "--name", "two"])
    both = [
        subprocess.Popen([COMMAND, *command], env=environment(home), stdout=subprocess.PIPE, text=True)
        for command in commands
    ]
    for process in both:
        written, _ = process.communicate(timeout=120)
        assert process.returncode == 0, written
    return home


def test_two_clusters_run_side_by_side(two: Path) -> None:
    kubectl(two, "one", "create", "namespace", "only-in-one")
    assert "only-in-one" in kubectl(two, "one", "get", "namespaces")
    assert "only-in-one" not in kubectl(two, "two", "get", "namespaces")


def test_a_service_accounts_token_is_known_and_may_nothing(two: Path) -> None:
    token = kubectl(two, "two", "create", "token", "default")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    answer = kubectl(two, "two", "create", "--output=json", "--filename=-", stdin=json.dumps(review))
    account = "system:serviceaccount:default:default"
    assert json.loads(answer)["status"]["user"]["username"] == account
    assert kubectl(two, "two", "auth", "can-i", "list", "secrets", f"--as={account}", status=1) == "no"


def test_what_is_owned_goes_with_its_owner(two: Path) -> None:
    kubectl(two, "two", "create", "configmap", "owner")
    uid = kubectl(two, "two", "get", "configmap", "owner", "--output=jsonpath={.metadata.uid}")
    owned = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "owned",
            "ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}],
        },
    }
    kubectl(two, "two", "apply", "--filename=-", stdin=json.dumps(owned))
    kubectl(two, "two", "delete", "configmap", "owner")
    kubectl(two, "two", "wait", "--for=delete", "configmap/owned", "--timeout=20s")


def test_a_namespace_can_be_deleted(two: Path) -> None:
    kubectl(two, "two", "create", "namespace", "passing")
    kubectl(two, "two", "delete", "namespace", "passing", "--timeout=20s")


def test_the_audit_log_has_each_write_once(two: Path) -> None:
    kubectl(two, "one", "create", "configmap", "counted")
    status = run(two, "status", "--name", "one").stdout
    found = re.search(r"audit log +(\S+)", status)
    assert found
    events = [json.loads(line) for line in Path(found[1]).read_text().splitlines()]
    writes = [event for event in events if event["verb"] == "create" and "counted" in str(event.get("objectRef"))]
    assert len(writes) == 1
    assert "audit log" not in run(two, "status", "--name", "two").stdout


def test_up_of_one_that_runs_does_nothing(two: Path) -> None:
    before = (two / "mintls/clusters/two/cluster.json").read_text()
    again = run(two, "up", "--name", "two")
    assert again.returncode == 0
    assert "runs already; nothing to do" in again.stderr
    assert (two / "mintls/clusters/two/cluster.json").read_text() == before


def test_other_options_than_the_running_one_has_are_refused(two: Path) -> None:
    again = run(two, "up", "--name", "two", "--audit-log")
    assert again.returncode == 1
    assert "runs already, with other options" in again.stderr


def test_a_killed_etcd_is_reported_and_healed_and_nothing_is_left_after_down(two: Path) -> None:
    folder = two / "mintls/clusters/one"
    known = record.load(ClusterDir(folder))
    assert known is not None
    os.kill(known.pids["etcd"], signal.SIGKILL)
    poll(lambda: not processes_naming(f"{folder}/etcd"))

    broken = run(two, "status", "--name", "one")
    assert broken.returncode == 3
    assert "cluster one: damaged" in broken.stdout
    assert re.search(r"etcd +gone", broken.stdout)
    assert "`hack/cluster up --name one` starts it again with its data" in broken.stdout

    healed = run(two, "up", "--name", "one")
    assert healed.returncode == 0, healed.stderr
    assert run(two, "status", "--name", "one").returncode == 0
    assert "only-in-one" in kubectl(two, "one", "get", "namespaces")
    after = record.load(ClusterDir(folder))
    assert after is not None
    assert after.ports == known.ports
    assert after.options == known.options

    assert run(two, "down", "--name", "one").returncode == 0
    assert processes_naming(f"{folder}/") == []
    assert not folder.exists()
    assert run(two, "status", "--name", "two").returncode == 0


def test_a_flag_that_does_not_exist_names_the_part_and_leaves_nothing_running(home: Path) -> None:
    failed = run(home, "up", "--name", "bad", "--apiserver-arg=--no-such-flag")
    assert failed.returncode == 1
    assert "kube-apiserver did not start: it ended with status 1" in failed.stderr
    assert "unknown flag: --no-such-flag" in failed.stderr
    assert "Check --apiserver-arg" in failed.stderr
    assert processes_naming(f"{home}/mintls/clusters/bad/") == []


def test_a_broken_binary_names_the_part_and_leaves_nothing_running(
    state_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = build.ensure_binaries(Silent())
    (tmp_path / "etcd").symlink_to(good.path("etcd"))
    (tmp_path / "kube-apiserver").write_bytes(good.path("kube-apiserver").read_bytes()[:4096])
    (tmp_path / "kube-apiserver").chmod(0o755)
    monkeypatch.setattr(
        embedded, "ensure_binaries", lambda *_, **__: build.Binaries(tmp_path, good.kubernetes, good.etcd)
    )
    with pytest.raises(StartError, match="kube-apiserver"):
        Embedded(Silent()).up("broken", Options(), owned=False)
    assert processes_naming(f"{state_home}/") == []


def test_ctrl_c_during_up_leaves_nothing(home: Path) -> None:
    folder = home / "mintls/clusters/interrupted"
    process = subprocess.Popen(
        [COMMAND, "up", "--name", "interrupted"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    poll(lambda: any("kube-apiserver" in line for line in processes_naming(f"{folder}/")), seconds=30)
    # As a terminal does it: to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    _, written = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    assert "interrupted; what had been started is stopped" in written
    assert processes_naming(f"{folder}/") == []
    assert not folder.exists()
