"""cert-manager, the peer of the operator: its controllers as a process, and a certificate that is the same as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.cluster import NAMESPACE
from builders.cert_manager import ca_objects, install_kinds
from builders.world import SYSTEM, World
from clusterlib.certmanager import ensure_cert_manager
from clusterlib.progress import Progress
from mintls.kube.paths import Resource

_CERTIFICATES = Resource("cert-manager.io", "v1", "certificates", "Certificate", namespaced=True)
_CLUSTER_ISSUER = """\
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: corporate}
spec: {ca: {secretName: corporate-ca}}
"""

type Object = dict[str, Any]


@dataclass(frozen=True)
class CertManager:
    """The same certificate of cert-manager's CA issuer: P-256, a day, one URI."""

    resource: Resource = _CERTIFICATES

    def body(self, name: str) -> Object:
        """An object that asks for a certificate."""
        spec = {
            "secretName": f"{name}-tls",
            "duration": "24h",
            "uris": [f"spiffe://cluster.local/ns/{NAMESPACE}/client/{name}"],
            "usages": ["client auth", "digital signature"],
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "issuerRef": {"name": "corporate", "kind": "ClusterIssuer"},
        }
        return {"metadata": {"name": name}, "spec": spec}


def install(world: World) -> None:
    """Its kinds, and a CA of it; builds the program, where that was not done before. Raises BuildError."""
    install_kinds(world.cluster, ensure_cert_manager(Progress()))
    world.cluster.kubectl("apply", "-f", "-", stdin=ca_objects()[0] + _CLUSTER_ISSUER)


@contextmanager
def running(world: World, folder: Path) -> Iterator[int]:
    """Its controllers as an administrator, with their own limit of requests lifted; gives the process id."""
    command = [
        *(str(ensure_cert_manager(Progress()).controller), f"--kubeconfig={world.cluster.kubeconfig}"),
        *(f"--cluster-resource-namespace={SYSTEM}", "--kube-api-qps=10000", "--kube-api-burst=10000"),
    ]
    with machine.running(command, folder / "cert-manager.log") as pid:
        yield pid
