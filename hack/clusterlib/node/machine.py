"""What a node needs of the machine: Linux, root, and a handful of Debian's packages."""

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from clusterlib.errors import BadRequestError, ToolMissingError
from clusterlib.files import locked
from clusterlib.paths import cache_root
from clusterlib.progress import Progress

PROGRAMS: Mapping[str, str] = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
"""Program to Debian package."""

CNI_PLUGINS = ("ptp", "portmap", "host-local", "loopback")
CNI_PACKAGE = "containernetworking-plugins"
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
"""Debian's, and where the plugins' own releases are unpacked."""

_SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def search_path() -> str:
    """PATH with the folders of system programs, which a user's own often lacks."""
    given = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*filter(None, given), *_SYSTEM_FOLDERS]))


def program(name: str) -> str:
    """The path of one of ``PROGRAMS``; raises ToolMissingError."""
    found = shutil.which(name, path=search_path())
    if found is None:
        raise ToolMissingError(f"{name} is not installed (Debian's package {PROGRAMS.get(name, name)}).")
    return found


def cni_folder() -> Path | None:
    """The folder that holds all of the CNI plugins; None where there is none."""
    complete = (folder for folder in CNI_FOLDERS if all((folder / plugin).is_file() for plugin in CNI_PLUGINS))
    return next(complete, None)


def unfit() -> str:
    """Why this machine, or this user of it, cannot have a node, whatever gets installed; empty where it can."""
    if platform.system() != "Linux":
        return f"a node needs Linux, and this is {platform.system()}"
    if os.geteuid() != 0:
        return f"a node needs root (network namespaces, mounts, cgroups), and this is uid {os.geteuid()}"
    return ""


def missing() -> dict[str, str]:
    """What is not installed yet: name to Debian package."""
    absent = {name: package for name, package in PROGRAMS.items() if not shutil.which(name, path=search_path())}
    return absent if cni_folder() else absent | {f"CNI plugins ({', '.join(CNI_PLUGINS)})": CNI_PACKAGE}


def ensure(progress: Progress) -> None:
    """Have everything installed, by apt-get on Debian; raises BadRequestError, ToolMissingError."""
    if reason := unfit():
        raise BadRequestError(f"{reason}. Without --node the cluster has an API and no pods; kind has a node as well.")
    lock = cache_root() / "packages.lock"
    with locked(lock, lambda: progress.say("another process installs packages; waiting for it")):
        absent = missing()
        if not absent:
            return
        packages = sorted(set(absent.values()))
        if shutil.which("apt-get") is None:
            raise ToolMissingError(
                f"a node needs what is not installed here: {', '.join(absent)}. Install it (Debian's packages: "
                f"{' '.join(packages)}), or use --provider kind."
            )
        progress.say(f"installing {', '.join(packages)} with apt-get, this once")
        _install(packages)
    if still := missing():
        raise ToolMissingError(f"after installing {' '.join(packages)} there is still no {', '.join(still)}.")


def _install(packages: list[str]) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "PATH": search_path()}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            # Another apt-get is waited for: an unattended upgrade, or the same command in another place.
            ["apt-get", "--quiet", "--option=DPkg::Lock::Timeout=300", *command],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode:
            raise ToolMissingError(
                f"`apt-get {' '.join(command)}` ended with status {done.returncode}:\n{done.stderr.strip()[-2000:]}\n"
                f"Install {' '.join(packages)} yourself, then run it again."
            )
