"""The image, as it lies in its archive."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Image:
    """What an image says and what it holds."""

    config: dict[str, Any]
    files: dict[str, tarfile.TarInfo]
    """By path without a slash at the start; of all layers, as they lie on each other."""


@pytest.fixture(scope="module")
def unpacked(image: Path) -> Image:
    with tarfile.open(image) as archive:
        [manifest] = json.load(_member(archive, "manifest.json"))
        files: dict[str, tarfile.TarInfo] = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=_member(archive, layer)) as tar:
                for path, entry in _entries(tar):
                    _lay(files, path, entry)
        return Image(json.load(_member(archive, manifest["Config"])), files)


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found
    return found


def _entries(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    for entry in tar:
        yield entry.name.removeprefix("./").strip("/"), entry


def _lay(files: dict[str, tarfile.TarInfo], path: str, entry: tarfile.TarInfo) -> None:
    # OCI image layer specification: a file .wh.NAME takes NAME away, with what is below.
    folder, _, name = path.rpartition("/")
    if not name.startswith(".wh."):
        files[path] = entry
        return
    gone = f"{folder}/{name.removeprefix('.wh.')}".strip("/")
    for other in [other for other in files if other == gone or other.startswith(f"{gone}/")]:
        del files[other]


def test_it_runs_as_nobody_in_particular(unpacked: Image) -> None:
    """The image runs as a number that is not root, and starts the program itself."""
    told = unpacked.config["config"]
    assert told["User"] == "65532:65532"
    assert told["Entrypoint"] == ["/opt/mintls/bin/mintls"]
    assert {name.removeprefix("org.opencontainers.image.") for name in told["Labels"]} >= {
        "title",
        "description",
        "licenses",
        "version",
        "revision",
    }


def test_nothing_in_it_builds_or_installs(unpacked: Image) -> None:
    """The image has no compiler, no pip and no file that makes its user another."""
    programs = {path.rpartition("/")[2] for path in unpacked.files if "/bin/" in f"/{path}"}
    assert programs, "an image without programs was not read at all"
    assert not programs & {"gcc", "cc", "clang", "ld", "make", "pip", "pip3", "uv", "git"}
    assert not [path for path in unpacked.files if "/site-packages/pip/" in path or "/ensurepip/" in path]
    assert not [path for path, entry in unpacked.files.items() if entry.isfile() and entry.mode & 0o6000]


def test_all_of_it_is_compiled(unpacked: Image) -> None:
    """Every module of the image has its bytecode beside it: a read-only root file system costs no start."""
    modules = {path for path in unpacked.files if path.startswith("opt/mintls/lib/") and path.endswith(".py")}
    assert len(modules) > 1000
    compiled = {path for path in unpacked.files if path.endswith(".cpython-313.pyc")}
    missing = [path for path in modules if _bytecode(path) not in compiled and not _is_no_module(path)]
    assert missing == []


def _bytecode(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-313.pyc"


def _is_no_module(path: str) -> bool:
    # Templates that are no Python until they are filled in.
    return "/templates/" in path
