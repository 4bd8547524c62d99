"""cert-manager on the API server of a test: its kinds, its controllers as a process, and a CA of it."""

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import pki
from builders.helm import CHART, Helm
from builders.world import SYSTEM, World, eventually
from clusterlib.certmanager import CertManager
from clusterlib.cluster import Cluster
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.keys import encode_private_key
from mintls.kube.paths import CERTIFICATE_REQUESTS, ISSUERS

ISSUER = "corporate"
APPROVER = "certificaterequests-approver"

KINDS = ("certificaterequests", "certificates", "issuers", "clusterissuers")

type Object = dict[str, Any]

_ISSUER_OF_THE_CA = """\
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: corporate, namespace: mintls-system}
spec: {ca: {secretName: corporate-ca}}
"""

INTERMEDIATE = """\
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: intermediate, namespace: mintls-system}
spec:
  isCA: true
  commonName: Corporate Intermediate
  secretName: intermediate
  privateKey: {algorithm: ECDSA, size: 256}
  issuerRef: {name: corporate}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: corporate}
spec: {ca: {secretName: intermediate}}
"""
"""An issuer of the whole cluster, with a CA below that of the other."""


def install(cluster: Cluster, program: CertManager, helm: Helm, folder: Path) -> None:
    """Its kinds, and the rights that the chart gives the operator for it."""
    install_kinds(cluster, program)
    grant(cluster, helm, folder)


def install_kinds(cluster: Cluster, program: CertManager) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(program.kinds))
    # Not "kubectl wait": it ends with an error where a kind has no conditions yet, as a new one has none for a moment.
    end = time.monotonic() + 20
    while not all(_is_served(cluster, kind) for kind in KINDS):
        assert time.monotonic() < end, "the kinds of cert-manager are not served within 20 s"
        time.sleep(0.1)


def _is_served(cluster: Cluster, kind: str) -> bool:
    found = json.loads(cluster.kubectl("get", f"crd/{kind}.cert-manager.io", "-o", "json"))
    conditions = found.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def grant(cluster: Cluster, helm: Helm, folder: Path) -> None:
    chosen = ("--set=operator.certManager.enabled=true", "--show-only=templates/operator-cert-manager-rbac.yaml")
    (folder / "rights.yaml").write_text(helm.run("template", "mintls", CHART, *chosen))
    cluster.kubectl("apply", "-f", str(folder / "rights.yaml"))


@dataclass
class Controller:
    """Its controllers.

    Attributes:
        program: What runs.
        kubeconfig: Of an administrator.
        log: What it writes.
    """

    program: Path
    kubeconfig: Path
    log: Path
    process: asyncio.subprocess.Process | None = None

    async def start(self, *disabled: str) -> None:
        """Start it, without some of its controllers; it works as soon as its caches are filled."""
        arguments = (f"--kubeconfig={self.kubeconfig}", f"--cluster-resource-namespace={SYSTEM}")
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.program, *arguments, f"--disable={','.join(disabled)}", stdout=log, stderr=log
            )

    async def stop(self) -> None:
        """End it."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def apply(world: World, objects: str) -> None:
    path = world.folder / "objects.yaml"
    path.write_text(objects)
    await asyncio.to_thread(world.cluster.kubectl, "apply", "-f", str(path))


def ca_objects() -> tuple[str, str]:
    """An issuer with a CA in its Secret, to be applied, and the CA's root in PEM.

    The root is not of cert-manager's own making, as that of docs/external-ca.md is: its controllers may well issue it
    twice in a row, when what they know of the Secret is older than what they know of the Certificate.
    """
    ca = pki.authority("Corporate")
    files = {"tls.crt": encode_pem(ca.root).decode(), "tls.key": encode_private_key(ca.root_key).decode()}
    metadata = {"name": "corporate-ca", "namespace": SYSTEM}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": files}
    return f"{json.dumps(secret)}\n---\n{_ISSUER_OF_THE_CA}", files["tls.crt"]


async def make_ca(world: World) -> str:
    """An issuer; its root in PEM."""
    objects, root = ca_objects()
    await apply(world, objects)

    async def ready() -> bool:
        issuer = await world.get(ISSUERS, SYSTEM, ISSUER)
        return any(one["type"] == "Ready" and one["status"] == "True" for one in issuer["status"]["conditions"])

    await eventually(ready)
    return root


async def clean(world: World) -> None:
    """Nothing of it is left but the kinds."""
    kinds = "issuers,clusterissuers,certificates,certificaterequests"
    await asyncio.to_thread(world.cluster.kubectl, "-n", SYSTEM, "delete", kinds, "--all")


async def requests(world: World) -> list[Object]:
    """The CertificateRequests that Mintls made and nobody deleted."""
    selector = "mintls.dev/component=certificate-request"
    pages = world.api.list_pages(CERTIFICATE_REQUESTS.collection(SYSTEM), label_selector=selector)
    return [item async for page in pages for item in page["items"]]


def spec(root: str, kind: str = "Issuer") -> Object:
    """``spec`` of a CertificateAuthority that asks it."""
    return {"external": {"caBundle": root, "certManager": {"issuerRef": {"name": ISSUER, "kind": kind}}}}
