"""The image: what lies in its archive, and both programs in its root file system, as a container has it."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from builders.helm import CHART, SYSTEM, Helm
from builders.waiting import poll
from builders.world import free_port
from clusterlib.cluster import Cluster
from clusterlib.helm import ensure_helm
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from clusterlib.session import running_cluster

pytestmark = pytest.mark.e2e

type Say = Callable[[str], None]


@dataclass(frozen=True)
class Image:
    """What an image says and what it holds."""

    config: dict[str, Any]
    files: dict[str, tarfile.TarInfo]
    """By path without a slash at the start; of all layers, as they lie on each other."""
    root: Path
    """Where they are unpacked."""

    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        return dict(one.split("=", 1) for one in self.config["config"]["Env"])


@pytest.fixture(scope="module")
def unpacked(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    root = tmp_path_factory.mktemp("root")
    root.chmod(0o755)  # its user has to get in
    with tarfile.open(image) as archive:
        [manifest] = json.load(_member(archive, "manifest.json"))
        files: dict[str, tarfile.TarInfo] = {}
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=_member(archive, layer)) as tar:
                files |= {entry.name.removeprefix("./").strip("/"): entry for entry in tar}
                tar.extractall(root, filter="tar")
        # OCI image layer specification: .wh.NAME takes NAME of a lower layer away, which no layer here does.
        assert not [path for path in files if path.rpartition("/")[2].startswith(".wh.")]
        yield Image(json.load(_member(archive, manifest["Config"])), files, root)
    shutil.rmtree(root)


def _member(archive: tarfile.TarFile, name: str) -> Any:
    found = archive.extractfile(name)
    assert found
    return found


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


def test_nothing_in_it_but_what_it_runs(unpacked: Image) -> None:
    """The image has no program but Python and its own, no shell, no pip, and no file that makes its user another."""
    programs = {
        path.rpartition("/")[2]
        for path, entry in unpacked.files.items()
        if (entry.isfile() or entry.issym()) and entry.mode & 0o111 and path.rpartition("/")[0].endswith("bin")
    }
    assert programs == {"python3.13", "python", "mintls", "kubectl-mintls"}
    assert not [path for path in unpacked.files if "/site-packages/pip" in path or "/ensurepip/" in path]
    assert not [path for path, entry in unpacked.files.items() if entry.isfile() and entry.mode & 0o6000]
    assert not [path for path, entry in unpacked.files.items() if entry.isfile() and entry.mode & 0o002]


def test_nobody_in_it_but_root_owns_a_file(unpacked: Image) -> None:
    """No file of the image can be changed by the user that it runs as."""
    assert {(entry.uid, entry.gid) for entry in unpacked.files.values()} == {(0, 0)}


def test_all_of_it_is_compiled(unpacked: Image) -> None:
    """Every module, of Python too, has its bytecode beside it, and none is checked against a file's time."""
    modules = {path for path in unpacked.files if "/lib/" in f"/{path}" and path.endswith(".py")}
    assert len(modules) > 1500
    compiled = {path for path in unpacked.files if path.endswith(".cpython-313.pyc")}
    missing = [path for path in modules if _bytecode(path) not in compiled and not _is_no_module(path)]
    assert missing == []
    # PEP 552: a hash, and not to be checked.
    assert {int.from_bytes((unpacked.root / path).read_bytes()[4:8], "little") for path in compiled} == {0b01}


