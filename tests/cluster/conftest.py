"""What the launcher's tests share: a place of their own for state, programs that only pretend, a look at processes."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clusterlib.cluster import Cluster
from clusterlib.embedded import Embedded
from clusterlib.errors import RecordError
from clusterlib.paths import ClusterDir, recorded_clusters
from clusterlib.progress import Silent

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


def processes_naming(text: str) -> list[str]:
    """The command lines, of whatever process of this machine, that have *text* in them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return [line for line in lines if text in line]
