"""What the issuer counts. A registry of its own: nothing global, and a test can have many."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# Seconds. A token takes about 0.1 ms of CPU; what is longer is waiting.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class SourceView:
    """How one of the watched sources is, asked whenever metrics are read.

    Attributes:
        name: Its name.
        connected: Whether its watch is open.
        age: Seconds since the API server last gave a sign of life; infinite before the first.
    """

    name: str
    connected: Callable[[], bool]
    age: Callable[[], float]


class Metrics:
    """Counters, histograms and gauges of one issuer."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._known: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "mintls_issuer_requests",
            "Requests by endpoint, how the client authenticates, and outcome (ok, or why it was refused).",
            ("endpoint", "method", "outcome"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "mintls_issuer_request_seconds",
            "Time from a request's headers to its answer; the outcome is ok, refused, unavailable or failed.",
            ("endpoint", "method", "outcome"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._source_errors = Counter(
            "mintls_issuer_source_errors",
            "Objects that could not be used, by source.",
            ("source",),
            registry=self._registry,
        )
        self._jwks_fetches = Counter(
            "mintls_issuer_jwks_uri_fetches",
            "Fetches of what is at a client's jwksURI, by outcome (ok, unchanged or failed).",
            ("outcome",),
            registry=self._registry,
        )
        self._source_connected = self._gauge(
            "source_connected", "1 while the Kubernetes API is watched; at 0 answers come from memory.", ("source",)
        )
        self._source_age = self._gauge(
            "source_age_seconds", "Time since the last sign of life of the Kubernetes API.", ("source",)
        )

    def count(self, endpoint: str, method: str, outcome: str, *, status: int, seconds: float) -> None:
        """Count a request and how long it took.

        Args:
            endpoint: Which endpoint.
            method: How its client authenticates, "" if it is of no client that is known.
            outcome: ``ok``, or why it was refused.
            status: HTTP status of the answer.
            seconds: Time to the answer.
        """
        counter, histogram = self._series(endpoint, method or "none", outcome, status)
        counter.inc()
        histogram.observe(seconds)

    def _series(self, endpoint: str, method: str, outcome: str, status: int) -> tuple[Counter, Histogram]:
        # Finding a series by its labels costs more than counting in it. There are few: all labels are our own words. A
        # histogram has 16 series for each combination, so its outcomes are four.
        series = self._known.get((endpoint, method, outcome, status))
        if series is None:
            kind = _kind(status)
            series = (self._requests.labels(endpoint, method, outcome), self._seconds.labels(endpoint, method, kind))
            self._known[endpoint, method, outcome, status] = series
        return series

    def count_source_error(self, source: str) -> None:
        """Count an object that could not be used."""
        self._source_errors.labels(source).inc()

    def count_jwks_fetch(self, outcome: str) -> None:
        """Count a fetch of a client's keys."""
        self._jwks_fetches.labels(outcome).inc()

    def watch_directory(
        self,
        *,
        clients: Callable[[], float],
        anchors: Callable[[], float],
        signing_keys: Callable[[], float],
        spent_identifiers: Callable[[], float],
        clients_without_keys: Callable[[], float],
        certificate_not_after: Callable[[], float],
    ) -> None:
        """Show what the directory holds, asked whenever metrics are read."""
        self._gauge("clients", "Clients that can be authenticated.").set_function(clients)
        self._gauge("trust_anchors", "Root certificates that are trusted.").set_function(anchors)
        self._gauge("signing_keys", "Published signing keys.").set_function(signing_keys)
        self._gauge("spent_identifiers", "Identifiers that are refused: revoked tokens, used proofs.").set_function(
            spent_identifiers
        )
        self._gauge("clients_without_keys", "Clients with a jwksURI whose keys are not to be had.").set_function(
            clients_without_keys
        )
        self._gauge(
            "server_certificate_not_after_timestamp_seconds", "End of the server certificate's validity."
        ).set_function(certificate_not_after)

    def watch_sources(self, sources: Iterable[SourceView]) -> None:
        """Show how the sources are, asked whenever metrics are read."""
        for source in sources:
            self._source_errors.labels(source.name)
            self._source_connected.labels(source.name).set_function(source.connected)
            self._source_age.labels(source.name).set_function(source.age)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, documentation: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"mintls_issuer_{name}", documentation, labels, registry=self._registry)


def _kind(status: int) -> str:
    """What became of a request: what the caller did wrong, what something else did that is away, what we did."""
    if status < 400:
        return "ok"
    return {500: "failed", 503: "unavailable"}.get(status, "refused")
