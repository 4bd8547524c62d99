import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from clusterlib.session import unique_name

ROOT = Path(__file__).resolve().parents[2]
# A machine that runs a whole test suite is slower than one that runs a demo.
PATIENT = ("--token-within", "60")


@dataclass(frozen=True)
class KeptDemo:
    """A demo that was shown and goes on running."""

    transcript: str
    name: str
    folder: Path
    environment: dict[str, str]

    def bash(self, script: str, *, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a script as a person would, after sourcing ``env``."""
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", f". {self.folder}/env\n{script}"],
            cwd=cwd,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )


def demo_command(command: str, name: str, folder: Path, *more: str) -> list[str]:
    return [str(ROOT / "hack" / "demo"), command, "--name", name, "--folder", str(folder), *more]


def clean_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in {"KUBECONFIG", "PYTHONPATH"}}


@pytest.fixture(scope="session")
def _own_cluster() -> None:
    if os.environ.get("MINTLS_CLUSTER_PROVIDER") == "existing":
        pytest.skip("the demo wants a cluster without Mintls, and the given one is the other tests'")


@pytest.fixture(scope="session")
def kept_demo(tmp_path_factory: pytest.TempPathFactory, _own_cluster: None) -> Iterator[KeptDemo]:
    folder, name, environment = tmp_path_factory.mktemp("demo") / ".demo", unique_name("demo"), clean_environment()
    try:
        shown = subprocess.run(
            demo_command("up", name, folder, "--keep", *PATIENT),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )
        assert shown.returncode == 0, shown.stdout
        yield KeptDemo(shown.stdout, name, folder, environment)
    finally:
        subprocess.run(demo_command("down", name, folder), env=environment, capture_output=True, check=True)
