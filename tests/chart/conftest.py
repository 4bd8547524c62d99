"""Helm, and a cluster where nothing of ours is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.helm import Helm
from clusterlib.cluster import Cluster
from clusterlib.helm import ensure_helm
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from clusterlib.session import running_cluster


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    with uncaptured(pytestconfig):
        program = ensure_helm(Progress())
    return Helm(program, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="module")
def bare(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Not the session's cluster: kinds and names of the chart are of the whole cluster, and other tests use them."""
    with uncaptured(pytestconfig), running_cluster(progress=Progress()) as running:
        if running.kubectl("get", "crd", "oauthclients.mintls.dev", "--ignore-not-found"):
            pytest.skip("Mintls is installed on this cluster already")
        yield running


@pytest.fixture(scope="module")
def admin(helm: Helm, bare: Cluster) -> Helm:
    """Helm with the rights of the cluster's administrator."""
    return Helm(helm.program, Path(helm.home), {"KUBECONFIG": str(bare.kubeconfig)})
