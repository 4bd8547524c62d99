"""A node with Mintls' image, and a line for each scenario that a person can read.

Everything here is done as users do it: helm, kubectl, pods. Where no image or no node can be had, the scenarios are
skipped and the reason is printed.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from builders.helm import CHART, SYSTEM, Helm, HelmRefusedError
from builders.world import REPOSITORY
from clusterlib import embedded, existing, kind, providers
from clusterlib.cluster import Cluster
from clusterlib.helm import ensure_helm
from clusterlib.node import machine
from clusterlib.options import Options
from clusterlib.paths import cache_root
from clusterlib.progress import Progress, Silent
from clusterlib.pytest_plugin import uncaptured
from clusterlib.session import running_cluster

from .transcript import Transcript

WORKLOAD_IMAGE = "mintls-e2e-workload:1"
LOADED = "MINTLS_E2E_IMAGES_LOADED"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[Any]:
    """Print each scenario with its outcome."""
    del call
    report = yield
    if report.when == "call" or not report.passed:
        scenario = (getattr(item, "function", item).__doc__ or item.name).splitlines()[0].rstrip(".")
        outcome = {"passed": "ok", "skipped": "skipped"}.get(report.outcome, "FAILED")
        said = "".join(f"; {text}" for text in item.stash.get(_SAID, []))
        with uncaptured(item.config):
            tell(f"{outcome:<8}{scenario} ({report.duration:.0f} s{said})")
            if report.skipped and isinstance(report.longrepr, tuple):
                tell(f"        {report.longrepr[2]}")
    return report


def tell(line: str) -> None:
    """A line for whoever watches; pytest's own dots end in the middle of one."""
    sys.stdout.write(f"\n{line}")
    sys.stdout.flush()


_SAID = pytest.StashKey[list[str]]()


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Adds a figure to the scenario's line."""
    return request.node.stash.setdefault(_SAID, []).append  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def provider_of_node() -> str:
    """Which provider has a node here; skips where none has."""
    asked = os.environ.get(providers.VARIABLE, providers.AUTO)
    if asked == kind.NAME or (asked == providers.AUTO and _kind_works()):
        return kind.NAME
    if asked == existing.NAME and os.environ.get(LOADED) != "1":
        pytest.skip(
            f"images cannot be loaded into an existing cluster: have mintls and {WORKLOAD_IMAGE} on its nodes "
            f"(`make image`, and tests/e2e/pods/Dockerfile), then set {LOADED}=1"
        )
    if asked == existing.NAME:
        return existing.NAME
    if reason := machine.unfit():
        pytest.skip(f"no node can be had here: {reason}")
    return embedded.NAME


def _kind_works() -> bool:
    return bool(shutil.which("kind") and shutil.which("kubectl") and kind.engine())


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> Path:
    """The archive of Mintls' image, built now; skips where none can be had."""
    return build_image(pytestconfig, REPOSITORY / "Dockerfile")


def build_image(config: pytest.Config, dockerfile: Path, name: str = "") -> Path:
    """Build an image as `make image` does; returns its archive."""
    archive = cache_root() / "images" / f"{name.partition(':')[0] or 'mintls'}.tar"
    environment = {key: value for key, value in os.environ.items() if key not in ("IMAGE", "BASE_IMAGE")}
    own = {"FILE": str(dockerfile), "OUTPUT": str(archive)} | ({"IMAGE": name} if name else {})
    with uncaptured(config):
        tell(f"building the image of {dockerfile.relative_to(REPOSITORY)}: a minute or two, unless it is cached")
        done = subprocess.run(
            [REPOSITORY / "hack" / "image"], env=environment | own, capture_output=True, text=True, check=False
        )
        tell(done.stdout.strip())
    if done.returncode == os.EX_UNAVAILABLE:
        pytest.skip(f"no image can be built here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr[-4000:]
    return archive


@dataclass(frozen=True)
class Stage:
    """A node with the images on it, and the tools."""

    cluster: Cluster
    helm: Helm
    restart: Callable[[], None]
    """Kill the control plane and start it again; the pods run on."""
    load: Callable[[Path], None]
    """Bring one more image to the node; skips where that cannot be done."""

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints."""
        return self.cluster.kubectl(*arguments, stdin=stdin).strip()

    def get(self, *arguments: str) -> Any:
        """What kubectl get prints, as data."""
        return json.loads(self.kubectl("get", *arguments, "--output=json"))

    def tried(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A kubectl that may fail."""
        return subprocess.run(
            [self.cluster.kubectl_path, *arguments],
            input=stdin,
            env=self.cluster.environment(),
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def transcript(stage: "Stage", tmp_path_factory: pytest.TempPathFactory) -> Transcript:
    """Collects what people see; ``test_transcript`` compares it with the document."""
    return Transcript(stage.cluster, tmp_path_factory.mktemp("bin"))


@pytest.fixture(scope="session")
def stage(
    provider_of_node: str,
    image: Path,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """A cluster with a node, nothing installed, the images loaded."""
    workload = build_image(pytestconfig, Path(__file__).parent / "pods" / "Dockerfile", WORKLOAD_IMAGE)
    with uncaptured(pytestconfig):
        helm = ensure_helm(Progress())
        wanted = Options(node=True, audit_log=provider_of_node == embedded.NAME)
        brought = running_cluster(provider=provider_of_node, options=wanted, progress=Progress())
        cluster = brought.__enter__()
    try:
        played_on = Helm(helm, tmp_path_factory.mktemp("helm"), {"KUBECONFIG": str(cluster.kubeconfig)})
        if provider_of_node == existing.NAME:
            refuse_what_is_in_use(cluster)
        else:
            for archive in (image, workload):
                load(cluster, archive)
        yield Stage(cluster, played_on, lambda: restart(cluster), lambda archive: load(cluster, archive))
        if provider_of_node == existing.NAME:
            clean(cluster, played_on)
    finally:
        brought.__exit__(None, None, None)


def load(cluster: Cluster, archive: Path) -> None:
    """Bring an image to the node."""
    if cluster.provider == existing.NAME:
        pytest.skip("images cannot be loaded into an existing cluster")
    providers.make(cluster.provider, Silent()).load(cluster.name, archive)


def refuse_what_is_in_use(cluster: Cluster) -> None:
    """Somebody's installation is no stage for a story that deletes it."""
    if cluster.kubectl("get", "crd", "oauthclients.mintls.dev", "--ignore-not-found"):
        pytest.skip("Mintls is installed on the existing cluster already")


def clean(cluster: Cluster, helm: Helm) -> None:
    """Leave an existing cluster as it was."""
    with contextlib.suppress(HelmRefusedError):
        helm.run("uninstall", "mintls", "--wait")
    kinds = [name for name in cluster.kubectl("get", "crd", "-o", "name").split() if name.endswith(".mintls.dev")]
    cluster.kubectl("delete", *kinds)
    cluster.kubectl("delete", "namespace", "shop", "reader", SYSTEM, "--ignore-not-found", "--wait=false")


def restart(cluster: Cluster) -> None:
    """Kill what serves the API, and have it back."""
    if cluster.provider != embedded.NAME:
        pytest.skip("only the embedded provider's control plane is ours to kill")
    killed = embedded.kill(cluster.name, ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler"))
    assert killed == 4
    embedded.Embedded(Silent()).up(cluster.name, Options(), owned=True)


__all__ = ["CHART", "SYSTEM", "Stage"]
