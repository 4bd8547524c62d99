"""The ConfigMap with the roots that a namespace's workloads trust: which roots, in which forms, and what to do."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from cryptography import x509

from mintls.core.pki.trust import render_bundle, sorted_bundle
from mintls.core.pki.truststore import holds_pkcs12, render_jks, render_pkcs12
from mintls.reconcile.credential import COMPONENT, MANAGED_BY, AuthorityView
from mintls.reconcile.selector import selects

NAME = "mintls-trust-bundle"
FILE = "ca.crt"
FILES: Mapping[str, str] = {"JKS": "truststore.jks", "PKCS12": "truststore.p12"}
"""The file of each keystore."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle has to hold.

    Attributes:
        certificates: Each once, in the order of the bundle; none while there is nothing to say.
        keystores: Further forms.
    """

    certificates: tuple[x509.Certificate, ...] = ()
    keystores: frozenset[str] = frozenset()

    @property
    def pem(self) -> str:
        """``ca.crt``."""
        return render_bundle(self.certificates)


@dataclass(frozen=True, slots=True)
class Found:
    """The ConfigMap as it is."""

    labels: Mapping[str, str]
    data: Mapping[str, str]
    binary: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        namespace: The namespace.
        needed: Whether it has an object of ours, is the operator's, or is selected by an authority.
        found: The ConfigMap; ``None`` if there is none.
        bundle: What it has to hold.
    """

    namespace: str
    needed: bool
    found: Found | None
    bundle: Bundle


type Decision = Literal["keep", "create", "apply", "delete", "foreign"]


def is_ours(labels: Mapping[str, str]) -> bool:
    """Whether a ConfigMap with these labels was made by us."""
    return labels.get(MANAGED_BY[0]) == MANAGED_BY[1]


def is_selected(authorities: Iterable[AuthorityView], labels: Mapping[str, str]) -> bool:
    """Whether an authority selects a namespace with these labels."""
    return any(_selects(view, labels) for view in authorities)


def bundle_for(authorities: Iterable[AuthorityView], labels: Mapping[str, str], *, in_use: bool) -> Bundle:
    """What belongs into the bundle of a namespace.

    Args:
        authorities: All of them.
        labels: The namespace's.
        in_use: Whether it has an object of ours or is the operator's: then it needs the roots of all authorities.
    """
    parts = [view for view in authorities if in_use or _selects(view, labels)]
    certificates = (found for view in parts for found in (*view.roots, *view.distribution.additional))
    keystores = frozenset[str]().union(*(view.distribution.keystores for view in parts))
    return Bundle(sorted_bundle(certificates), keystores)


def _selects(view: AuthorityView, labels: Mapping[str, str]) -> bool:
    selector = view.distribution.selector
    return selector is not None and selects(selector, labels)


def decide(seen: Observed) -> Decision:
    """What to do with the ConfigMap. One that lacks our label is somebody else's and is left alone."""
    if seen.found is not None and not is_ours(seen.found.labels):
        return "foreign" if seen.needed else "keep"
    if not seen.needed:
        return "delete" if seen.found is not None else "keep"
    if not seen.bundle.certificates:
        return "keep"
    if seen.found is None:
        return "create"
    return "keep" if _is_as_wanted(seen.found, seen.bundle) else "apply"


def _is_as_wanted(found: Found, bundle: Bundle) -> bool:
    keystores = {kind: found.binary[file] for kind, file in FILES.items() if file in found.binary}
    return (
        found.data.get(FILE) == bundle.pem
        and keystores.keys() == bundle.keystores
        and all(_holds(kind, keystore, bundle.certificates) for kind, keystore in keystores.items())
    )


def _holds(kind: str, keystore: bytes, certificates: tuple[x509.Certificate, ...]) -> bool:
    return keystore == render_jks(certificates) if kind == "JKS" else holds_pkcs12(keystore, certificates)


def _render(kind: str, certificates: tuple[x509.Certificate, ...]) -> bytes:
    return render_jks(certificates) if kind == "JKS" else render_pkcs12(certificates)


def manifest(namespace: str, bundle: Bundle) -> dict[str, object]:
    """The ConfigMap to apply."""
    keystores = {FILES[kind]: _base64(_render(kind, bundle.certificates)) for kind in sorted(bundle.keystores)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: "trust-bundle"},
        },
        "data": {FILE: bundle.pem},
        **({"binaryData": keystores} if keystores else {}),
    }


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
