"""hack/image, with an engine that only writes down what it is told."""

import os
import subprocess
from pathlib import Path

import pytest

from builders.world import REPOSITORY

ENGINE = """#!/bin/sh
cd {folder}
case "$*" in
info) exit {works} ;;
*Config.Labels*) cat label 2>/dev/null ;;
*Size*) echo sha256:1 42 ;;
"image inspect"*) exit 0 ;;
build*)
    echo "$*" >>builds
    for one in "$@"; do case $one in dev.mintls.image.input=*) echo "${{one#*=}}" >label ;; esac; done ;;
save*) while [ "$1" != --output ]; do shift; done; echo saved >>saves; echo archive >"$2" ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    folder = tmp_path / "engine"
    folder.mkdir()
    return working(folder)


def working(folder: Path, *, works: bool = True) -> Path:
    program = folder / "podman"
    program.write_text(ENGINE.format(folder=folder, works=0 if works else 1))
    program.chmod(0o755)
    return folder


@pytest.fixture
def dockerfile(tmp_path: Path) -> Path:
    context = tmp_path / "context"
    context.mkdir()
    file = context / "Dockerfile"
    file.write_text("FROM scratch\n")
    return file


def run(engine: Path, dockerfile: Path, builder: str = "podman", **more: str) -> subprocess.CompletedProcess[str]:
    own = {
        "PATH": f"{engine}:{os.environ['PATH']}",
        "BUILDER": builder,
        "FILE": str(dockerfile),
        "IMAGE": "mintls:test",
    }
    left_out = ("BASE_IMAGE", "BUILD_ARGS", "OUTPUT")
    environment = {key: value for key, value in os.environ.items() if key not in left_out} | own | more
    return subprocess.run([REPOSITORY / "hack" / "image"], env=environment, capture_output=True, text=True, check=False)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_what_is_built_already_is_not_built_again(engine: Path, dockerfile: Path) -> None:
    first, second = run(engine, dockerfile), run(engine, dockerfile)

    assert (first.returncode, first.stdout) == (0, "mintls:test 42\n"), first.stderr
    assert lines(engine / "builds") == 1
    assert (second.returncode, second.stdout) == (0, "mintls:test 42\n")
    assert "mintls:test is up to date" in second.stderr


@pytest.mark.parametrize("change", [{"BASE_IMAGE": "other"}, {"BUILD_ARGS": "--no-cache"}])
def test_another_base_or_argument_is_built(engine: Path, dockerfile: Path, change: dict[str, str]) -> None:
    run(engine, dockerfile)
    run(engine, dockerfile, **change)
    assert lines(engine / "builds") == 2


def test_a_changed_file_is_built(engine: Path, dockerfile: Path) -> None:
    run(engine, dockerfile)
    dockerfile.with_name("added").write_text("x")
    run(engine, dockerfile)
    dockerfile.write_text("FROM other\n")
    run(engine, dockerfile)
    assert lines(engine / "builds") == 3


def test_an_archive_is_written_once_per_image(engine: Path, dockerfile: Path, tmp_path: Path) -> None:
    target = tmp_path / "dist" / "mintls.tar"
    for _ in range(2):
        assert run(engine, dockerfile, OUTPUT=str(target)).returncode == 0
    assert target.read_text() == "archive\n"
    assert lines(engine / "saves") == 1

    target.unlink()
    run(engine, dockerfile, OUTPUT=str(target))
    assert target.exists()


def test_a_machine_where_nothing_builds_is_told_apart_from_a_build_that_fails(engine: Path, dockerfile: Path) -> None:
    working(engine, works=False)
    nothing = run(engine, dockerfile)
    assert (nothing.returncode, nothing.stderr) == (69, "image: podman does not work here\n")


def test_an_unknown_builder_is_answered_with_those_that_are_known(engine: Path, dockerfile: Path) -> None:
    refused = run(engine, dockerfile, builder="kaniko")
    assert refused.returncode == 1
    assert "BUILDER is kaniko: docker, podman and buildah are known" in refused.stderr
