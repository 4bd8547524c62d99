"""Gauges say what is wrong, and nothing of what is well."""

from datetime import timedelta
from typing import Any

from prometheus_client import generate_latest

from builders.objects import certificate, client, default_authority
from builders.pki import NOW
from mintls.controllers.gauges import observe_bundles, observe_lists, observe_readiness, observe_renewals
from mintls.controllers.metrics import Metrics
from mintls.core.pki.crl import Revoked, sign_list

WHEN = "2026-01-01T12:00:00Z"
WELL = {"type": "Ready", "status": "True", "reason": "Issued", "message": "m", "lastTransitionTime": WHEN}
WAITS = {"type": "Issuing", "status": "True", "reason": "QuotaExceeded", "message": "m", "lastTransitionTime": WHEN}
UNREADY = {"type": "Ready", "status": "False", "reason": "NoIssuerReady", "message": "m", "lastTransitionTime": WHEN}
TIMES = {"notBefore": "1970-01-01T00:00:00Z", "renewalTime": "1970-01-01T00:01:40Z", "notAfter": "1970-01-01T00:03:20Z"}


def series(metrics: Metrics, name: str) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    found = (line.rsplit(" ", 1) for line in lines if line.startswith(name + "{"))
    return {labels.removeprefix(name): float(value) for labels, value in found}


def a_certificate(name: str, *conditions: Any, **status: Any) -> Any:
    return certificate(name, status={"conditions": list(conditions), **TIMES, **status})


def test_a_certificate_whose_renewal_waits_has_its_failures_and_its_times() -> None:
    metrics = Metrics()
    observe_renewals(metrics, [a_certificate("a", WELL), a_certificate("b", WELL, WAITS, failedAttempts=3)])
    labels = '{name="b",namespace="shop"}'
    assert series(metrics, "mintls_certificate_failed_attempts") == {labels: 3}
    assert series(metrics, "mintls_certificate_renewal_due_timestamp_seconds") == {labels: 100}
    assert series(metrics, "mintls_certificate_not_after_timestamp_seconds") == {labels: 200}
    observe_renewals(metrics, [a_certificate("b", WELL)])
    assert series(metrics, "mintls_certificate_failed_attempts") == {}


def test_objects_that_are_not_ready_are_counted_by_reason() -> None:
    metrics = Metrics()
    items = [client(name, status={"conditions": [UNREADY]}) for name in ("a", "b")]
    observe_readiness(metrics, [*items, client("c"), a_certificate("d", WELL)])
    assert series(metrics, "mintls_not_ready") == {'{kind="OAuthClient",reason="NoIssuerReady"}': 2}
    observe_readiness(metrics, [])
    assert series(metrics, "mintls_not_ready") == {}


def test_namespaces_without_their_bundle_are_counted_by_reason() -> None:
    metrics = Metrics()
    observe_bundles(metrics, {"QuotaExceeded": 3})
    assert series(metrics, "mintls_trust_bundles_missing") == {'{reason="QuotaExceeded"}': 3}
    observe_bundles(metrics, {})
    assert series(metrics, "mintls_trust_bundles_missing") == {}


def test_the_crls_of_an_authority_are_counted_with_the_end_of_the_first() -> None:
    metrics, ca, lists = Metrics(), default_authority(), []
    for day, serials in ((7, (1, 2)), (9, (3,))):
        entries = dict.fromkeys(serials, Revoked(NOW))
        end = NOW + timedelta(days=day)
        lists.append(sign_list(ca.intermediate, ca.signer.key, entries, number=1, this_update=NOW, next_update=end))
    observe_lists(metrics, {"default": tuple(lists)})
    assert series(metrics, "mintls_crl_entries") == {'{authority="default"}': 3}
    ends = series(metrics, "mintls_crl_next_update_timestamp_seconds")
    assert ends == {'{authority="default"}': lists[0].next_update.timestamp()}
    observe_lists(metrics, {})
    assert series(metrics, "mintls_crl_entries") == {}
