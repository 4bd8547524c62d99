"""What a trace shows of a request, and whether there is somebody to show it to. Knows no tracing library."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mintls.issuer.settings import InvalidSettings

_ENDPOINT, _OF_TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


@dataclass(frozen=True, slots=True)
class Handled:
    """A request that was answered.

    All of it are the issuer's own words, but for ``method``, ``request_id``, which the caller may have chosen within
    narrow bounds, and the two headers of W3C Trace Context, which end where they are not well-formed.

    Attributes:
        endpoint: Name of the endpoint.
        method: Method of the request.
        route: Path of the endpoint, with names for what differs.
        status: HTTP status of the answer.
        outcome: ``ok``, or the reason of the audit log.
        request_id: ``X-Request-ID`` of the answer.
        client: Namespace and name of the OAuthClient, "" if there is none.
        authentication: How that client authenticates, "" if there is none.
        began: When the headers were there, in nanoseconds since the epoch.
        ended: When there was an answer, in nanoseconds since the epoch.
        traceparent: The caller's span, "" if it named none.
        tracestate: What goes with it.
    """

    endpoint: str
    method: str
    route: str
    status: int
    outcome: str
    request_id: str
    client: str
    authentication: str
    began: int
    ended: int
    traceparent: str
    tracestate: str


type Record = Callable[[Handled], None]
"""Takes what a trace shows of a request. It never waits and never fails."""


def wants_traces(environment: Mapping[str, str]) -> bool:
    """Whether spans are to be sent somewhere, by the variables that OpenTelemetry has for it.

    Args:
        environment: Environment variables; an empty one counts as missing.

    Raises:
        InvalidSettings: The endpoint is no URL, or another protocol is asked for.
    """
    name = next((one for one in (_OF_TRACES, _ENDPOINT) if environment.get(one)), "")
    if not name or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if not _is_url(environment[name]):
        raise InvalidSettings(
            f"{name} {environment[name]!r} must be an http or https URL, such as http://otel-collector.monitoring:4318"
        )
    protocol = next((environment[one] for one in _PROTOCOLS if environment.get(one)), _SPOKEN)
    if protocol != _SPOKEN:
        raise InvalidSettings(
            f"OTEL_EXPORTER_OTLP_PROTOCOL {protocol!r} is not spoken: use {_SPOKEN}, mostly at port 4318"
        )
    return True


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
