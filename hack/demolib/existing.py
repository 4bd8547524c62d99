"""A cluster that is not ours: only what the demo brought is touched, and all of that is removed at the end."""

import json
import subprocess
from collections.abc import Callable, Sequence

from clusterlib.cluster import Cluster
from demolib.errors import DemoError, OccupiedError
from demolib.place import ROOT

_USERS = ("namespace/shop", "namespace/tour")

_OURS = (
    *_USERS,
    "namespace/mintls-system",
    "customresourcedefinition/oauthclients.mintls.dev",
    "customresourcedefinition/clientcertificates.mintls.dev",
    "customresourcedefinition/certificateauthorities.mintls.dev",
    "clusterrole/mintls-operator",
    "clusterrole/mintls-issuer",
    "clusterrolebinding/mintls-operator",
    "clusterrolebinding/mintls-issuer",
)
"""What the demo brings to a cluster; all else lies within one of these."""


def require_clear(cluster: Cluster) -> None:
    """Make sure that the cluster has none of what the demo deletes at its end.

    Raises:
        OccupiedError: It has, so somebody may be using it.
    """
    there = json.loads(cluster.kubectl("get", *_OURS, "--ignore-not-found", "-o", "json") or "{}")
    items = there.get("items", [there] if there else [])
    if items:
        names = ", ".join(f"{item['kind']} {item['metadata']['name']}" for item in items)
        raise OccupiedError(
            f"the cluster behind {cluster.kubeconfig} has {names}, which the demo would delete at its end. "
            "Use a cluster without Mintls, or leave the provider out to have one made."
        )


def remove(kubectl: str, kubeconfig: str, say: Callable[[str], None]) -> None:
    """Delete what the demo brought: users' objects first, as their kinds go last.

    Raises:
        DemoError: kubectl could not.
    """
    say("removing what the demo brought to the cluster")
    for group in (_USERS, ("-f", str(ROOT / "hack/manifests/default-authority.yaml")), _OURS[len(_USERS) :]):
        _delete(kubectl, kubeconfig, group)


def _delete(kubectl: str, kubeconfig: str, what: Sequence[str]) -> None:
    done = subprocess.run(
        [kubectl, "--kubeconfig", kubeconfig, "delete", "--ignore-not-found", "--timeout=120s", *what],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and "no matches for kind" not in done.stderr:
        raise DemoError(f"{' '.join(what)}: could not be deleted: {done.stderr.strip()}")
