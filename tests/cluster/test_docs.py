"""What docs/cluster.md shows is what the commands print."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from clusterlib import build
from clusterlib.paths import MODULE_DIR
from clusterlib.progress import Silent

from .conftest import MakeProgram

pytestmark = pytest.mark.cluster

ROOT = MODULE_DIR.parent.parent
DOCUMENT = ROOT / "docs" / "cluster.md"


def without_what_varies(text: str, state: Path | str) -> str:
    """Numbers and widths differ from run to run, and the state folder from machine to machine."""
    placed = text.replace(str(state), "STATE").replace(f"{Path.home()}/.local/state", "STATE")
    placed = placed.replace("/home/you/.local/state", "STATE")
    return re.sub(r"[ \t]+", " ", re.sub(r"\d+", "N", placed)).strip()


def test_the_session_in_the_document_goes_as_it_says(
    tmp_path: Path, program: MakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.ensure_binaries(Silent())
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MINTLS_CLUSTER_PROVIDER", "auto")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    # A machine with a container engine would choose kind: hide the engine, not the rest of the PATH.
    for engine in ("docker", "podman"):
        program(engine, "exit 1")
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]))
    shown = re.findall(r"```console\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    commands = re.findall(r"^\$ (.*)$", shown, re.MULTILINE)
    # The shell repeats each command before its output, as the document does.
    script = "\n".join(f"echo {shell_quoted('$ ' + command)}\n{command}" for command in commands)
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert without_what_varies(done.stdout, tmp_path) == without_what_varies(shown, tmp_path)


def shell_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
