"""An installation for each test, on the one cluster of the run."""

import gc
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builders.world import REPOSITORY, World, world_on
from clusterlib.cluster import Cluster


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Cluster:
    """CRDs and the rights of operator and issuer, from the files that users apply."""
    cluster.kubectl("apply", "-f", str(REPOSITORY / "crds"))
    manifests = REPOSITORY / "hack" / "manifests"
    cluster.kubectl("apply", "-f", str(manifests / "namespace.yaml"))
    for name in ("operator-rbac.yaml", "issuer-rbac.yaml"):
        cluster.kubectl("apply", "-f", str(manifests / name))
    for crd in ("oauthclients", "clientcertificates", "certificateauthorities", "spentidentifiers"):
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=20s", f"crd/{crd}.mintls.dev")
    return cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kopf leaves connections to the garbage collector when it ends while one of them hangs."""
    ignored = pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(ignored)


@pytest.fixture
async def world(installed: Cluster, tmp_path: Path) -> AsyncIterator[World]:
    async with world_on(installed, tmp_path) as one:
        yield one
    with warnings.catch_warnings():
        # What kopf left is collected here, and not while some other test runs.
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
