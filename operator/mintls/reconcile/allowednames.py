"""Which names a certificate may carry beside its identity: the namespace's own Services, and what its authority allows.

An authority allows nothing by itself. What it does allow is by kind of name and by the labels of the namespace; names
of other namespaces' Services and SPIFFE IDs of this installation it cannot allow, whatever its patterns say.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mintls.api.v1alpha1.certificateauthority import AllowedNames
from mintls.api.v1alpha1.clientcertificate import ClientCertificateSpec
from mintls.core.pki.names import InvalidName, SubjectKind, SubjectName, normalize
from mintls.core.pki.request import read_request
from mintls.reconcile.installation import Installation
from mintls.reconcile.policy import in_trust_domain, is_own_service_name, is_service_name
from mintls.reconcile.selector import selects

_FIELDS = {
    SubjectKind.SAN_DNS: "dnsNames",
    SubjectKind.SAN_URI: "uris",
    SubjectKind.SAN_EMAIL: "emailAddresses",
    SubjectKind.SAN_IP: "ipAddresses",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a certificate is wanted: a namespace with its labels, of an installation."""

    namespace: str
    labels: Mapping[str, str]
    installation: Installation


def further_names(spec: ClientCertificateSpec) -> tuple[SubjectName, ...]:
    """The names beside the identity that a ClientCertificate asks for, in its spec and in its certification request.

    Raises:
        RequestBroken: The request cannot be used.
    """
    stated = (
        (SubjectKind.SAN_DNS, spec.dns_names),
        (SubjectKind.SAN_URI, spec.uris),
        (SubjectKind.SAN_EMAIL, spec.email_addresses),
        (SubjectKind.SAN_IP, spec.ip_addresses),
    )
    named = tuple(SubjectName(kind, value) for kind, values in stated for value in values)
    return named + (read_request(spec.request).names if spec.request else ())


def refusal(names: Iterable[SubjectName], place: Place, authority: str, rules: Iterable[AllowedNames]) -> str | None:
    """Why a certificate may not carry these names; ``None`` if it may.

    Args:
        names: The names.
        place: Where it is wanted.
        authority: Name of the authority, for the message.
        rules: What it allows.
    """
    own = [rule for rule in rules if rule.namespace_selector is None or selects(rule.namespace_selector, place.labels)]
    return next((problem for name in names if (problem := _problem(name, place, authority, own))), None)


def _problem(name: SubjectName, place: Place, authority: str, rules: list[AllowedNames]) -> str | None:
    field = f"{_FIELDS[name.kind]} {name.value}"
    try:
        value = normalize(name).value
    except InvalidName as invalid:
        return f"{field} cannot be used: {invalid}"
    if name.kind == SubjectKind.SAN_DNS and is_service_name(str(value), place.installation.cluster_domain):
        if is_own_service_name(str(value), place.namespace, place.installation.cluster_domain):
            return None
        return (
            f"{field}: of the cluster's names only those of Services of namespace {place.namespace} are allowed, "
            f"such as <service>.{place.namespace}.svc"
        )
    if name.kind == SubjectKind.SAN_URI and in_trust_domain(str(value), place.installation):
        return f"{field}: a URI of the trust domain is an identity, which a certificate has by its client alone"
    if any(_allows(pattern, name.kind, value) for rule in rules for pattern in _patterns(rule, name.kind)):
        return None
    there = sorted(pattern for rule in rules for pattern in _patterns(rule, name.kind))
    allowed = f"it allows {', '.join(there)}" if there else f"it allows no {_FIELDS[name.kind]}"
    services = f" beside Services of the namespace, such as <service>.{place.namespace}.svc"
    return (
        f"{field}: CertificateAuthority {authority!r} does not allow it in namespace {place.namespace}; {allowed}"
        f"{services if name.kind == SubjectKind.SAN_DNS else ''}. Its spec.policy.allowedNames has the rules"
    )


def _patterns(rule: AllowedNames, kind: SubjectKind) -> tuple[str, ...]:
    return {
        SubjectKind.SAN_DNS: rule.dns_names,
        SubjectKind.SAN_URI: rule.uris,
        SubjectKind.SAN_EMAIL: rule.email_addresses,
        SubjectKind.SAN_IP: rule.ip_addresses,
    }[kind]


def _allows(pattern: str, kind: SubjectKind, value: object) -> bool:
    """Whether a pattern allows a value in its normal form; a pattern that cannot be read allows nothing."""
    match kind, value:
        case SubjectKind.SAN_IP, bytes(packed):
            network = _network(pattern)
            return network is not None and ipaddress.ip_address(packed) in network
        case SubjectKind.SAN_DNS, str(host):
            tree = pattern.lower()
            return host.endswith(tree[1:]) if tree.startswith("*.") else host == tree
        case SubjectKind.SAN_EMAIL, str(mailbox):
            local_part, _, domain = pattern.rpartition("@")
            own, _, where = mailbox.rpartition("@")
            return where == domain.lower() and local_part in {"*", own}
        case SubjectKind.SAN_URI, str(uri):
            return uri.startswith(pattern[:-1]) if pattern.endswith("*") else uri == pattern
    return False


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def unreadable(rules: Iterable[AllowedNames]) -> str:
    """What in the rules of an authority can never allow anything, with its path; "" if there is nothing."""
    return next(_unreadable(rules), "")


def _unreadable(rules: Iterable[AllowedNames]) -> Iterator[str]:
    for at, rule in enumerate(rules):
        path = f"spec.policy.allowedNames[{at}]"
        for number, text in enumerate(rule.ip_addresses):
            if _network(text) is None:
                yield f"{path}.ipAddresses[{number}] {text}: is no address and no network such as 10.0.0.0/8"
        for number, text in enumerate(rule.uris):
            if "*" in text[:-1] or text.partition("://")[2] in {"", "*"}:
                yield f"{path}.uris[{number}] {text}: name a scheme and a host; * may stand at the end only"
