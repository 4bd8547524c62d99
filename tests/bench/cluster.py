"""A real Kubernetes API with the kinds of Mintls and the rights of its parts, and nothing that runs yet."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from builders.world import REPOSITORY, World
from clusterlib import record
from clusterlib.cluster import Cluster
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.progress import Progress
from clusterlib.session import running_cluster
from mintls.kube.client import ApiClient
from mintls.kube.paths import NAMESPACES

NAMESPACE, OTHER_NAMESPACE = "shop", "bank"
_KINDS = ("oauthclients", "clientcertificates", "certificateauthorities", "spentidentifiers")


@asynccontextmanager
async def kubernetes(folder: Path) -> AsyncIterator[World]:
    """A cluster of its own while the block lasts, with two namespaces for clients. ``folder`` gets files with keys."""
    with running_cluster(options=Options(), progress=Progress()) as cluster:
        _apply(cluster)
        async with ApiClient.connect(str(cluster.kubeconfig)) as admin, AsyncExitStack() as stack:
            for name in (NAMESPACE, OTHER_NAMESPACE):
                await admin.create(NAMESPACES.collection(), {"metadata": {"name": name}})
            yield World(cluster, admin, folder, stack)


def pids(cluster: Cluster) -> dict[str, int]:
    """Process ids of the cluster's parts by their names; empty where somebody else runs it."""
    known = record.load(ClusterDir.of(cluster.name))
    return dict(known.pids) if known is not None else {}


def _apply(cluster: Cluster) -> None:
    manifests = REPOSITORY / "hack" / "manifests"
    rights = [manifests / name for name in ("namespace.yaml", "operator-rbac.yaml", "issuer-rbac.yaml")]
    for path in (REPOSITORY / "crds", *rights):
        cluster.kubectl("apply", "-f", str(path))
    for kind in _KINDS:
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=20s", f"crd/{kind}.mintls.dev")
