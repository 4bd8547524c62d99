"""Images as archives."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from clusterlib.errors import ImageError
from clusterlib.node import images
from clusterlib.node.engines import exported

from .conftest import MakeProgram


def test_an_archive_holds_the_program_and_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "waits").write_bytes(b"program")
    images.write_archive(tmp_path / "image.tar", "example.org/waits:1", tmp_path / "waits")
    with tarfile.open(tmp_path / "image.tar") as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    [image] = json.loads(files["manifest.json"])
    config, layer = files[image["Config"]], files[image["Layers"][0]]
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        [program] = tar.getmembers()
        assert (program.name, program.mode) == ("waits", 0o755)
    assert images.names(tmp_path / "image.tar") == ["example.org/waits:1"]


def test_the_same_program_makes_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "waits").write_bytes(b"program")
    images.write_archive(tmp_path / "one.tar", "waits:1", tmp_path / "waits")
    images.write_archive(tmp_path / "two.tar", "waits:1", tmp_path / "waits")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_what_is_no_archive_is_refused_with_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_text("no")
    with pytest.raises(ImageError, match=r"image\.tar is no image archive .*docker save"):
        images.names(tmp_path / "image.tar")


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "image.tar").touch()
    with exported(str(tmp_path / "image.tar")) as archive:
        assert archive == tmp_path / "image.tar"


def test_a_file_that_is_not_there_is_not_looked_for_in_an_engine(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"image\.tar is no file"), exported(str(tmp_path / "image.tar")):
        pass


@pytest.mark.usefixtures("programs_only_from")
class TestWithPretendedEngines:
    def test_an_image_comes_from_the_first_engine_that_has_it(self, program: MakeProgram) -> None:
        program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
        program("buildah", 'echo "$4" > "${4#docker-archive:}"; for last; do :; done; f=${last#*:}; touch "${f%%:*}"')
        with exported("mintls:1") as archive:
            assert archive.is_file()

    def test_what_each_engine_said_is_shown(self, program: MakeProgram) -> None:
        program("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
        with (
            pytest.raises(
                ImageError, match=r"mintls:1 \(docker: Cannot connect.*; podman is not installed.*make image"
            ),
            exported("mintls:1"),
        ):
            pass
