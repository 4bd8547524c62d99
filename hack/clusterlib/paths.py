"""Where things live: all of it outside the source tree, so that ``git clean`` cannot orphan a running process."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from clusterlib.errors import BadRequestError

MODULE_DIR = Path(__file__).resolve().parent.parent / "kubernetes"
"""The Go module that the embedded provider builds."""

FLUX_MODULES_DIR = MODULE_DIR.with_name("flux")
"""The Go modules of Flux's controllers."""

GITOPS_MODULE_DIR = MODULE_DIR.with_name("gitops")
"""The Go module of what Argo CD and Flux think of objects."""

NODE_MODULE_DIR = MODULE_DIR.with_name("node")
"""The Go module of what a node needs beside Kubernetes."""

HELM_MODULE_DIR = MODULE_DIR.with_name("helm")
"""The Go module that Helm is built from, for the tests of the chart."""

STEP_CA_MODULE_DIR = MODULE_DIR.with_name("step-ca")
"""The Go module that step-ca is built from, for the tests of external authorities."""

CERT_MANAGER_MODULE_DIR = MODULE_DIR.with_name("cert-manager")
"""The Go module that cert-manager's controllers are built from, for the tests of external authorities."""

RUN_DIR = Path("/run/mintls")
"""Of all nodes on this machine; root's."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def cache_root() -> Path:
    """The folder for what can be made again: built binaries and a downloaded Go."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "mintls"


def clusters_root() -> Path:
    """The folder that holds one folder per cluster."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "mintls" / "clusters"


def _xdg(variable: str, below_home: str) -> Path:
    # The XDG base directory specification: a relative path in these variables is to be ignored.
    given = Path(os.environ.get(variable, ""))
    return given if given.is_absolute() else Path.home() / below_home


@dataclass(frozen=True)
class ClusterDir:
    """The folder of one cluster, and what is where in it."""

    root: Path

    @classmethod
    def of(cls, name: str) -> "ClusterDir":
        """The folder of the cluster *name*; raises BadRequestError for what cannot name a folder and a kind cluster."""
        if not _NAME.fullmatch(name):
            raise BadRequestError(
                f"{name!r} is no name for a cluster: use 1 to 40 of a-z, 0-9 and '-', starting and ending without '-'."
            )
        return cls(clusters_root() / name)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.root.name

    @property
    def record(self) -> Path:
        """What runs (see ``record``)."""
        return self.root / "cluster.json"

    @property
    def lock(self) -> Path:
        """Held while the cluster is changed; beside the folder, because the folder is deleted under it."""
        return self.root.with_name(f"{self.root.name}.lock")

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.root / "kubeconfig"

    def kubeconfig_of(self, user: str) -> Path:
        """The kubeconfig of a part of the cluster."""
        return self.root / f"{user}.kubeconfig"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def etcd_data(self) -> Path:
        """The data folder of etcd."""
        return self.root / "etcd"

    @property
    def audit_log(self) -> Path:
        """One JSON event per line, where an audit log was asked for."""
        return self.root / "audit.log"

    @property
    def audit_policy(self) -> Path:
        """The policy for the audit log."""
        return self.root / "audit-policy.yaml"

    @property
    def mark(self) -> str:
        """What tells this cluster's things from others' where a name has to be short: 8 hexadecimal digits."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """The name of the node's network namespace and of its cgroup."""
        return f"mintls-{self.mark}"

    @property
    def run(self) -> Path:
        """Sockets and state of the node's container runtime: short-lived, and a socket's path has to be short."""
        return RUN_DIR / self.mark

    def log(self, component: str) -> Path:
        """What *component* wrote to stdout and stderr."""
        return self.root / "logs" / f"{component}.log"


def recorded_clusters() -> list[ClusterDir]:
    """Every cluster that left a record, sorted by name."""
    return [ClusterDir(path.parent) for path in sorted(clusters_root().glob("*/cluster.json"))]
