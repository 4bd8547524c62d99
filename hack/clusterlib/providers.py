"""Which provider a command is about.

What is asked for by --provider or MINTLS_CLUSTER_PROVIDER counts first. ``auto``, in this order: whatever a cluster
of this name was made with; the cluster that KUBECONFIG names, unless that is one of ours; kind, where a container
engine answers and the tools are there; embedded.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from clusterlib import embedded, existing, kind, record
from clusterlib.cluster import Provider
from clusterlib.errors import BadRequestError
from clusterlib.options import Options
from clusterlib.paths import ClusterDir, clusters_root
from clusterlib.progress import Progress

VARIABLE = "MINTLS_CLUSTER_PROVIDER"
AUTO = "auto"
CHOICES = (AUTO, existing.NAME, kind.NAME, embedded.NAME)


@dataclass(frozen=True)
class Facts:
    """What the choice depends on."""

    asked: str
    recorded: str | None
    """The provider that a cluster of this name was made with."""
    kubeconfig_given: bool
    """KUBECONFIG names a cluster that is none of ours."""
    options: Options
    kind_works: Callable[[], bool]
    """Asked only when it matters: a container engine takes its time to answer."""


def choose(facts: Facts) -> tuple[str, str]:
    """The provider and why it is that one; raises BadRequestError for one that contradicts the record."""
    if facts.asked not in CHOICES:
        raise BadRequestError(f"{facts.asked!r} is no provider: use one of {', '.join(CHOICES)}.")
    if facts.asked != AUTO:
        return _asked(facts)
    if facts.recorded:
        return facts.recorded, "that is what it was made with"
    if facts.options.only_embedded():
        return embedded.NAME, "only it has the options asked for"
    if facts.kubeconfig_given:
        return existing.NAME, "KUBECONFIG names a cluster"
    if facts.kind_works():
        return kind.NAME, "a container engine answers"
    return embedded.NAME, "no container engine answers, or kind or kubectl is missing"


def _asked(facts: Facts) -> tuple[str, str]:
    if facts.recorded and facts.asked not in (facts.recorded, existing.NAME):
        raise BadRequestError(
            f"the cluster of this name was made with provider {facts.recorded}, not {facts.asked}: take it down "
            "first, or use another --name."
        )
    return facts.asked, "it was asked for"


def gather(name: str, asked: str | None, options: Options, environment: Mapping[str, str]) -> Facts:
    """The facts about *name* on this machine; *asked* None reads the environment variable."""
    known = record.load(ClusterDir.of(name))
    return Facts(
        asked=asked or environment.get(VARIABLE) or AUTO,
        recorded=known.provider if known else None,
        kubeconfig_given=_is_foreign(environment.get("KUBECONFIG", "")),
        options=options,
        kind_works=lambda: bool(shutil.which("kind") and shutil.which("kubectl") and kind.engine()),
    )


def _is_foreign(kubeconfig: str) -> bool:
    """Whether KUBECONFIG is set, and to something else than what this launcher writes.

    After `export KUBECONFIG=$(hack/cluster kubeconfig)`, `down` and the next `up` are still about our own cluster.
    """
    return bool(kubeconfig) and not Path(kubeconfig).resolve().is_relative_to(clusters_root().resolve())


def make(name: str, progress: Progress) -> Provider:
    """The provider called *name*."""
    makers: dict[str, Callable[[Progress], Provider]] = {
        existing.NAME: existing.Existing,
        kind.NAME: kind.Kind,
        embedded.NAME: embedded.Embedded,
    }
    return makers[name](progress)


def provider_for(
    name: str,
    *,
    asked: str | None = None,
    options: Options | None = None,
    environment: Mapping[str, str] | None = None,
    progress: Progress,
) -> tuple[Provider, str]:
    """The provider for the cluster *name* and why it is that one; raises BadRequestError, RecordError."""
    chosen, reason = choose(gather(name, asked, options or Options(), environment or os.environ))
    return make(chosen, progress), reason
