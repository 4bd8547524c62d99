"""cert-manager: a CertificateRequest as it is made, and what became of it.

Source: cert-manager's API reference, ``cert-manager.io/v1``, CertificateRequest.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mintls.api.v1alpha1.certificateauthority import CertificateAuthority
from mintls.api.v1alpha1.external import CERT_MANAGER_GROUP, CertManager
from mintls.api.v1alpha1.meta import API_VERSION
from mintls.core.quoting import quoted
from mintls.reconcile.credential import COMPONENT, MANAGED_BY, Violation
from mintls.reconcile.reasons import Reason

LABELS = {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: "certificate-request"}
SELECTOR = ",".join(f"{name}={value}" for name, value in LABELS.items())
"""Selects the requests that were made here, of whatever authority."""

# cert-manager's own default has "key encipherment" in it, and no clientAuth.
_USAGES = ("digital signature", "client auth")


@dataclass(frozen=True, slots=True)
class Issued:
    """It was signed: certificates in PEM, the leaf first."""

    pem: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """It was not signed, and never will be."""

    violation: Violation


@dataclass(frozen=True, slots=True)
class Pending:
    """It waits, and for what, in cert-manager's words."""

    why: str


type Fate = Issued | Refused | Pending


class _Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class _Status(msgspec.Struct, frozen=True):
    conditions: tuple[_Condition, ...] = ()
    certificate: bytes = b""
    ca: bytes = b""

    def condition(self, type_: str) -> _Condition:
        """The condition of a type; an empty one if there is none."""
        return next((one for one in self.conditions if one.type == type_), _Condition())


class _Object(msgspec.Struct, frozen=True):
    """No more of an object of cert-manager than is needed."""

    status: _Status = msgspec.field(default_factory=_Status)


def certificate_request(
    *, name: str, authority: CertificateAuthority, spec: CertManager, request: str, seconds: int
) -> dict[str, Any]:
    """A CertificateRequest. It ends with its authority, should nobody live to delete it before.

    Args:
        name: Its name.
        authority: Whose certificates these are.
        spec: Who signs.
        request: The certification request, PEM.
        seconds: How long the certificate is to be valid.
    """
    owner = {"apiVersion": API_VERSION, "kind": authority.KIND.kind, "name": authority.metadata.name}
    return {
        "apiVersion": f"{CERT_MANAGER_GROUP}/v1",
        "kind": "CertificateRequest",
        "metadata": {"name": name, "labels": LABELS, "ownerReferences": [owner | {"uid": authority.metadata.uid}]},
        "spec": {
            "request": base64.b64encode(request.encode()).decode(),
            "duration": f"{seconds}s",
            "issuerRef": {
                "name": spec.issuer_ref.name,
                "kind": spec.issuer_ref.kind,
                "group": spec.issuer_ref.group,
            },
            "usages": list(_USAGES),
        },
    }


def is_of(request: Mapping[str, Any], authority: CertificateAuthority) -> bool:
    """Whether a CertificateRequest was made for an authority."""
    owners = request["metadata"].get("ownerReferences") or ()
    return any(owner.get("uid") == authority.metadata.uid for owner in owners)


def fate_of(request: Mapping[str, Any]) -> Fate:
    """What has become of a CertificateRequest."""
    try:
        status = msgspec.convert(request, _Object).status
    except msgspec.ValidationError as error:
        return Refused(Violation(Reason.EXTERNAL_ANSWER_WRONG, f"its status cannot be read: {error}"))
    ready = status.condition("Ready")
    if ready.status == "True" and status.certificate:
        # The last CA that is known, mostly the root; it may be in the chain already.
        return Issued(status.certificate.rstrip() + b"\n" + status.ca)
    for type_, what in (("Denied", "denied"), ("InvalidRequest", "invalid")):
        found = status.condition(type_)
        if found.status == "True":
            return Refused(_refusal(what, found))
    if ready.reason in {"Denied", "Failed"}:
        return Refused(_refusal(ready.reason.lower(), ready))
    if status.condition("Approved").status != "True":
        return Pending("nobody has approved it")
    return Pending(quoted(ready.message) if ready.message else "it is approved, and no issuer has looked at it")


def _refusal(what: str, condition: _Condition) -> Violation:
    return Violation(Reason.EXTERNAL_REFUSED, f"{what} ({condition.reason}): {quoted(condition.message)}")


def issuer_problem(spec: CertManager, namespace: str, issuer: Mapping[str, Any] | None) -> Violation | None:
    """What keeps an issuer from signing, by its own status; ``None`` if it is ready.

    Args:
        spec: Which issuer.
        namespace: Where the requests are made.
        issuer: The object; ``None`` if there is none.
    """
    what = describe_issuer(spec, namespace)
    if issuer is None:
        return Violation(
            Reason.EXTERNAL_REFUSED, f"there is no {what}: create it, or correct spec.external.certManager"
        )
    try:
        ready = msgspec.convert(issuer, _Object).status.condition("Ready")
    except msgspec.ValidationError as error:
        return Violation(Reason.EXTERNAL_UNREACHABLE, f"the status of {what} cannot be read: {error}")
    if ready.status == "True":
        return None
    said = quoted(ready.message) if ready.type else "cert-manager has not looked at it: see whether that runs"
    return Violation(Reason.EXTERNAL_UNREACHABLE, f"{what} is not ready: {said}")


def describe_issuer(spec: CertManager, namespace: str) -> str:
    """An issuer, for people."""
    ref = spec.issuer_ref
    kind = ref.kind if ref.group == CERT_MANAGER_GROUP else f"{ref.kind}.{ref.group}"
    return f'{kind} "{ref.name}"' + (f" in namespace {namespace}" if kind == "Issuer" else "")
