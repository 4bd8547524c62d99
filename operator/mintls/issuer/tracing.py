"""Spans sent to an OpenTelemetry collector (OTLP over HTTP).

This is the one module that imports OpenTelemetry, and it is imported only where a collector is configured: else nobody
pays for it. OpenTelemetry's own variables say what else there is to say: headers, CAs, sampling, names of the resource.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from mintls.issuer.spans import Handled, Record

_SERVICE = "mintls-issuer"
# A pod that ends has other things to do than to wait for a collector that is away.
_LAST_SECONDS = 2.0

_propagator = TraceContextTextMapPropagator()


@asynccontextmanager
async def exported_spans() -> AsyncIterator[Record]:
    """Spans go out in batches, from a thread of their own; what does not fit into its queue is dropped.

    Gives:
        What records a request.
    """
    own = version("mintls")
    named = Resource.create({"service.name": _SERVICE, "service.version": own})
    # Merged last: what the environment says prevails.
    provider = TracerProvider(resource=named.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("mintls.issuer", own)
    try:
        yield lambda handled: _record(tracer, handled)
    finally:
        last = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, _LAST_SECONDS)


def _record(tracer: Tracer, handled: Handled) -> None:
    """A span as OpenTelemetry's semantic conventions have it for HTTP servers, with what is our own beside."""
    span = tracer.start_span(
        f"{handled.method} {handled.route}",
        context=_propagator.extract({"traceparent": handled.traceparent, "tracestate": handled.tracestate}),
        kind=SpanKind.SERVER,
        attributes=_attributes(handled),
        start_time=handled.began,
    )
    if handled.status >= 500:  # what a caller does wrong is no error of the server
        span.set_status(StatusCode.ERROR)
    span.end(handled.ended)


def _attributes(handled: Handled) -> dict[str, str | int]:
    known: dict[str, str | int] = {
        "http.request.method": handled.method,
        "http.route": handled.route,
        "http.response.status_code": handled.status,
        "mintls.endpoint": handled.endpoint,
        "mintls.outcome": handled.outcome,
        "mintls.request_id": handled.request_id,
        "mintls.client": handled.client,
        "mintls.authentication_method": handled.authentication,
    }
    return {name: value for name, value in known.items() if value != ""}
