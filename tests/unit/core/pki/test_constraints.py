"""Name constraints by RFC 5280 section 4.2.1.10, each row a sentence of it."""

import ipaddress

import pytest
from cryptography import x509

from mintls.core.pki.constraints import first_violation, is_permitted
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.names import SubjectKind, SubjectName, normalize

DNS, URI, IP, EMAIL, DN = (
    SubjectKind.SAN_DNS,
    SubjectKind.SAN_URI,
    SubjectKind.SAN_IP,
    SubjectKind.SAN_EMAIL,
    SubjectKind.SUBJECT_DN,
)


def _network(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text))


ROWS = [
    # (constraint, kind, name, is it within)
    (x509.DNSName("host.example"), DNS, "host.example", True),
    (x509.DNSName("Host.Example"), DNS, "www.HOST.example", True),
    (x509.DNSName("host.example"), DNS, "host1.example", False),
    (x509.DNSName("host.example"), DNS, "ghost.example", False),
    (x509.DNSName("host.example"), DNS, "example", False),
    (x509.DNSName(".host.example"), DNS, "a.host.example", True),
    (x509.DNSName(""), DNS, "anything.example", True),
    (x509.UniformResourceIdentifier("cluster.local"), URI, "spiffe://Cluster.Local/ns/a", True),
    (x509.UniformResourceIdentifier("cluster.local"), URI, "spiffe://a.cluster.local/ns/a", False),
    (x509.UniformResourceIdentifier(".cluster.local"), URI, "spiffe://a.cluster.local/ns/a", True),
    (x509.UniformResourceIdentifier(".cluster.local"), URI, "spiffe://cluster.local/ns/a", False),
    (x509.UniformResourceIdentifier("cluster.local"), URI, "spiffe://u@cluster.local:8/ns/a", True),
    (x509.UniformResourceIdentifier("cluster.local"), URI, "spiffe://cluster.local@evil.example/ns/a", False),
    (x509.UniformResourceIdentifier("cluster.local"), URI, "urn:uuid:1", False),
    (x509.RFC822Name("root@example.com"), EMAIL, "root@Example.com", True),
    (x509.RFC822Name("root@example.com"), EMAIL, "Root@example.com", False),
    (x509.RFC822Name("example.com"), EMAIL, "any@example.com", True),
    (x509.RFC822Name("example.com"), EMAIL, "any@sub.example.com", False),
    (x509.RFC822Name(".example.com"), EMAIL, "any@sub.example.com", True),
    (x509.RFC822Name(".example.com"), EMAIL, "any@example.com", False),
    (_network("10.0.0.0/8"), IP, "10.1.2.3", True),
    (_network("10.0.0.0/8"), IP, "11.1.2.3", False),
    (_network("0.0.0.0/0"), IP, "::1", False),
    (_network("2001:db8::/32"), IP, "2001:db8::7", True),
    (x509.DirectoryName(parse_dn("O=shop,C=DE")), DN, "CN=a,O=SHOP,C=de", True),
    (x509.DirectoryName(parse_dn("O=shop,C=DE")), DN, "O=shop,C=DE", True),
    (x509.DirectoryName(parse_dn("O=shop,C=DE")), DN, "CN=a,O=other,C=DE", False),
    (x509.DirectoryName(parse_dn("O=shop,C=DE")), DN, "O=shop", False),
]


@pytest.mark.parametrize(("base", "kind", "name", "within"), ROWS)
def test_a_subtree_permits_or_excludes_what_is_within(
    base: x509.GeneralName,
    kind: SubjectKind,
    name: str,
    within: bool,  # noqa: FBT001 - the last column of the table
) -> None:
    normalized = normalize(SubjectName(kind, name))
    assert is_permitted(normalized, x509.NameConstraints([base], None)) is within
    assert is_permitted(normalized, x509.NameConstraints(None, [base])) is not within


def test_a_constraint_leaves_names_of_other_kinds_alone() -> None:
    only_dns = x509.NameConstraints([x509.DNSName("svc")], None)
    assert is_permitted(normalize(SubjectName(URI, "spiffe://a/b")), only_dns)


def test_an_excluded_subtree_wins_over_a_permitted_one() -> None:
    constraints = x509.NameConstraints([x509.DNSName("svc")], [x509.DNSName("kube-system.svc")])
    assert is_permitted(normalize(SubjectName(DNS, "a.shop.svc")), constraints)
    assert not is_permitted(normalize(SubjectName(DNS, "a.kube-system.svc")), constraints)


def test_one_of_several_permitted_subtrees_is_enough() -> None:
    constraints = x509.NameConstraints([x509.DNSName("svc"), x509.DNSName("svc.cluster.local")], None)
    assert is_permitted(normalize(SubjectName(DNS, "a.svc.cluster.local")), constraints)


def test_the_first_violation_is_named() -> None:
    names = [normalize(SubjectName(DNS, host)) for host in ("a.svc", "b.example", "c.example")]
    constraints = x509.NameConstraints([x509.DNSName("svc")], None)
    assert first_violation(names, constraints) == names[1]
    assert first_violation(names[:1], constraints) is None
