"""The kind provider: Kubernetes in containers, where a container engine answers."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clusterlib import processes, record
from clusterlib.cluster import Brought, Cluster, PartStatus, State, Status, server_version
from clusterlib.errors import BadRequestError, ImageError, NotRunningError, StartError, StopError, ToolMissingError
from clusterlib.existing import kubectl_on_path
from clusterlib.node import images as archives
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.progress import Progress
from clusterlib.record import Owner, Record

NAME = "kind"
_ENGINES = ("docker", "podman")


def engine() -> str | None:
    """The container engine that answers: docker, podman or None. An installed client alone is not enough."""
    for program in _ENGINES:
        if shutil.which(program) is None:
            continue
        try:
            done = subprocess.run([program, "info"], capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return program
    return None


@dataclass(frozen=True)
class Kind:
    """Needs a container engine, kind and kubectl."""

    progress: Progress
    name: str = NAME

    def up(self, name: str, options: Options, *, owned: bool) -> Brought:
        """Create the cluster; one that does not answer is made anew. Raises StartError, StopError, ToolMissingError."""
        if alien := options.only_embedded():
            raise BadRequestError(f"{alien.describe()}: only --provider embedded has this.")
        folder = ClusterDir.of(name)
        with record.exclusively(folder, self.progress):
            if self.status(name).state is State.RUNNING:
                cluster = self.find(name)
                return Brought(cluster, server_version(cluster), fresh=False)
            self._create(folder, owned=owned)
            cluster = self.find(name)
            return Brought(cluster, server_version(cluster), fresh=True)

    def down(self, name: str) -> bool:
        """Delete the kind cluster and its folder; raises StopError."""
        folder = ClusterDir.of(name)
        if not folder.root.exists():
            return False
        with record.exclusively(folder, self.progress):
            self._delete(folder)
        return True

    def status(self, name: str) -> Status:
        """How the cluster is."""
        folder = ClusterDir.of(name)
        known = record.load(folder)
        if known is None:
            return Status(name, NAME, State.ABSENT)
        exists = _kind_name(name) in _kind("get", "clusters").stdout.split()
        version = server_version(_as_cluster(folder)) if exists and folder.kubeconfig.is_file() else ""
        state = State.RUNNING if version and known.ready else State.DAMAGED if exists else State.STOPPED
        part = PartStatus("kind", version, None, _kind_name(name), "ready" if version else "not answering")
        return Status(
            name,
            NAME,
            state,
            version=version,
            kubeconfig=folder.kubeconfig,
            uptime=time.time() - known.started if state is State.RUNNING else None,
            parts=(part,),
            advice="" if state is State.RUNNING else f"`hack/cluster up --name {name}` makes it anew, without data.",
        )

    def load(self, name: str, archive: Path) -> list[str]:
        """Bring the images of *archive* to the node; returns their names. Raises ImageError, NotRunningError."""
        self.find(name)
        loaded = archives.names(archive)
        done = _kind("load", "image-archive", str(archive), "--name", _kind_name(name))
        if done.returncode:
            raise ImageError(f"`kind load image-archive {archive}` failed:\n{_indented(done.stderr)}")
        return loaded

    def find(self, name: str) -> Cluster:
        """The cluster if it was brought up; raises NotRunningError."""
        folder = ClusterDir.of(name)
        known = record.load(folder)
        if known is None or not known.ready:
            raise NotRunningError(f"cluster {name} is not up: run `hack/cluster up --name {name}`.")
        return _as_cluster(folder)

    def _create(self, folder: ClusterDir, *, owned: bool) -> None:
        _require_tools()
        if folder.root.exists():
            self._delete(folder)
        folder.root.mkdir(parents=True, mode=0o700)
        owner = Owner(os.getpid(), processes.started_at(os.getpid())) if owned else None
        starting = Record(folder.name, NAME, owner=owner)
        record.save(folder, starting)
        self.progress.say(f"cluster {folder.name}: kind creates it (minutes, the first time: it fetches an image)")
        try:
            _create_containers(folder)
            record.save(folder, starting.became_ready())
        except BaseException:
            with processes.uninterrupted():
                self._delete(folder)
            raise

    def _delete(self, folder: ClusterDir) -> None:
        done = _kind("delete", "cluster", "--name", _kind_name(folder.name), "--kubeconfig", str(folder.kubeconfig))
        if done.returncode:
            raise StopError(
                f"cluster {folder.name}: `kind delete cluster` ended with status {done.returncode}:\n"
                f"{_indented(done.stderr)}\nSee that the container engine answers, then run it again."
            )
        shutil.rmtree(folder.root, ignore_errors=True)


def _require_tools() -> None:
    if shutil.which("kind") is None:
        raise ToolMissingError(
            "kind is not on the PATH: install it, or use --provider embedded, which needs no containers."
        )
    kubectl_on_path()
    if engine() is None:
        raise ToolMissingError(
            f"no container engine answers (asked: {', '.join(_ENGINES)} info): start one, or use --provider embedded."
        )


def _create_containers(folder: ClusterDir) -> None:
    where = ["--name", _kind_name(folder.name), "--kubeconfig", str(folder.kubeconfig)]
    done = _kind("create", "cluster", *where, "--wait", "180s")
    if done.returncode:
        raise StartError(
            f"cluster {folder.name}: `kind create cluster` ended with status {done.returncode}:\n"
            f"{_indented(done.stderr)}\nWhat it had made was deleted again."
        )


def _as_cluster(folder: ClusterDir) -> Cluster:
    return Cluster(
        name=folder.name,
        provider=NAME,
        kubeconfig=folder.kubeconfig,
        kubectl_path=kubectl_on_path(),
        kubectl_cache=folder.root / "kubectl-cache",
    )


def _kind_name(name: str) -> str:
    # A prefix: kind's clusters share one list with those that people made themselves.
    return f"mintls-{name}"


def _kind(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if engine() == "podman":
        environment["KIND_EXPERIMENTAL_PROVIDER"] = "podman"
    command: Sequence[str] = ["kind", *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    except FileNotFoundError as error:
        raise ToolMissingError(
            "kind is not on the PATH, though this cluster was made with it: install it again."
        ) from error


def _indented(text: str) -> str:
    return "\n".join(f"  | {line}" for line in text.strip().splitlines()[-15:])
