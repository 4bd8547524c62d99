"""What is said of an installation."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mintls.api.crd import KINDS, custom_resource_definition
from mintls.cli.people.checks import Seen, findings_of

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
OWN = {one["metadata"]["name"]: one for one in map(custom_resource_definition, KINDS)}
CLIENTS = "oauthclients.mintls.dev"


def installed() -> dict[str, Any]:
    established = {"conditions": [{"type": "Established", "status": "True"}]}
    return {name: {**copy.deepcopy(one), "status": established} for name, one in OWN.items()}


def seen(**changes: Any) -> Seen:
    ready = {"type": "Ready", "status": "True", "message": "fine"}
    whole: dict[str, Any] = {
        "namespace": "mintls-system",
        "version": {"major": "1", "minor": "35+", "gitVersion": "v1.35.4"},
        "certificates": {"resources": [{"name": "podcertificaterequests"}, {"name": "clustertrustbundles"}]},
        "kinds": installed(),
        "own_kinds": OWN,
        "lease": lease(timedelta(seconds=3)),
        "endpoints": [{"endpoints": [{"conditions": {"ready": True}}, {"conditions": {"ready": False}}]}],
        "authorities": [{"metadata": {"name": "default"}, "status": {"conditions": [ready]}}],
    }
    return Seen(**whole | changes)


def lease(age: timedelta) -> dict[str, Any]:
    renewed = (NOW - age).isoformat().replace("+00:00", "Z")
    return {"spec": {"holderIdentity": "mintls-operator-1", "renewTime": renewed}}


def changed_kind() -> dict[str, Any]:
    kinds = installed()
    kinds[CLIENTS]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "of last year"
    return kinds


def test_a_whole_installation_is_well() -> None:
    findings = findings_of(seen(), NOW)
    assert [one for one in findings if not one.well] == []
    assert [one.text for one in findings if one.what == "issuer"] == ["1 ready replica(s)"]


@pytest.mark.parametrize(
    ("changes", "what", "text"),
    [
        ({"version": {"major": "1", "minor": "29", "gitVersion": "v1.29.3"}}, "Kubernetes", "older than 1.30"),
        ({"version": {}}, "Kubernetes", "unknown is older"),
        ({"kinds": installed() | {CLIENTS: None}}, "kind", f"{CLIENTS} is not installed: run `helm upgrade`"),
        ({"kinds": installed() | {CLIENTS: OWN[CLIENTS]}}, "kind", "not served yet"),
        ({"kinds": changed_kind()}, "kind", f"{CLIENTS} is of another version"),
        ({"lease": None}, "operator", "no replica leads in namespace mintls-system"),
        ({"lease": {"spec": {"holderIdentity": ""}}}, "operator", "no replica leads"),
        ({"lease": lease(timedelta(minutes=9))}, "operator", "mintls-operator-1 led until 2026-11-27T11:51:00Z"),
        ({"lease": lease(timedelta(minutes=-2))}, "clocks", "120 s ahead of this machine's"),
        ({"endpoints": []}, "issuer", "no replica is ready"),
        ({"authorities": []}, "CertificateAuthority", "there is none"),
        ({"authorities": [{"metadata": {"name": "new"}}]}, "CertificateAuthority", "not looked at it yet"),
    ],
)
def test_what_is_missing_says_how_to_mend_it(changes: dict[str, Any], what: str, text: str) -> None:
    wrong = [one for one in findings_of(seen(**changes), NOW) if not one.well]
    assert [one.what for one in wrong] == [what]
    assert text in wrong[0].text


@pytest.mark.parametrize("served", [None, {"resources": [{"name": "clustertrustbundles"}]}])
def test_what_a_cluster_does_not_serve_is_told_and_nothing_wrong(served: Any) -> None:
    findings = findings_of(seen(certificates=served), NOW)
    [told] = [one for one in findings if one.text.startswith("podcertificaterequests")]
    assert (told.well, "pods have certificates from Secrets alone" in told.text) == (True, True)


def test_clocks_that_agree_are_a_line_of_their_own() -> None:
    [told] = [one for one in findings_of(seen(), NOW) if one.what == "clocks"]
    assert (told.well, told.text) == (True, "3 s between the operator's and this")
