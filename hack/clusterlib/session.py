"""A cluster for as long as a piece of Python needs one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from clusterlib import embedded, processes, providers, record
from clusterlib.cluster import Cluster
from clusterlib.errors import ClusterError
from clusterlib.options import Options
from clusterlib.paths import ClusterDir, recorded_clusters
from clusterlib.progress import Progress, Silent
from clusterlib.record import Owner


def unique_name(purpose: str = "test") -> str:
    """A name that no other process takes."""
    return f"{purpose}-{os.getpid()}-{secrets.token_hex(2)}"


@contextmanager
def running_cluster(
    name: str | None = None,
    *,
    provider: str | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Iterator[Cluster]:
    """A running cluster, taken down at the end, whatever happens; raises ClusterError.

    Without a *name* it has a unique one. A cluster of that name that was there before is used, and left.
    *provider* None reads MINTLS_CLUSTER_PROVIDER, else chooses one, but never ``existing``: what is done to a
    cluster here is not for whatever KUBECONFIG happens to name; that has to be asked for.
    *options* None takes what the provider has (with ``embedded`` an audit log), or what the cluster there has.
    A cluster whose process was killed before it could take it down is removed by the next one's start.
    """
    reporting = progress or Silent()
    called = name or unique_name()
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    chosen, _ = providers.provider_for(
        called, asked=provider, options=options, environment=environment, progress=reporting
    )
    was_there = record.load(ClusterDir.of(called)) is not None
    wanted = Options(audit_log=chosen.name == embedded.NAME and not was_there) if options is None else options
    remove_abandoned(reporting)
    try:
        yield chosen.up(called, wanted, owned=not was_there).cluster
    finally:
        if not was_there:
            chosen.down(called)


def lives(owner: Owner) -> bool:
    """Whether the process that a cluster is for still runs."""
    return processes.started_at(owner.pid) == owner.started


def remove_abandoned(progress: Progress) -> list[str]:
    """Take down every cluster whose owner is gone; returns their names. One that resists is left to ``down``."""
    removed = []
    for folder in recorded_clusters():
        try:
            known = record.load(folder)
            if known and known.owner and not lives(known.owner):
                progress.say(f"cluster {folder.name}: its owner, process {known.owner.pid}, is gone; removing it")
                providers.make(known.provider, progress).down(folder.name)
                removed.append(folder.name)
        except ClusterError as error:
            progress.say(f"{error}")
    return removed
