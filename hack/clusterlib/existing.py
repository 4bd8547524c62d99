"""The existing provider: a cluster that somebody else runs, named by KUBECONFIG. Nothing of it is ever changed."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from clusterlib.cluster import Brought, Cluster, State, Status, server_version
from clusterlib.errors import BadRequestError, NotRunningError, ToolMissingError
from clusterlib.options import Options
from clusterlib.progress import Progress

NAME = "existing"
_PATIENCE = 30.0


@dataclass(frozen=True)
class Existing:
    """Checks that the cluster answers; brings nothing up and takes nothing down."""

    progress: Progress
    name: str = NAME

    def up(self, name: str, options: Options, *, owned: bool) -> Brought:  # noqa: ARG002 - nothing here is ours
        """Wait until the API answers; raises NotRunningError after 30 seconds, BadRequestError for any option."""
        if alien := options.only_embedded():
            raise BadRequestError(
                f"{alien.describe()}: the flags of an existing cluster are not ours to set. Use --provider embedded."
            )
        cluster = self.find(name)
        version = server_version(cluster)
        deadline = time.monotonic() + _PATIENCE
        while not version:
            if time.monotonic() > deadline:
                raise NotRunningError(
                    f"no Kubernetes API answers behind {cluster.kubeconfig}: try `kubectl version` with it, or unset "
                    "KUBECONFIG to have a cluster made."
                )
            time.sleep(0.5)
            version = server_version(cluster)
        return Brought(cluster, version, fresh=False)

    def down(self, name: str) -> bool:  # noqa: ARG002 - nothing here is ours
        """Do nothing."""
        self.progress.say("the cluster behind KUBECONFIG is not ours: it is left as it is")
        return False

    def status(self, name: str) -> Status:
        """Whether the API answers."""
        cluster = self.find(name)
        version = server_version(cluster)
        state = State.RUNNING if version else State.STOPPED
        advice = "" if version else "it does not answer; it is not ours to start."
        return Status(name, NAME, state, version=version, kubeconfig=cluster.kubeconfig, advice=advice)

    def load(self, name: str, archive: Path) -> list[str]:  # noqa: ARG002 - nothing here is ours
        """Refuse: how images come to somebody else's nodes is theirs to say."""
        raise BadRequestError(
            f"{archive} cannot be loaded into an existing cluster: push the image to a registry that its nodes use."
        )

    def find(self, name: str) -> Cluster:
        """The cluster that KUBECONFIG names; raises BadRequestError, ToolMissingError."""
        return Cluster(name=name, provider=NAME, kubeconfig=given_kubeconfig(), kubectl_path=kubectl_on_path())


def given_kubeconfig() -> Path:
    """The one file that KUBECONFIG names; raises BadRequestError.

    ~/.kube/config is never a fallback: it is where people keep the clusters that tests must not reach.
    """
    value = os.environ.get("KUBECONFIG", "")
    files = [part for part in value.split(os.pathsep) if part]
    if len(files) != 1:
        what = "is not set" if not files else f"names {len(files)} files ({value})"
        raise BadRequestError(f"KUBECONFIG {what}: provider existing takes the one file that it names. Set it to one.")
    path = Path(files[0]).absolute()
    if not path.is_file():
        raise BadRequestError(
            f"KUBECONFIG names {path}, which is no file. Correct it, or unset it to have a cluster made."
        )
    return path


def kubectl_on_path() -> Path:
    """The machine's kubectl; raises ToolMissingError."""
    found = shutil.which("kubectl")
    if found is None:
        raise ToolMissingError(
            "kubectl is not on the PATH: install it, or use --provider embedded, which builds its own."
        )
    return Path(found).absolute()
