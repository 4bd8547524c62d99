import os
from pathlib import Path

import pytest

from clusterlib import processes, record
from clusterlib.paths import ClusterDir
from clusterlib.progress import Silent
from clusterlib.record import Owner, Record
from clusterlib.session import remove_abandoned, running_cluster, unique_name

from .conftest import MakeProgram

ANSWERS = """echo '{"serverVersion": {"gitVersion": "v1.33.0"}}'"""


def test_two_names_differ() -> None:
    assert unique_name() != unique_name()


def test_a_name_is_one_that_a_cluster_can_have() -> None:
    ClusterDir.of(unique_name())


def test_a_cluster_whose_owner_is_gone_is_removed(folder: ClusterDir) -> None:
    record.save(folder, Record("here", "embedded", owner=Owner(os.getpid(), "another time")))
    assert remove_abandoned(Silent()) == ["here"]
    assert not folder.root.exists()


def test_a_cluster_whose_owner_lives_is_left(folder: ClusterDir) -> None:
    owner = Owner(os.getpid(), processes.started_at(os.getpid()))
    record.save(folder, Record("here", "embedded", owner=owner))
    assert remove_abandoned(Silent()) == []
    assert folder.root.exists()


def test_a_cluster_that_a_person_brought_up_is_left(folder: ClusterDir) -> None:
    record.save(folder, Record("here", "embedded"))
    assert remove_abandoned(Silent()) == []


def test_a_damaged_record_does_not_stop_the_others_removal(folder: ClusterDir) -> None:
    record.save(folder, Record("here", "embedded", owner=Owner(os.getpid(), "another time")))
    broken = ClusterDir.of("a-broken-one")
    broken.root.mkdir()
    broken.record.write_text("{")
    assert remove_abandoned(Silent()) == ["here"]


@pytest.mark.usefixtures("state_home", "programs_only_from")
def test_an_existing_cluster_is_used_when_it_is_asked_for(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("kubectl", ANSWERS)
    (tmp_path / "theirs").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "theirs"))
    monkeypatch.setenv("MINTLS_CLUSTER_PROVIDER", "existing")
    with running_cluster() as cluster:
        assert cluster.provider == "existing"
        assert cluster.kubeconfig == tmp_path / "theirs"
        assert cluster.audit_log is None
    assert (tmp_path / "theirs").exists()


@pytest.mark.usefixtures("state_home", "programs_only_from")
def test_a_kubeconfig_that_happens_to_be_set_is_not_touched(
    program: MakeProgram, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("docker", "exit 0")
    program("kind", 'case "$1 $2" in "create cluster") echo made > "$6";; "get clusters") :;; esac')
    program("kubectl", ANSWERS)
    (tmp_path / "theirs").touch()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "theirs"))
    with running_cluster() as cluster:
        assert cluster.provider == "kind"
        assert cluster.kubeconfig != tmp_path / "theirs"
    assert not cluster.kubeconfig.exists()
