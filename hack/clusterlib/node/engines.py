"""Images out of a container engine's store, as archives."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clusterlib.errors import ImageError

_EXPORTS = {
    "docker": ("docker", "save", "--output={archive}", "{image}"),
    "podman": ("podman", "save", "--format=docker-archive", "--output={archive}", "{image}"),
    "buildah": ("buildah", "push", "--quiet", "{image}", "docker-archive:{archive}:{image}"),
}


@contextmanager
def exported(image: str) -> Iterator[Path]:
    """*image* as an archive: the file of that name if there is one, else what an engine has under that name.

    Raises ImageError with what each engine said.
    """
    if Path(image).is_file():
        yield Path(image)
        return
    if image.endswith(".tar") or image.startswith((".", "/")):
        raise ImageError(f"{image} is no file.")
    with tempfile.TemporaryDirectory(prefix="mintls-image-") as folder:
        archive = Path(folder) / "image.tar"
        _export(image, archive)
        yield archive


def _export(image: str, archive: Path) -> None:
    answers = []
    for engine, command in _EXPORTS.items():
        if shutil.which(engine) is None:
            answers.append(f"{engine} is not installed")
            continue
        line = [part.format(archive=archive, image=image) for part in command]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        archive.unlink(missing_ok=True)
        answers.append(f"{engine}: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}")
    raise ImageError(f"no engine gives an image {image} ({'; '.join(answers)}): `make image` builds Mintls' own.")
