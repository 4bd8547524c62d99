"""Traces: what a collector gets of a request, what it never gets, and that nobody pays for it who has none."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from opentelemetry.sdk.trace import TracerProvider

from builders.collector import Collector, attributes, running_collector
from builders.fuzz import fuzzed, header_values
from builders.issuer import Bench, form, running_issuer
from builders.world import REPOSITORY
from mintls.cli.main import main
from mintls.issuer.settings import InvalidSettings
from mintls.issuer.spans import Handled, wants_traces
from mintls.issuer.tracing import _record, exported_spans

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@asynccontextmanager
async def traced(
    directory: Path, monkeypatch: pytest.MonkeyPatch, collector: Collector, **environment: str
) -> AsyncIterator[Bench]:
    """An issuer whose spans have all arrived when it has ended."""
    for name, value in {ENDPOINT: collector.url, **environment}.items():
        monkeypatch.setenv(name, value)
    async with exported_spans() as record, running_issuer(directory, record=record) as bench:
        yield bench


async def test_a_request_is_a_span(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector) as bench, bench.connect(bench.authority.client()) as client:
            reply = await client.post("/token", form(), traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="a=b")
            assert reply.status == 200
        [span] = collector.spans
        assert collector.paths == ["/v1/traces"]
        assert collector.resource["service.name"] == "mintls-issuer"
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, PARENT, "a=b")
    assert (span.name, span.kind, span.status.code) == ("POST /token", 2, 0)
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 10**10
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/token",
        "http.response.status_code": 200,
        "mintls.endpoint": "token",
        "mintls.outcome": "ok",
        "mintls.request_id": reply.headers["x-request-id"],
        "mintls.client": "shop/billing",
        "mintls.authentication_method": "tls_client_auth",
    }


async def test_a_refusal_says_why_and_is_no_error_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector) as bench, bench.connect() as client:
            await client.post("/token", form())
            await client.request("GET", "/register/shop:billing")
            await client.request("GET", "/jwks")
        token, registration, jwks = collector.spans
    assert attributes(token)["mintls.outcome"] == "no_certificate"
    assert token.status.code == 0
    assert not token.parent_span_id
    assert attributes(registration)["http.route"] == "/register/{target}", "a route has no client's name in it"
    assert attributes(jwks) | {"mintls.endpoint": "jwks", "mintls.outcome": "ok"} == attributes(jwks)


async def test_what_is_missing_at_the_issuer_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector) as bench, bench.connect(bench.authority.client()) as client:
            bench.issuer.directory.put_signing_keys(())
            assert (await client.post("/token", form())).status == 503
        [span] = collector.spans
    assert (span.status.code, attributes(span)["mintls.outcome"]) == (2, "no_signing_key")


async def test_no_token_key_or_body_gets_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret-" * 5
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector) as bench, bench.connect(bench.authority.client()) as client:
            token = (await client.post("/token", form())).json["access_token"]
            await client.post("/introspect", {"client_id": "shop:billing", "token": token})
            bearer = {"Authorization": f"Bearer {secret}", "DPoP": secret, "traceparent": secret, "tracestate": secret}
            await client.post("/token", form(client_secret=secret, client_id=secret), **bearer)
            await client.request("GET", f"/register/{secret}?{secret}", headers=bearer)
        assert len(collector.spans) == 4
        sent = b"".join(collector.bodies)
    assert secret.encode() not in sent
    assert not [part for part in token.split(".") if part.encode() in sent]


async def test_a_caller_that_does_not_sample_is_not_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector) as bench, bench.connect() as client:
            await client.request("GET", "/jwks", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
            await client.request("GET", "/jwks", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
        assert len(collector.spans) == 1


async def test_the_variables_of_opentelemetry_say_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"OTEL_SERVICE_NAME": "tokens", "OTEL_RESOURCE_ATTRIBUTES": "k8s.pod.name=a"}
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector, **more) as bench, bench.connect() as client:
            await client.request("GET", "/jwks")
        assert collector.resource | {"service.name": "tokens", "k8s.pod.name": "a"} == collector.resource


async def test_so_do_they_say_how_much_is_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off = {"OTEL_TRACES_SAMPLER": "always_off"}
    with running_collector() as collector:
        async with traced(tmp_path, monkeypatch, collector, **off) as bench, bench.connect() as client:
            await client.request("GET", "/jwks")
        assert not collector.bodies


async def test_requests_are_answered_while_the_collector_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        away = Collector(f"http://127.0.0.1:{silent.getsockname()[1]}")
        async with (
            traced(tmp_path, monkeypatch, away, OTEL_BSP_SCHEDULE_DELAY="10", OTEL_EXPORTER_OTLP_TIMEOUT="1") as bench,
            bench.connect(bench.authority.client()) as client,
        ):
            assert [(await client.post("/token", form())).status for _ in range(20)] == [200] * 20


TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")


@fuzzed(200)
@given(header_values(f"00-{TRACE}-{PARENT}-01".encode()), header_values(b"a=b,c@d=e"))
def test_whatever_a_caller_says_of_its_trace(traceparent: bytes, tracestate: bytes) -> None:
    headers = (value.decode(errors="replace") for value in (traceparent, tracestate))
    _record(TRACER, Handled("token", "POST", "/token", 200, "ok", "1", "", "", 1, 2, *headers))


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({ENDPOINT: ""}, False),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://collector/v1/traces"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_when_there_are_traces(environment: Mapping[str, str], *, wanted: bool) -> None:
    assert wants_traces(environment) is wanted


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({ENDPOINT: "collector:4318"}, "OTEL_EXPORTER_OTLP_ENDPOINT 'collector:4318' must be an http or https URL"),
        ({ENDPOINT: "http://[::1:4318"}, "must be an http or https URL"),
        ({ENDPOINT: "http://collector:x"}, "must be an http or https URL"),
        ({ENDPOINT: "http://a:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "'grpc' is not spoken: use http/protobuf"),
    ],
)
def test_what_cannot_be_done_is_said_at_the_start(environment: Mapping[str, str], message: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        wants_traces(environment)
    assert message in str(refused.value)
    urls = ["--issuer-url", "https://a", "--mtls-url", "https://b"]
    result = CliRunner().invoke(main, ["issuer", *urls], env=dict(environment))
    assert result.exit_code == 1
    assert message in result.output


def test_nobody_without_a_collector_imports_opentelemetry() -> None:
    program = "import mintls.cli.main, mintls.issuer.run, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY / "tests", capture_output=True, check=True, text=True
    )
    loaded: list[Any] = json.loads(done.stdout)
    assert "mintls.issuer.server" in loaded
    assert not [name for name in loaded if name.startswith(("opentelemetry", "mintls.issuer.tracing"))]
