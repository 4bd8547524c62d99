"""The programs that the demo runs beside those of this tree and of the cluster."""

import os
import shutil
import subprocess
from collections.abc import Callable

from demolib.console import Console
from demolib.errors import ToolMissingError

TOOLS = ("bash", "curl", "openssl")


def ensure_tools(console: Console, which: Callable[[str], str | None] = shutil.which) -> None:
    """Have bash, curl and openssl; where they are missing, root on Debian installs them.

    Raises:
        ToolMissingError: One is missing and could not be installed.
    """
    missing = [tool for tool in TOOLS if which(tool) is None]
    if not missing:
        return
    names = " ".join(missing)
    if os.geteuid() != 0 or which("apt-get") is None:
        raise ToolMissingError(f"the demo runs {names}, not found on the PATH: install {names} and run it again")
    _install(console, missing)
    still = [tool for tool in missing if which(tool) is None]
    if still:
        raise ToolMissingError(f"apt-get did not bring {' '.join(still)}: install {' '.join(still)} by hand")


def _install(console: Console, packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-q"],
        ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages],
    ):
        console.command(" ".join(command), f"{' '.join(packages)}: missing, and this is Debian and root")
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            console.output(done.stdout)
            raise ToolMissingError(f"`{' '.join(command)}` ended with {done.returncode}: install {' '.join(packages)}")
