"""docs/issuer.md says what the code does."""

import json
import re
from pathlib import Path

import msgspec

from mintls.core.oauth.access_token import AccessTokenClaims
from mintls.core.oauth.errors import OAuthError, Reason
from mintls.core.oauth.metadata import server_metadata
from mintls.issuer.audit import Trail
from mintls.issuer.metrics import Metrics, SourceView
from mintls.issuer.settings import Limits

PAGE = (Path(__file__).parents[3] / "docs" / "issuer.md").read_text()


def test_the_metadata_document() -> None:
    shown = re.search(r"json\.tool\n(\{.*?\n\})\n```", PAGE, re.DOTALL)
    assert shown is not None
    document = server_metadata(
        "https://mintls-issuer.mintls-system.svc:8443", "https://mintls-issuer.mintls-system.svc:9443"
    )
    assert json.loads(shown[1]) == json.loads(msgspec.json.encode(document))


def test_the_payload_of_a_token() -> None:
    [payload] = re.findall(r"^\{\"iss\".*\}$", PAGE, re.MULTILINE)
    claims = msgspec.json.decode(payload, type=AccessTokenClaims)
    assert msgspec.json.encode(claims).decode() == payload


def test_the_audit_lines() -> None:
    lines = re.findall(r"^\{\"event\".*\}$", PAGE, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        trail = msgspec.json.decode(line, type=Trail)
        assert msgspec.json.encode(trail).decode() == line
        assert trail.reason in {"ok", *Reason}


def test_every_error_code_is_in_the_table() -> None:
    table = PAGE.partition("## Errors")[2].partition("```")[0]
    for error in OAuthError.__subclasses__():
        assert f"`{error.code}`" in table


def test_every_metric_is_in_the_table() -> None:
    metrics = Metrics()
    metrics.count("token", "tls_client_auth", "ok", status=200, seconds=0.0)
    metrics.watch_directory(
        clients=float,
        anchors=float,
        signing_keys=float,
        spent_identifiers=float,
        clients_without_keys=float,
        certificate_not_after=float,
    )
    metrics.watch_sources([SourceView("x", bool, float)])
    names = set(re.findall(r"^# HELP (\w+)", metrics.render().decode(), re.MULTILINE))
    names = {name for name in names if not name.endswith("_created")}
    assert {
        re.split(r"[{`]", cell)[0] for cell in re.findall(r"^\| `(mintls_issuer\w+[^ ]*)", PAGE, re.MULTILINE)
    } == names


def test_the_limits() -> None:
    limits = Limits()
    words = (
        f"longer than {limits.body_seconds:.0f} s",
        f"longer than {limits.body_bytes // 1024} KiB",
        f"closed after {limits.idle_seconds:.0f} s",
        f"handshake after {limits.handshake_seconds:.0f} s",
        f"after {limits.drain_seconds:.0f} s, and waits up\nto {limits.shutdown_seconds:.0f} s",
    )
    for word in words:
        assert word in PAGE, word
