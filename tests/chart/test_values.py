"""values.yaml, its schema, and the files that the chart takes over from elsewhere. No Helm is needed."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from builders.helm import CHART
from builders.world import REPOSITORY
from generate.chart import UndocumentedValueError, documented_values
from mintls.controllers.metrics import Metrics as OperatorMetrics
from mintls.issuer.metrics import Metrics as IssuerMetrics
from mintls.issuer.metrics import SourceView

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())


def paths(values: dict[str, Any], documented: set[str], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict) and f"{prefix}{key}" not in documented:
            yield from paths(value, documented, f"{prefix}{key}.")


def schema_paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in schema.get("properties", {}).items():
        yield f"{prefix}{key}"
        yield from schema_paths(value, f"{prefix}{key}.")


def test_the_schema_knows_exactly_the_values_that_there_are() -> None:
    documented = {one.path for one in documented_values((CHART / "values.yaml").read_text())}
    assert set(schema_paths(SCHEMA)) - {"global"} == set(paths(VALUES, documented))


def test_a_name_that_is_no_value_is_refused_on_every_level() -> None:
    def sections(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if "properties" in schema:
            yield schema
            for one in schema["properties"].values():
                yield from sections(one)

    assert all(section["additionalProperties"] is False for section in sections(SCHEMA))


def test_a_value_without_a_comment_cannot_be_generated() -> None:
    with pytest.raises(UndocumentedValueError, match=r"^two in .* has no comment above it"):
        documented_values("# One.\none: 1\ntwo: 2\n")


def test_a_mapping_is_one_value_unless_its_keys_have_comments() -> None:
    found = documented_values("# Whole.\nwhole: {a: 1}\nsection:\n  # Inner,\n  # on two lines.\n  inner: 2\n")
    assert [(one.path, one.meaning) for one in found] == [
        ("whole", "Whole."),
        ("section.inner", "Inner, on two lines."),
    ]


def test_the_chart_is_of_the_version_of_the_program() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == project["version"]


def series() -> set[str]:
    """The name of every series that operator and issuer have."""
    issuer = IssuerMetrics()
    issuer.watch_directory(
        clients=float,
        anchors=float,
        signing_keys=float,
        spent_identifiers=float,
        clients_without_keys=float,
        certificate_not_after=float,
    )
    issuer.watch_sources([SourceView("clients", lambda: True, lambda: 0.0)])
    issuer.count("token", "tls_client_auth", "ok", status=200, seconds=0.1)
    operator = OperatorMetrics()
    operator.reconciliations.labels("client", "ok").inc()
    operator.reconciliation_seconds.labels("client").observe(0.1)
    operator.request_made("get", "secrets", 200, 0.1)
    operator.queue.labels("urgent").set(0)
    operator.objects.labels("OAuthClient").set(0)
    operator.not_ready.labels("OAuthClient", "Conflict").set(1)
    for gauge in (operator.failed_attempts, operator.renewal_due, operator.not_after):
        gauge.labels("shop", "billing").set(0)
    for gauge in (operator.list_next_update, operator.list_entries):
        gauge.labels("default").set(0)
    return names(operator.registry) | set(re.findall(r"^(mintls_\w+)", issuer.render().decode(), re.MULTILINE))


def names(registry: CollectorRegistry) -> set[str]:
    return {sample.name for metric in registry.collect() for sample in metric.samples}


@pytest.mark.parametrize("file", ["files/alerts.yaml", "files/dashboard.json"])
def test_alerts_and_dashboard_ask_for_metrics_that_exist(file: str) -> None:
    asked = set(re.findall(r"\bmintls_\w+", (CHART / file).read_text()))
    assert len(asked) >= 4
    assert asked - series() == set()
