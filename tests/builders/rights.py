"""What the accounts of the chart may do, and what of it they did, by the API server's own audit log."""

import http.client
import json
from typing import Any, NamedTuple

import pytest

from builders.helm import SYSTEM
from clusterlib.cluster import Cluster

ACCOUNTS = ("mintls-operator", "mintls-issuer")
_OF_ROLE = {"mintls-operator-cert-manager": "mintls-operator"}
"""Roles that are not called as their account is."""


class Right(NamedTuple):
    """One verb on one resource."""

    account: str
    group: str
    resource: str
    verb: str
    namespace: str | None
    """None: everywhere."""


def granted(cluster: Cluster) -> set[Right]:
    """Each right that the chart gives."""
    found = set()
    for kind, namespace in (("clusterroles", None), ("roles", SYSTEM)):
        chosen = ("-n", SYSTEM, "get", kind, "--selector=app.kubernetes.io/part-of=mintls", "--output=json")
        found |= {
            Right(_OF_ROLE.get(role["metadata"]["name"], role["metadata"]["name"]), group, resource, verb, namespace)
            for role in json.loads(cluster.kubectl(*chosen))["items"]
            for rule in role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
    assert found
    return found


def unused(cluster: Cluster) -> set[Right]:
    """Rights that were given and of which no use was made."""
    return granted(cluster) - {wide for event in events(cluster) for wide in _rights(event)}


def missing(cluster: Cluster) -> set[Right]:
    """Rights that were asked for in vain and are not given.

    What is given may be forbidden for a moment: while an API server starts, after `helm uninstall` took the rights
    away, and where a namespace is being deleted.
    """
    given = {right._replace(namespace=None) for right in granted(cluster)}
    refused = [event for event in events(cluster) if event["responseStatus"]["code"] == http.client.FORBIDDEN]
    return {right for event in refused for right in _rights(event) if right.namespace is None} - given


def events(cluster: Cluster) -> list[dict[str, Any]]:
    """The requests of the accounts that were answered; skips the test where there is no audit log."""
    if cluster.audit_log is None:
        pytest.skip("only the embedded provider keeps an audit log")
    lines = map(json.loads, cluster.audit_log.read_text().splitlines())
    return [one for one in lines if _account(one) in ACCOUNTS and "objectRef" in one and "responseStatus" in one]


def _account(event: dict[str, Any]) -> str:
    # A request that was refused before anybody was recognised (a token that is no longer valid) names no user.
    return str(event["user"].get("username", "")).removeprefix(f"system:serviceaccount:{SYSTEM}:")


def _rights(event: dict[str, Any]) -> set[Right]:
    """What allows a request: the right in its namespace, or everywhere."""
    what = event["objectRef"]
    resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
    here = Right(_account(event), what.get("apiGroup", ""), resource, event["verb"], what.get("namespace"))
    found = {here, here._replace(namespace=None)}
    if event["verb"] == "patch" and event["responseStatus"]["code"] == http.client.CREATED:
        # An apply that creates is asked for the right to create, too.
        found.add(here._replace(verb="create", namespace=None))
    # The API server asks for a right on the signer as well, and writes no line of its own about that.
    signer = _SIGNERS.get((resource, event["verb"]))
    if signer and event["responseStatus"]["code"] < http.client.BAD_REQUEST:
        found.add(here._replace(resource="signers", verb=signer, namespace=None))
    return found


_SIGNERS = {
    ("certificatesigningrequests/approval", "patch"): "approve",
    ("certificatesigningrequests/status", "patch"): "sign",
    ("clustertrustbundles", "create"): "attest",
    ("clustertrustbundles", "patch"): "attest",
}
