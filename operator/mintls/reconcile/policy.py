"""Which names a namespace may have. Closed by default: the client's own identity and the namespace's own Services."""

import re

from mintls.core.oauth.registration import Registration
from mintls.core.pki.names import InvalidName, NormalizedName, SubjectKind, SubjectName, normalize, parse_dn
from mintls.core.pki.origin import may_name_object
from mintls.reconcile.installation import Installation

# A trust domain has neither port nor user (SPIFFE-ID section 2.1), nor a dot at its end. A URI that has is no SPIFFE
# ID, but whoever reads it leniently takes it for one of that trust domain.
_TRUST_DOMAIN = re.compile(r"spiffe://(?:[^@/?#]*@)?([^:/?#]*)")


def foreign_identity(registration: Registration, installation: Installation) -> str | None:
    """Why a client may not have its identity; ``None`` if it may.

    Names in the trust domain and in the cluster's DNS say which namespace they belong to, so a client of another
    namespace cannot have them, whoever comes first. All other names go to whoever claims them first (``claims``).
    """
    subject, namespace = registration.subject, registration.namespace
    if subject is None:
        return None
    try:
        normalized = normalize(subject)
    except InvalidName as invalid:
        return f"{subject.kind} {subject.value!r} cannot be used: {invalid}"
    if subject.kind == SubjectKind.SUBJECT_DN and may_name_object(parse_dn(subject.value)):
        return (
            f"subjectDN {subject.value} is how certificates of CAs elsewhere say which ClientCertificate they are for: "
            "register another"
        )
    if subject.kind == SubjectKind.SAN_URI:
        return _foreign_spiffe_id(str(normalized.value), namespace, registration.name, installation)
    if subject.kind == SubjectKind.SAN_DNS:
        return _foreign_service_name(str(normalized.value), namespace, installation)
    return None


def _foreign_spiffe_id(uri: str, namespace: str, name: str, installation: Installation) -> str | None:
    trust_domain = installation.trust_domain.lower()
    if not in_trust_domain(uri, installation):
        return None
    own = f"spiffe://{trust_domain}/ns/{namespace}/client/{name}"
    if uri == own:
        return None
    return (
        f"sanURI {uri} is in the trust domain of this installation, where this client's identity is {own}: "
        "leave tlsClientAuth out to use that, or take a URI of another trust domain"
    )


def _foreign_service_name(name: str, namespace: str, installation: Installation) -> str | None:
    if not is_service_name(name, installation.cluster_domain) or is_own_service_name(
        name, namespace, installation.cluster_domain
    ):
        return None
    return (
        f"sanDNS {name} is a name of the cluster's DNS outside of namespace {namespace}: "
        f"use a name such as <service>.{namespace}.svc"
    )


def is_service_name(name: str, cluster_domain: str) -> bool:
    """Whether the name belongs to the cluster's DNS (Kubernetes DNS specification section 2)."""
    return f".{name.lower()}".endswith((".svc", f".{cluster_domain.lower()}"))


def is_own_service_name(name: str, namespace: str, cluster_domain: str) -> bool:
    """Whether the name is one of the namespace's Services: ``<name>.<namespace>.svc[.<cluster domain>]``."""
    lowered = name.lower()
    return lowered.endswith((f".{namespace}.svc", f".{namespace}.svc.{cluster_domain.lower()}"))


def in_trust_domain(uri: str, installation: Installation) -> bool:
    """Whether a URI is, or may be taken for, a SPIFFE ID of the installation's trust domain."""
    found = _TRUST_DOMAIN.match(uri)
    return found is not None and found[1].rstrip(".").lower() == installation.trust_domain.lower()


def leaf_names(
    registration: Registration, further: tuple[SubjectName, ...], installation: Installation
) -> tuple[SubjectName | None, tuple[SubjectName, ...]]:
    """Subject and alternative names of a client's leaf.

    The subject is empty unless it is the client's registered identity: a subject that merely looks nice could be the
    identity of another client. The client's SPIFFE ID is always among the alternative names, so that each leaf says
    whose it is.
    """
    own = SubjectName(
        SubjectKind.SAN_URI,
        f"spiffe://{installation.trust_domain}/ns/{registration.namespace}/client/{registration.name}",
    )
    stated = registration.subject
    if stated is None:
        return None, _distinct((own, *further))
    if stated.kind == SubjectKind.SUBJECT_DN:
        return stated, _distinct((own, *further))
    return None, _distinct((stated, own, *further))


def _distinct(names: tuple[SubjectName, ...]) -> tuple[SubjectName, ...]:
    """Without those that are equal under the rules of their kind to an earlier one; the order is kept."""
    first: dict[NormalizedName, SubjectName] = {}
    for name in names:
        first.setdefault(normalize(name), name)
    return tuple(first.values())
