"""An installation for each test, on the one cluster of the run."""

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
    for crd in ("oauthclients", "clientcertificates", "certificateauthorities"):
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=20s", f"crd/{crd}.mintls.dev")
    return cluster


@pytest.fixture
async def world(installed: Cluster, tmp_path: Path) -> AsyncIterator[World]:
    async with world_on(installed, tmp_path) as one:
        yield one