def _bytecode(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-313.pyc"


def _is_no_module(path: str) -> bool:
    # Templates that are no Python until they are filled in.
    return "/templates/" in path


CONTAINER = """
set -e
root=$1 mounts=$2 tmp=$3; shift 3
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
mount --bind "$mounts" "$root/var/run/secrets/kubernetes.io/serviceaccount"
if [ "$tmp" = yes ]; then mount -t tmpfs -o size=1m tmpfs "$root/tmp"; fi
mount -o remount,bind,ro "$root"
exec env -i "$@"
"""
"""As a runtime does: what a pod mounts, a root file system that cannot be written to, variables of the pod's own."""


@pytest.fixture(scope="module")
def container(unpacked: Image, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """The command that runs a command in the image's root file system, given the folder of a service account."""
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root with the right to mount can run a program in the image's root file system")
    for folder in ("dev", "proc", "var/run/secrets/kubernetes.io/serviceaccount"):
        (unpacked.root / folder).mkdir(parents=True, exist_ok=True)
    nobody = tmp_path_factory.mktemp("nobody")

    def command(
        *arguments: str, account: Path = nobody, variables: dict[str, str] | None = None, tmp: bool = False
    ) -> list[str]:
        known = unpacked.environment() | (variables or {})
        return [
            *("unshare", "--mount", "sh", "-c", CONTAINER, "sh", str(unpacked.root), str(account)),
            "yes" if tmp else "no",
            *(f"{name}={value}" for name, value in known.items()),
            *(shutil.which("chroot") or "chroot", "--userspec=65532:65532", str(unpacked.root), *arguments),
        ]

    return command


def test_it_runs_where_nothing_can_be_written(container: Callable[..., list[str]]) -> None:
    """In a read-only root file system, the image's user can write nowhere, and the system's CAs are known."""
    program = (
        "import os, ssl, errno\n"
        "print(os.getuid(), os.getgid(), len(ssl.create_default_context().get_ca_certs()) > 100)\n"
        "for folder in ('/', '/tmp', '/opt/mintls'):\n"
        "    try: open(folder + '/written', 'w')\n"
        "    except OSError as error: print(errno.errorcode[error.errno])\n"
    )
    said = subprocess.run(
        container("/opt/mintls/bin/python", "-c", program), capture_output=True, text=True, check=True
    ).stdout.split()
    assert said == ["65532", "65532", "True", "EROFS", "EROFS", "EROFS"]


@pytest.fixture(scope="module")
def released(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """An API server with the chart on it; operator and issuer run here and not there."""
    with uncaptured(pytestconfig), running_cluster(progress=Progress()) as running:
        if running.kubectl("get", "crd", "oauthclients.mintls.dev", "--ignore-not-found"):
            pytest.skip("Mintls is installed on this cluster already")
        helm = Helm(ensure_helm(Progress()), tmp_path_factory.mktemp("helm"), {"KUBECONFIG": str(running.kubeconfig)})
        none = "--set=operator.replicas=0,issuer.replicas=0,crds.keep=false"
        helm.run("install", "mintls", CHART, "--create-namespace", none)
        yield running
        helm.run("uninstall", "mintls")
        running.kubectl("delete", "namespace", SYSTEM, "--wait=false")


def account(cluster: Cluster, name: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """What the kubelet gives to a pod of a service account: files, and variables."""
    config = yaml.safe_load(cluster.kubectl("config", "view", "--raw", "--minify", "--flatten"))
    [known] = config["clusters"]
    server = urlsplit(known["cluster"]["server"])
    folder.mkdir()
    (folder / "token").write_text(cluster.kubectl("-n", SYSTEM, "create", "token", name).strip())
    (folder / "namespace").write_text(SYSTEM)
    (folder / "ca.crt").write_bytes(base64.b64decode(known["cluster"]["certificate-authority-data"]))
    return folder, {"KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port)}


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(answer.status == http.client.OK)
    except OSError:
        return False


@contextlib.contextmanager
def started(command: list[str], port: int, log: Path) -> Iterator[float]:
    """A program that is ready; gives the seconds that it took."""
    began = time.monotonic()
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            while not ready(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < began + 60, log.read_text()
                time.sleep(0.02)
            yield time.monotonic() - began
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()


def test_both_programs_start_as_the_chart_says(
    unpacked: Image, container: Callable[..., list[str]], released: Cluster, tmp_path: Path, say: Say
) -> None:
    """In the image's root file system, with arguments and rights of the chart, operator and issuer become ready."""
    ports = {name: free_port() for name in ("operator", "issuer", "open", "mtls")}
    own = {
        "operator": ["--health-address", f"127.0.0.1:{ports['operator']}"],
        "issuer": [
            *("--probe-address", f"127.0.0.1:{ports['issuer']}"),
            *("--address", f"127.0.0.1:{ports['open']}"),
            *("--mtls-address", f"127.0.0.1:{ports['mtls']}"),
        ],
    }

    def start(part: str) -> contextlib.AbstractContextManager[float]:
        [told] = json.loads(
            released.kubectl("-n", SYSTEM, "get", f"deployment/mintls-{part}", "-o", "jsonpath={..containers}")
        )
        folder, variables = account(released, f"mintls-{part}", tmp_path / part)
        command = container(
            *unpacked.config["config"]["Entrypoint"],
            *told["args"],
            *own[part],
            account=folder,
            variables=variables,
            tmp="volumeMounts" in told,
        )
        return started(command, ports[part], tmp_path / f"{part}.log")

    def made() -> bool:
        needed = ("secret/mintls-signing-keys", "secret/mintls-issuer-tls")
        return len(released.kubectl("-n", SYSTEM, "get", *needed, "--ignore-not-found", "-o", "name").split()) == 2

    with start("operator") as operator:
        say(f"operator after {operator:.1f} s")
        poll(made)
        with start("issuer") as issuer:
            say(f"issuer after {issuer:.1f} s")
    assert "Traceback" not in (tmp_path / "operator.log").read_text() + (tmp_path / "issuer.log").read_text()
