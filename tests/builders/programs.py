"""Clients in other languages (tests/witnesses): installed once from their registries, and run."""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from builders.processes import output
from builders.world import REPOSITORY
from clusterlib.build import Order, cache_key, ensure_built, module_files
from clusterlib.files import locked
from clusterlib.golang import find_go
from clusterlib.paths import cache_root
from clusterlib.progress import Progress

WITNESSES = REPOSITORY / "tests" / "witnesses"

type Command = Callable[[], list[str]]
"""How a client is started, installed if need be; skips the test where what it runs on is missing."""


async def run(command: list[str], directory: Path, audience: str, *more: str) -> dict[str, Any]:
    """What a client saw, which has the files of a Secret in a directory."""
    ended = await output([*command, str(directory), audience, *more], stderr=subprocess.PIPE)
    assert ended.returncode == 0, ended.stderr.decode()
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


def shell() -> list[str]:
    """curl and openssl."""
    return [str(WITNESSES / "shell" / "client.sh")]


def authlib() -> list[str]:
    """Authlib with requests, of the environment that the tests run in."""
    return [sys.executable, str(WITNESSES / "python" / "client.py")]


def openid_client() -> list[str]:
    """openid-client and jose, on node."""
    node, npm = _required("node", "npm")
    source = WITNESSES / "node"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"openid-client needs node 20 or newer, and this is {version}")
    files = [source / name for name in ("package.json", "package-lock.json")]
    with _installing("witness-node", version, *files) as folder:
        if folder is not None:
            for path in files:
                shutil.copy(path, folder)
            _install([npm, "ci", "--no-audit", "--no-fund"], folder)
    # A module is looked for from where the program is.
    client = _folder("witness-node", version, *files) / "client.mjs"
    shutil.copy(source / "client.mjs", client)
    return [node, str(client)]


def golang() -> list[str]:
    """golang.org/x/oauth2, go-oidc and go-jose."""
    module = WITNESSES / "go"
    go = find_go(Progress())
    machine = f"{platform.system()}/{platform.machine()}"
    sources = [*module_files(module), (module / "main.go").read_bytes()]
    target = cache_root() / "witness-go" / cache_key(sources, go.version, machine) / "client"
    ensure_built([Order(target, module, ".", "-s -w")], go, "half a minute", Progress())
    return [str(target)]


def nimbus() -> list[str]:
    """Nimbus' SDKs, on a JDK: the program is run from its source."""
    java, mvn, _compiler = _required("java", "mvn", "javac")
    source = WITNESSES / "java"
    files = [source / name for name in ("pom.xml", "jars.sha256")]
    with _installing("witness-java", "", *files) as folder:
        if folder is not None:
            copy = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
            _install([mvn, "-q", "-B", "-f", str(source / "pom.xml"), *copy], folder)
            _check_jars(folder, source / "jars.sha256")
    jars = _folder("witness-java", "", *files)
    return [java, "-cp", f"{jars}/*", str(source / "Client.java")]


def _required(*programs: str) -> list[str]:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found on the PATH: install it to have this client witness")
    return [str(shutil.which(program)) for program in programs]


def _folder(name: str, version: str, *files: Path) -> Path:
    digest = hashlib.sha256(version.encode() + b"".join(path.read_bytes() for path in files)).hexdigest()
    return cache_root() / name / digest[:16]


@contextmanager
def _installing(name: str, version: str, *files: Path) -> Iterator[Path | None]:
    """A folder to install into, which then appears whole; ``None`` if it is there. One process does it."""
    target = _folder(name, version, *files)
    with locked(target.with_name(f"{target.name}.lock"), lambda: None):
        if target.is_dir():
            yield None
            return
        half_done = target.with_name(f"{target.name}.new")
        shutil.rmtree(half_done, ignore_errors=True)
        half_done.mkdir(parents=True)
        yield half_done
        half_done.rename(target)


def _install(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)} failed: {done.stdout}{done.stderr}"


def _check_jars(folder: Path, sums: Path) -> None:
    """Exactly the files that are pinned: Maven has no lock file of its own."""
    expected = dict(reversed(line.split()) for line in sums.read_text().splitlines())
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    assert found == expected, f"{sums} pins other files than Maven brings"
