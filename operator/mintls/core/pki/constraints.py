"""Name constraints of RFC 5280 section 4.2.1.10, checked before signing.

A verifier would find a violation too, but only when the certificate is in use.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from cryptography import x509

from mintls.core.pki.dn import NormalizedDN, normalize_dn
from mintls.core.pki.names import NormalizedName, SubjectKind

_KINDS: dict[type[x509.GeneralName], SubjectKind] = {
    x509.DNSName: SubjectKind.SAN_DNS,
    x509.UniformResourceIdentifier: SubjectKind.SAN_URI,
    x509.RFC822Name: SubjectKind.SAN_EMAIL,
    x509.IPAddress: SubjectKind.SAN_IP,
    x509.DirectoryName: SubjectKind.SUBJECT_DN,
}


def first_violation(names: Iterable[NormalizedName], constraints: x509.NameConstraints) -> NormalizedName | None:
    """The first name that a CA with these constraints cannot vouch for, or None."""
    return next((name for name in names if not is_permitted(name, constraints)), None)


def is_permitted(name: NormalizedName, constraints: x509.NameConstraints) -> bool:
    """Whether a name is in no excluded subtree and, where subtrees of its kind are permitted, in one of them.

    Raises:
        InvalidName: When a constraint itself is a name that cannot be compared.
    """
    permitted = _of_kind(name.kind, constraints.permitted_subtrees)
    excluded = _of_kind(name.kind, constraints.excluded_subtrees)
    if any(_is_within(name, base) for base in excluded):
        return False
    return not permitted or any(_is_within(name, base) for base in permitted)


def _of_kind(kind: SubjectKind, subtrees: Iterable[x509.GeneralName] | None) -> list[x509.GeneralName]:
    return [base for base in subtrees or () if _KINDS.get(type(base)) is kind]


def _is_within(name: NormalizedName, base: x509.GeneralName) -> bool:
    match base, name.value:
        case x509.DNSName(), str(host):
            return _is_in_tree(host, base.value.lower().removeprefix("."))
        case x509.UniformResourceIdentifier(), str(uri):
            return _is_host(urlsplit(uri).hostname or "", base.value.lower())
        case x509.RFC822Name(), str(mailbox):
            return _is_mailbox(mailbox, base.value)
        case x509.IPAddress(), bytes(packed):
            return _is_in_network(packed, base)
        case x509.DirectoryName(), tuple(rdns):
            return _is_below(rdns, normalize_dn(base.value))
        case _:
            return False


def _is_in_tree(host: str, tree: str) -> bool:
    """A DNS constraint is satisfied by itself and by any name with more labels to its left."""
    return not tree or host == tree or host.endswith("." + tree)


def _is_host(host: str, base: str) -> bool:
    """A URI or e-mail constraint is one host, or with a leading dot any host below a domain, but not the domain."""
    return host.endswith(base) if base.startswith(".") else host == base


def _is_mailbox(mailbox: str, base: str) -> bool:
    local_part, at, domain = base.rpartition("@")
    if at:
        return mailbox == f"{local_part}@{domain.lower()}"
    return _is_host(mailbox.rpartition("@")[2], base.lower())


def _is_in_network(packed: bytes, base: x509.IPAddress) -> bool:
    network = ipaddress.ip_network(str(base.value))
    return len(packed) == network.max_prefixlen // 8 and ipaddress.ip_address(packed) in network


def _is_below(rdns: NormalizedDN, base: NormalizedDN) -> bool:
    return rdns[: len(base)] == base
