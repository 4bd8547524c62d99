"""Which names a namespace may have: no trick of spelling gets at another's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.objects import INSTALLATION, registration
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.reconcile import allowednames
from mintls.reconcile.allowednames import Place
from mintls.reconcile.policy import foreign_identity, is_own_service_name, is_service_name, leaf_names

OWN = "spiffe://cluster.local/ns/shop/client/billing"
OWN_NAME = SubjectName(SubjectKind.SAN_URI, OWN)


def refusal(**auth: str) -> str | None:
    return foreign_identity(registration(tlsClientAuth=auth), INSTALLATION)


def foreign_dns_name(name: str) -> str | None:
    """Of a certificate, of an authority that allows nothing."""
    return allowednames.refusal(
        [SubjectName(SubjectKind.SAN_DNS, name)], Place("shop", {}, INSTALLATION), "default", ()
    )


@pytest.mark.parametrize(
    "subject",
    [
        "CN=mintls:ClientCertificate:4f6c8f1e-0000-4000-8000-000000000001",
        "CN=MINTLS:clientcertificate:1",
        r"CN=\20mintls:ClientCertificate:1",
        "CN=\N{FULLWIDTH LATIN SMALL LETTER M}intls:ClientCertificate:1",
        "O=x,CN=mintls:",
    ],
)
def test_a_subject_that_names_an_object_cannot_be_registered(subject: str) -> None:
    assert "is how certificates of CAs elsewhere say" in (refusal(subjectDN=subject) or "")
    assert refusal(subjectDN="CN=mintls-billing") is None


class TestURIs:
    @pytest.mark.parametrize(
        "uri",
        [
            OWN,
            "SPIFFE://Cluster.Local/ns/shop/client/billing",
            "spiffe://cluster.local/ns/shop/client/%62illing",
        ],
    )
    def test_that_mean_the_own_identity_are_allowed(self, uri: str) -> None:
        assert refusal(sanURI=uri) is None

    @pytest.mark.parametrize(
        "uri",
        [
            "spiffe://cluster.local/ns/bank/client/vault",
            "spiffe://cluster.local/ns/shop/client/other",
            "spiffe://CLUSTER.local/ns/bank/client/vault",
            "SPIFFE://cluster.local/ns/bank/client/vault",
            "spiffe://cluster.local/ns/%62ank/client/vault",
            "spiffe://cluster.local/%6es/bank/client/vault",
            "spiffe://cluster.local/ns/mintls-system/operator",
            "spiffe://cluster.local/ns/shop/client/billing/",
            "spiffe://cluster.local/ns/shop/client/billing?x",
            "spiffe://cluster.local/ns/shop/client/billing#x",
            "spiffe://cluster.local//ns/shop/client/billing",
            "spiffe://cluster.local/NS/shop/client/billing",
            "spiffe://cluster.local",
            "spiffe://cluster.local/",
            "spiffe://cluster.local?ns",
            "spiffe://cluster.local#ns",
            "spiffe://cluster.local./ns/bank/client/vault",
            "spiffe://cluster.local../ns/bank/client/vault",
            "spiffe://cluster.local:443/ns/bank/client/vault",
            "spiffe://cluster.local:/ns/bank/client/vault",
            "spiffe://user@cluster.local/ns/bank/client/vault",
            "spiffe://@cluster.local/ns/bank/client/vault",
        ],
    )
    def test_of_the_trust_domain_that_are_not_the_own_identity_are_refused(self, uri: str) -> None:
        message = refusal(sanURI=uri)
        assert message is not None
        assert "trust domain" in message
        assert OWN in message
        assert "leave tlsClientAuth out" in message

    @pytest.mark.parametrize(
        "uri",
        [
            "spiffe://cluster.local/ns/shop/../bank/client/vault",
            "spiffe://cluster.local/ns/shop/client/%2e%2e/vault",
            "spiffe://cluster.local/./ns/bank",
            "spiffe://cluster%2elocal/ns/bank/client/vault",
            "spiffe://cluster.local\\ns/bank",
            "spiffe://cluster.local/ns/b\u0430nk/client/vault",
            "not a URI",
            "",
        ],
    )
    def test_that_nothing_could_be_compared_with_are_refused(self, uri: str) -> None:
        message = refusal(sanURI=uri)
        assert message is not None
        assert message.startswith(f"sanURI {uri!r} cannot be used")

    @pytest.mark.parametrize(
        "uri",
        [
            "spiffe://example.org/billing",
            "spiffe://cluster.local.example/ns/bank/client/vault",
            "spiffe://notcluster.local/ns/bank/client/vault",
            "spiffe://x.cluster.local/ns/bank/client/vault",
            "https://billing.example/",
            "urn:example:billing",
        ],
    )
    def test_of_elsewhere_go_to_whoever_claims_them_first(self, uri: str) -> None:
        assert refusal(sanURI=uri) is None


class TestDNSNames:
    @pytest.mark.parametrize(
        "name", ["billing.shop.svc", "BILLING.Shop.SVC", "a.b.shop.svc", "billing.shop.svc.cluster.local"]
    )
    def test_of_the_own_services_are_allowed(self, name: str) -> None:
        assert refusal(sanDNS=name) is None
        assert foreign_dns_name(name) is None

    @pytest.mark.parametrize(
        "name",
        [
            "vault.bank.svc",
            "vault.bank.SVC",
            "vault.bank.svc.cluster.local",
            "vault.bank.svc.CLUSTER.local",
            "shop.svc",
            "svc",
            "billing.shop.svc.evil.svc",
            "billing.workshop.svc",
            "billing.shop.pod.cluster.local",
            "cluster.local",
            "kubernetes.default.svc",
        ],
    )
    def test_of_the_cluster_that_are_not_of_the_own_services_are_refused(self, name: str) -> None:
        message = refusal(sanDNS=name)
        assert message is not None
        assert "outside of namespace shop" in message
        assert foreign_dns_name(name) is not None

    @pytest.mark.parametrize(
        "name", ["vault.bank.svc.", "billing.shop.svc.", "*.shop.svc", "..shop.svc", "-a.shop.svc"]
    )
    def test_that_are_no_host_names_are_refused(self, name: str) -> None:
        message = refusal(sanDNS=name)
        assert message is not None
        assert "is not a host name" in message
        assert foreign_dns_name(name) is not None

    def test_of_elsewhere_are_an_identity_but_not_a_dns_name_of_a_certificate(self) -> None:
        assert refusal(sanDNS="billing.example") is None
        assert foreign_dns_name("billing.example") is not None


labels = st.from_regex(r"[a-z]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)


@settings(max_examples=40)
@given(
    namespaces=st.lists(labels, min_size=2, max_size=2, unique=True),
    service=st.lists(labels, min_size=1, max_size=3),
    domain=st.sampled_from(["", ".cluster.local"]),
)
def test_a_service_name_is_of_one_namespace_only(namespaces: list[str], service: list[str], domain: str) -> None:
    name = f"{'.'.join(service)}.{namespaces[0]}.svc{domain}"
    assert is_service_name(name, "cluster.local")
    assert is_own_service_name(name, namespaces[0], "cluster.local")
    assert not is_own_service_name(name, namespaces[1], "cluster.local")


@pytest.mark.parametrize(
    "auth",
    [
        {"subjectDN": "CN=vault,O=bank"},
        {"sanIP": "10.0.0.7"},
        {"sanEmail": "billing@shop.example"},
    ],
)
def test_names_that_say_nothing_of_a_namespace_are_anybodys(auth: dict[str, str]) -> None:
    assert refusal(**auth) is None


@pytest.mark.parametrize(
    "auth", [{"subjectDN": "no equals sign"}, {"sanIP": "10.0.0"}, {"sanEmail": "nobody"}, {"sanIP": "fe80::1%eth0"}]
)
def test_names_that_are_none_are_refused_with_what_would_be_right(auth: dict[str, str]) -> None:
    message = refusal(**auth)
    assert message is not None
    assert "cannot be used" in message


class TestTheNamesOfALeaf:
    def names(self, *dns_names: str, **auth: str) -> tuple[SubjectName | None, tuple[SubjectName, ...]]:
        item = registration(tlsClientAuth=auth) if auth else registration()
        further = tuple(SubjectName(SubjectKind.SAN_DNS, name) for name in dns_names)
        return leaf_names(item, further, INSTALLATION)

    def test_are_the_own_identity_alone_by_default(self) -> None:
        assert self.names() == (None, (OWN_NAME,))

    @pytest.mark.parametrize(
        ("kind", "value"),
        [
            (SubjectKind.SAN_DNS, "billing.shop.svc"),
            (SubjectKind.SAN_URI, "https://billing.example/"),
            (SubjectKind.SAN_IP, "10.0.0.7"),
            (SubjectKind.SAN_EMAIL, "billing@shop.example"),
        ],
    )
    def test_have_the_stated_name_first_and_the_own_identity_beside_it(self, kind: SubjectKind, value: str) -> None:
        assert self.names(**{str(kind): value}) == (None, (SubjectName(kind, value), OWN_NAME))

    def test_have_a_subject_only_if_it_is_the_identity(self) -> None:
        subject = SubjectName(SubjectKind.SUBJECT_DN, "CN=billing,O=Example")
        assert self.names(subjectDN="CN=billing,O=Example") == (subject, (OWN_NAME,))

    def test_have_the_services_after_the_identity(self) -> None:
        services = tuple(SubjectName(SubjectKind.SAN_DNS, name) for name in ("b.shop.svc", "a.shop.svc"))
        assert self.names("b.shop.svc", "a.shop.svc") == (None, (OWN_NAME, *services))

    def test_have_each_name_once_however_it_is_spelled_and_where_it_was_first(self) -> None:
        stated = SubjectName(SubjectKind.SAN_DNS, "A.shop.svc")
        other = SubjectName(SubjectKind.SAN_DNS, "b.shop.svc")
        assert self.names("b.shop.svc", "a.shop.svc", sanDNS="A.shop.svc") == (None, (stated, OWN_NAME, other))

    def test_are_the_own_identity_once_if_that_is_what_is_stated(self) -> None:
        spelled = "SPIFFE://cluster.local/ns/shop/client/billing"
        assert self.names(sanURI=spelled) == (None, (SubjectName(SubjectKind.SAN_URI, spelled),))

    def test_of_two_clients_never_share_the_identity(self) -> None:
        _, mine = leaf_names(registration("a", "b"), (), INSTALLATION)
        _, theirs = leaf_names(registration("b", "a"), (), INSTALLATION)
        assert not {normalize(name) for name in mine} & {normalize(name) for name in theirs}
