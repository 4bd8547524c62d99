"""The ConfigMap with the roots that a namespace's workloads trust the issuer by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mintls.reconcile.credential import COMPONENT, MANAGED_BY

NAME = "mintls-trust-bundle"
FILE = "ca.crt"


@dataclass(frozen=True, slots=True)
class Found:
    """The ConfigMap as it is."""

    labels: Mapping[str, str]
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        namespace: The namespace.
        needed: Whether there is an OAuthClient or a ClientCertificate in it, or the operator itself.
        found: The ConfigMap; ``None`` if there is none.
        bundle: The roots of all authorities, PEM; "" while there is none.
    """

    namespace: str
    needed: bool
    found: Found | None
    bundle: str


type Decision = Literal["keep", "create", "apply", "delete", "foreign"]


def decide(seen: Observed) -> Decision:
    """What to do with the ConfigMap. One that lacks our label is somebody else's and is left alone."""
    if seen.found is not None and seen.found.labels.get(MANAGED_BY[0]) != MANAGED_BY[1]:
        return "foreign" if seen.needed else "keep"
    if not seen.needed:
        return "delete" if seen.found is not None else "keep"
    if not seen.bundle:
        return "keep"
    if seen.found is None:
        return "create"
    return "keep" if seen.found.data.get(FILE) == seen.bundle else "apply"


def manifest(namespace: str, bundle: str) -> dict[str, object]:
    """The ConfigMap to apply."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: "trust-bundle"},
        },
        "data": {FILE: bundle},
    }
