"""Java's own programs as witnesses."""

import os
import shutil
import subprocess

import pytest


def keytool() -> str:
    """Path of ``keytool``; where it is missing, root on Debian installs it."""
    if shutil.which("keytool") is None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            pytest.fail("these tests run keytool: install a Java runtime, such as Debian's default-jre-headless")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "default-jre-headless"]):
            subprocess.run(["apt-get", "-q", *arguments], env=environment, check=True)
    return shutil.which("keytool") or pytest.fail("default-jre-headless brought no keytool")
