"""What the issuer counts. A registry of its own: nothing global, and a test can have many."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

# Seconds. A token takes about 0.1 ms of CPU; what is longer is waiting.
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_BOUNDS = (*map(str, _BUCKETS), "+Inf")
_LABELS = ("endpoint", "method", "outcome")


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


class _Times:
    """How long requests took: how many ended within each bound but not within the one before, and all together."""

    __slots__ = ("each", "seconds")

    def __init__(self) -> None:
        self.each = [0] * (len(_BUCKETS) + 1)
        self.seconds = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """How many ended within each bound, as Prometheus has it."""
        return list(zip(_BOUNDS, accumulate(self.each), strict=True))


class _Requests(Collector):
    """How many requests there were, and how long they took.

    Counted here and made into the form of Prometheus when somebody reads it: its client takes a lock for each number,
    and a request has three. All labels are our own words, so there are few combinations. One of them has 17 series in
    a histogram, so its outcomes are four.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], int] = {}
        self._times: dict[tuple[str, str, str], _Times] = {}

    def count(self, endpoint: str, method: str, outcome: str, status: int, seconds: float) -> None:
        """As ``Metrics.count``."""
        of = (endpoint, method, outcome)
        self._counts[of] = self._counts.get(of, 0) + 1
        kind = (endpoint, method, _kind(status))
        times = self._times.get(kind)
        if times is None:
            times = self._times[kind] = _Times()
        times.each[bisect_left(_BUCKETS, seconds)] += 1
        times.seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """What there is now."""
        requests = CounterMetricFamily(
            "mintls_issuer_requests",
            "Requests by endpoint, how the client authenticates, and outcome (ok, or why it was refused).",
            labels=_LABELS,
        )
        for of, count in self._counts.items():
            requests.add_metric(of, count)
        yield requests
        lasting = HistogramMetricFamily(
            "mintls_issuer_request_seconds",
            "Time from a request's headers to its answer; the outcome is ok, refused, unavailable or failed.",
            labels=_LABELS,
        )
        for of, times in self._times.items():
            lasting.add_metric(of, times.buckets(), times.seconds)
        yield lasting


class Metrics:
    """Counters, histograms and gauges of one issuer."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = _Requests()
        self._registry.register(self._requests)
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
        self._requests.count(endpoint, method or "none", outcome, status, seconds)

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
