"""What the launcher's tests share: a place of their own for state, programs that only pretend, a look at processes."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterlib.cluster import Cluster
from clusterlib.components import Plan
from clusterlib.embedded import Embedded
from clusterlib.errors import RecordError
from clusterlib.node import machine
from clusterlib.options import Options
from clusterlib.paths import ClusterDir, recorded_clusters
from clusterlib.progress import Silent
from clusterlib.record import Node

type MakeProgram = Callable[[str, str], Path]


@pytest.fixture
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty place for clusters; whatever a failed test leaves running there is stopped."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("MINTLS_CLUSTER_PROVIDER", raising=False)
    yield tmp_path / "state"
    for folder in recorded_clusters():
        with contextlib.suppress(RecordError):
            Embedded(Silent()).down(folder.name)


@pytest.fixture
def folder(state_home: Path) -> ClusterDir:  # noqa: ARG001 - the folder lies in it
    made = ClusterDir.of("here")
    made.root.mkdir(parents=True)
    return made


@pytest.fixture
def program(tmp_path: Path) -> MakeProgram:
    """Makes a shell script called *name* in ``tmp_path/bin``."""

    def make(name: str, script: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def programs_only_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the scripts of ``program``, and what they are made of, are on the PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("basename", "cat", "cp", "env", "mkdir", "sh", "sleep", "touch"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), str(tools)]))


@pytest.fixture
def a_cluster(tmp_path: Path) -> Cluster:
    return Cluster("here", "embedded", tmp_path / "kubeconfig", tmp_path / "bin" / "kubectl")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Of a cluster with a node."""
    parts = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns")
    ports = {name: number for number, name in enumerate(parts, start=1)}
    node = Node("198.18.0.6", "198.18.0.5", str(tmp_path / "programs"))
    return Plan(ClusterDir(tmp_path / "here"), ports, Options(node=True), str(tmp_path / "bin"), node)


@pytest.fixture(scope="module")
def node_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this module's clusters live; skips where no node can be had."""
    if reason := machine.unfit():
        pytest.skip(reason)
    return tmp_path_factory.mktemp("state")


def embedded_environment(home: Path) -> dict[str, str]:
    """For a command that is to keep its clusters in *home*."""
    kept = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "MINTLS_CLUSTER_PROVIDER")}
    return kept | {"XDG_STATE_HOME": str(home), "MINTLS_CLUSTER_PROVIDER": "embedded"}


def processes_naming(text: str) -> list[str]:
    """The command lines, of whatever process of this machine, that have *text* in them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if text in line]
