"""What the objects say, as gauges: read from their status when the metrics are asked for."""

import collections
from collections.abc import Iterable, Mapping

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate
from mintls.controllers.metrics import Metrics
from mintls.controllers.objects import CustomResource
from mintls.core.pki.crl import RevocationList
from mintls.reconcile.conditions import find, holds


def observe_readiness(metrics: Metrics, objects: Iterable[CustomResource]) -> None:
    """How many of these objects are not Ready, by kind and reason."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for item in objects:
        ready = find(item.status.conditions, "Ready")
        if ready is not None and ready.status != "True":
            counts[type(item).__name__, ready.reason] += 1
    metrics.not_ready.clear()
    for labels, count in counts.items():
        metrics.not_ready.labels(*labels).set(count)


def observe_renewals(metrics: Metrics, certificates: Iterable[ClientCertificate]) -> None:
    """Of each certificate whose renewal waits; those that are well have no series, so that 10,000 of them cost none."""
    for gauge in (metrics.failed_attempts, metrics.renewal_due, metrics.not_after):
        gauge.clear()
    for item in certificates:
        status = item.status
        if status.not_after is None or status.renewal_time is None or not holds(status.conditions, "Issuing"):
            continue
        labels = (item.metadata.namespace, item.metadata.name)
        metrics.failed_attempts.labels(*labels).set(status.failed_attempts)
        metrics.renewal_due.labels(*labels).set(status.renewal_time.timestamp())
        metrics.not_after.labels(*labels).set(status.not_after.timestamp())


def observe_lists(metrics: Metrics, published: Mapping[str, tuple[RevocationList, ...]]) -> None:
    """The CRLs of each authority."""
    for gauge in (metrics.list_next_update, metrics.list_entries):
        gauge.clear()
    for authority, lists in published.items():
        metrics.list_next_update.labels(authority).set(lists[0].next_update.timestamp())
        metrics.list_entries.labels(authority).set(sum(len(one.revoked) for one in lists))


def observe_rotations(metrics: Metrics, authorities: Iterable[CertificateAuthority]) -> None:
    """The phase of each authority's root rotation."""
    metrics.root_rotation.clear()
    for authority in authorities:
        if authority.status.rotation is not None:
            metrics.root_rotation.labels(authority.metadata.name, authority.status.rotation.phase).set(1)


def observe_bundles(metrics: Metrics, missing: Mapping[str, int]) -> None:
    """In how many namespaces the trust bundle is not as it should be, by reason."""
    metrics.bundles_missing.clear()
    for reason, count in missing.items():
        metrics.bundles_missing.labels(reason).set(count)
