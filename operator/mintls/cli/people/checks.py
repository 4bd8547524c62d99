"""What an installation needs, looked at from outside: each finding is well, or says how to mend it. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mintls.cli.people.credential import Finding

OLDEST_KUBERNETES = (1, 30)
"""What the chart asks for."""

_LEASE_LATE = timedelta(seconds=60)
"""A lease that was not renewed for so long has no living holder, or a clock is wrong."""

_CLOCKS = timedelta(seconds=30)
"""Certificates begin a minute in the past: clocks that differ by half of that are no trouble yet."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of a cluster; None where it is not there."""

    namespace: str
    """Of the installation."""
    version: Mapping[str, Any]
    """``/version``."""
    certificates: Mapping[str, Any] | None
    """The kinds of ``certificates.k8s.io/v1beta1``."""
    kinds: Mapping[str, Mapping[str, Any] | None]
    """CustomResourceDefinitions in the cluster, by name; all that this program has are keys."""
    own_kinds: Mapping[str, Mapping[str, Any]]
    """The same, as this program has them."""
    lease: Mapping[str, Any] | None
    endpoints: Iterable[Mapping[str, Any]]
    """EndpointSlices of the issuer's Service."""
    authorities: Iterable[Mapping[str, Any]] | None


def findings_of(seen: Seen, now: datetime) -> list[Finding]:
    """All findings at *now* (aware), in the order in which one would mend them."""
    return [
        _version(seen.version),
        *_optional_kinds(seen),
        *_kinds(seen),
        *_operator(seen, now),
        _issuer(seen),
        *_authorities(seen),
    ]


def _version(version: Mapping[str, Any]) -> Finding:
    numbers = [re.match(r"\d+", str(version.get(part, ""))) for part in ("major", "minor")]
    found = tuple(int(number[0]) for number in numbers if number)
    told = str(version.get("gitVersion", "unknown"))
    if found >= OLDEST_KUBERNETES:
        return Finding("Kubernetes", well=True, text=told)
    wanted = ".".join(map(str, OLDEST_KUBERNETES))
    return Finding(
        "Kubernetes", well=False, text=f"{told} is older than {wanted}, which Mintls needs: upgrade the cluster"
    )


def _optional_kinds(seen: Seen) -> Iterator[Finding]:
    """What an installation makes use of where it is served, and does without elsewhere."""
    served = {one["name"] for one in (seen.certificates or {}).get("resources", ())}
    lacking = {
        "podcertificaterequests": "pods have certificates from Secrets alone",
        "clustertrustbundles": "pods have the roots from ConfigMaps and Secrets alone",
    }
    for name, instead in lacking.items():
        text = "served" if name in served else f"not served by this cluster, so {instead}"
        yield Finding("API", well=True, text=f"{name}.certificates.k8s.io: {text}")


def _kinds(seen: Seen) -> Iterator[Finding]:
    mend = "run `helm upgrade`, or `kubectl apply --server-side -f crds/` of this version"
    for name, own in seen.own_kinds.items():
        there = seen.kinds.get(name)
        if there is None:
            yield Finding("kind", well=False, text=f"{name} is not installed: {mend}")
        elif not _is_established(there):
            yield Finding("kind", well=False, text=f"{name} is not served yet: see `kubectl describe crd {name}`")
        elif _schemas(there) != _schemas(own):
            yield Finding("kind", well=False, text=f"{name} is of another version than this program: {mend}")
        else:
            yield Finding("kind", well=True, text=name)


def _is_established(kind: Mapping[str, Any]) -> bool:
    conditions = kind.get("status", {}).get("conditions", ())
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _schemas(kind: Mapping[str, Any]) -> dict[str, Any]:
    return {version["name"]: version["schema"] for version in kind["spec"]["versions"] if version["served"]}


def _operator(seen: Seen, now: datetime) -> Iterator[Finding]:
    where = f"`kubectl -n {seen.namespace} get pods,events`"
    spec = (seen.lease or {}).get("spec", {})
    if not spec.get("holderIdentity"):
        yield Finding("operator", well=False, text=f"no replica leads in namespace {seen.namespace}: see {where}")
        return
    renewed = datetime.fromisoformat(spec["renewTime"])
    ahead = renewed - now
    if ahead > _CLOCKS:
        text = f"the operator's clock is {int(ahead.total_seconds())} s ahead of this machine's: set both by NTP"
        yield Finding("clocks", well=False, text=text)
    elif now - renewed <= _LEASE_LATE:
        yield Finding("clocks", well=True, text=f"{abs(int(ahead.total_seconds()))} s between the operator's and this")
    if now - renewed > _LEASE_LATE:
        text = f"{spec['holderIdentity']} led until {spec['renewTime']}, and nobody since: see {where}, and the clocks"
        yield Finding("operator", well=False, text=text)
    else:
        yield Finding("operator", well=True, text=f"{spec['holderIdentity']} leads")


def _issuer(seen: Seen) -> Finding:
    ready = sum(
        one.get("conditions", {}).get("ready", True) is True
        for part in seen.endpoints
        for one in part.get("endpoints") or ()
    )
    if ready:
        return Finding("issuer", well=True, text=f"{ready} ready replica(s)")
    mend = f"see `kubectl -n {seen.namespace} describe deployment mintls-issuer`"
    return Finding("issuer", well=False, text=f"no replica is ready: {mend}")


def _authorities(seen: Seen) -> Iterator[Finding]:
    if seen.authorities is None:
        return
    found = list(seen.authorities)
    if not found:
        text = "there is none: apply one, or set defaultAuthority.create of the chart"
        yield Finding("CertificateAuthority", well=False, text=text)
    for one in found:
        conditions = {each["type"]: each for each in one.get("status", {}).get("conditions", ())}
        ready = conditions.get("Ready", {"status": "Unknown", "message": "the operator has not looked at it yet"})
        name = one["metadata"]["name"]
        yield Finding("CertificateAuthority", ready["status"] == "True", f"{name}: {ready['message'] or 'ready'}")
