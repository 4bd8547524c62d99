"""Images for a node: archives as ``docker save`` writes them, brought in without a registry."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from clusterlib.errors import ImageError
from clusterlib.node.machine import program

_NAMESPACE = "k8s.io"
"""The kubelet's, of those that containerd keeps apart."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def load(socket: Path, archive: Path) -> list[str]:
    """Import *archive* into the containerd behind *socket*; returns the names that it gave images. Raises ImageError.

    It unpacks too, so that the first pod of the image starts at once.
    """
    done = subprocess.run(
        [program("ctr"), f"--address={socket}", f"--namespace={_NAMESPACE}", "images", "import", str(archive)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ImageError(
            f"{archive} could not be imported: {done.stderr.strip() or done.stdout.strip()}. It has to be an archive "
            "as `docker save`, `podman save` or `buildah push ... docker-archive:FILE` write it."
        )
    return names(archive)


def names(archive: Path) -> list[str]:
    """The images in *archive*, as they are called in full; raises ImageError."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("manifest.json")
            manifest = json.loads(member.read()) if member else []
            return [full_name(tag) for image in manifest for tag in image.get("RepoTags") or ()]
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        reason = str(error).partition(":\n")[0]  # tarfile adds a line for each compression that it is not
        raise ImageError(
            f"{archive} is no image archive ({reason}): write one with `docker save`, `podman save` or "
            "`buildah push ... docker-archive:FILE`."
        ) from error


def full_name(name: str) -> str:
    """What the kubelet makes of the name of an image in a pod.

    >>> full_name("mintls:0.1.0"), full_name("localhost/mintls:0.1.0"), full_name("team/app")
    ('docker.io/library/mintls:0.1.0', 'localhost/mintls:0.1.0', 'docker.io/team/app:latest')
    """
    first, _, rest = name.partition("/")
    if not rest:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def write_archive(target: Path, name: str, executable: Path) -> None:
    """Write an image *name* that has nothing in it but *executable*, which it runs; the same bytes for the same input.

    Raises OSError.
    """
    layer = _tar({executable.name: (executable.read_bytes(), 0o755)})
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{executable.name}"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    described = json.dumps(config).encode()
    config_name = f"{hashlib.sha256(described).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {config_name: described, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()}
    target.write_bytes(_tar({path: (content, 0o644) for path, content in files.items()}))


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
