"""Metrics of the operator (Prometheus naming conventions)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """All metrics of one operator, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciliations = Counter(
            "mintls_reconciliations", "Looks at an object.", ["kind", "outcome"], registry=self.registry
        )
        self.reconciliation_seconds = Histogram(
            "mintls_reconciliation_seconds",
            "Time that a look at an object took.",
            ["kind"],
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5),
            registry=self.registry,
        )
        self.api_requests = Counter(
            "mintls_kubernetes_requests",
            "Requests to the Kubernetes API.",
            ["verb", "resource", "status"],
            registry=self.registry,
        )
        self.watch_restarts = Counter(
            "mintls_watch_restarts", "Times that the watches of our kinds were begun again.", registry=self.registry
        )
        self.leading = Gauge("mintls_leading", "1 while this replica holds the Lease.", registry=self.registry)
        self.queue = Gauge("mintls_queue_depth", "Objects that wait for a look.", ["lane"], registry=self.registry)
        self.objects = Gauge("mintls_objects", "Objects known.", ["kind"], registry=self.registry)
        self.not_ready = Gauge(
            "mintls_not_ready", "Objects that are not Ready, by the reason.", ["kind", "reason"], registry=self.registry
        )
        name = ["namespace", "name"]
        self.failed_attempts = Gauge(
            "mintls_certificate_failed_attempts",
            "Attempts that failed in a row, of certificates whose renewal waits.",
            name,
            registry=self.registry,
        )
        self.renewal_due = Gauge(
            "mintls_certificate_renewal_due_timestamp_seconds",
            "When the renewal was due, of certificates whose renewal waits.",
            name,
            registry=self.registry,
        )
        self.not_after = Gauge(
            "mintls_certificate_not_after_timestamp_seconds",
            "When the certificate ends, of certificates whose renewal waits.",
            name,
            registry=self.registry,
        )
        self.root_rotation = Gauge(
            "mintls_root_rotation",
            "1 for the phase of each authority's root rotation; none while there is no rotation.",
            ["authority", "phase"],
            registry=self.registry,
        )
        self.bundles_missing = Gauge(
            "mintls_trust_bundles_missing",
            "Namespaces without the trust bundle that they should have, by the reason.",
            ["reason"],
            registry=self.registry,
        )
        self.list_next_update = Gauge(
            "mintls_crl_next_update_timestamp_seconds",
            "Until when the CRL of the CA that signs counts.",
            ["authority"],
            registry=self.registry,
        )
        self.list_entries = Gauge(
            "mintls_crl_entries", "Certificates on the CRLs of each authority.", ["authority"], registry=self.registry
        )
        self.scheduled = Gauge("mintls_scheduled", "Objects with a due time.", registry=self.registry)

    def request_made(self, verb: str, resource: str, status: int, seconds: float) -> None:
        """Hook of ``ApiClient``."""
        del seconds
        self.api_requests.labels(verb, resource, str(status)).inc()
