"""The examples of docs/exposing.md: they fit the chart, and the API server takes them."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.helm import CHART, SYSTEM, Helm, container, named
from builders.world import REPOSITORY
from clusterlib.cluster import Cluster
from clusterlib.golang import find_go
from clusterlib.progress import Silent

pytestmark = pytest.mark.cluster

EXAMPLES = REPOSITORY / "docs" / "examples" / "passthrough"
VALUES = EXAMPLES / "values.yaml"
# The oldest that the example names; the newest needs a newer Go than Kubernetes does.
GATEWAY_API = "sigs.k8s.io/gateway-api@v1.5.1"


def objects(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((EXAMPLES / file).read_text()))


def names(helm: Helm) -> dict[str, str]:
    """The host that the chart tells the issuer for each port of its Service."""
    args = dict(one.split("=", 1) for one in container(helm.template("-f", VALUES), "issuer")["args"] if "=" in one)
    return {
        "https": args["--issuer-url"].removeprefix("https://"),
        "mtls": args["--mtls-url"].removeprefix("https://"),
    }


def ports(helm: Helm) -> dict[int, str]:
    return {one["port"]: one["name"] for one in named(helm.template(), "Service", "mintls-issuer")["spec"]["ports"]}


def test_the_routes_lead_each_name_to_its_port(helm: Helm) -> None:
    gateway, *routes = objects("gateway.yaml")
    listeners = {one["name"]: one for one in gateway["spec"]["listeners"]}
    led = {}
    for route in routes:
        [parent], [host], [rule] = (route["spec"][key] for key in ("parentRefs", "hostnames", "rules"))
        [backend] = rule["backendRefs"]
        assert backend["name"] == "mintls-issuer"
        assert listeners[parent["sectionName"]]["hostname"] == host
        assert listeners[parent["sectionName"]]["tls"] == {"mode": "Passthrough"}
        led[ports(helm)[backend["port"]]] = host
    assert led == names(helm)


def test_the_ingress_leads_each_name_to_its_port(helm: Helm) -> None:
    [ingress] = objects("ingress.yaml")
    led = {}
    for rule in ingress["spec"]["rules"]:
        [path] = rule["http"]["paths"]
        service = path["backend"]["service"]
        assert service["name"] == "mintls-issuer"
        led[service["port"]["name"]] = rule["host"]
    assert led == names(helm)
    assert "tls" not in ingress["spec"], "that would end TLS at the controller"


def test_the_api_server_takes_them(bare: Cluster, tmp_path: Path) -> None:
    go = find_go(Silent())
    told = subprocess.run(
        [go.program, "mod", "download", "-json", GATEWAY_API],
        cwd=tmp_path,
        env=go.environment(os.environ) | {"GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kinds = Path(json.loads(told)["Dir"]) / "config" / "crd" / "standard"
    wanted = [str(kinds / f"gateway.networking.k8s.io_{kind}.yaml") for kind in ("gateways", "tlsroutes")]
    bare.kubectl("apply", "--server-side", *(f"--filename={file}" for file in wanted))
    bare.kubectl("apply", "-f", str(REPOSITORY / "hack" / "manifests" / "namespace.yaml"))
    try:
        bare.kubectl("wait", "--for=condition=Established", *(f"--filename={file}" for file in wanted))
        for file, number in (("gateway.yaml", 3), ("ingress.yaml", 1)):
            dry = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", str(EXAMPLES / file))
            assert bare.kubectl(*dry).count("serverside-applied") == number
    finally:
        bare.kubectl("delete", *(f"--filename={file}" for file in wanted))


def test_the_values_are_those_of_the_page(helm: Helm) -> None:
    page = (REPOSITORY / "docs" / "exposing.md").read_text()
    assert all(f"| `{host}` | `{port}` " in page for port, host in names(helm).items())
    assert SYSTEM in helm.run("template", "mintls", CHART, "-f", VALUES)
