"""Which further names an authority allows which namespace: closed by default, and never another's identity."""

import pytest

from builders.objects import INSTALLATION
from mintls.api.v1alpha1.certificateauthority import AllowedNames
from mintls.api.v1alpha1.selector import LabelSelector
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.reconcile.allowednames import Place, refusal, unreadable

DNS, URI, EMAIL, IP = SubjectKind.SAN_DNS, SubjectKind.SAN_URI, SubjectKind.SAN_EMAIL, SubjectKind.SAN_IP
RULES = (
    AllowedNames(
        dns_names=("*.shop.example", "orders.example", "*.svc", "*.cluster.local"),
        uris=("https://shop.example/*", "https://orders.example/app", "spiffe://*", "spiffe://cluster.local/*"),
        email_addresses=("*@shop.example", "orders@example.com"),
        ip_addresses=("10.0.0.0/8", "2001:db8::7"),
    ),
    AllowedNames(namespace_selector=LabelSelector(match_labels={"team": "blue"}), dns_names=("blue.example",)),
)


def refused(
    kind: SubjectKind, name: str, rules: tuple[AllowedNames, ...] = RULES, labels: dict[str, str] | None = None
) -> str | None:
    return refusal([SubjectName(kind, name)], Place("shop", labels or {}, INSTALLATION), "default", rules)


ALLOWED = (
    (DNS, "billing.shop.svc"),
    (DNS, "a.shop.example"),
    (DNS, "a.b.shop.example"),
    (DNS, "A.Shop.Example"),
    (DNS, "orders.example"),
    (URI, "https://shop.example/"),
    (URI, "https://shop.example/a/b?c"),
    (URI, "https://orders.example/app"),
    (EMAIL, "billing@shop.example"),
    (EMAIL, "Billing@SHOP.example"),
    (EMAIL, "orders@Example.com"),
    (IP, "10.1.2.3"),
    (IP, "2001:db8:0::7"),
)
REFUSED = (
    (DNS, "shop.example"),
    (DNS, "ashop.example"),
    (DNS, "a.orders.example"),
    (DNS, "blue.example"),
    (DNS, "a.shop.example.evil.example"),
    (URI, "https://shop.example.evil.example/"),
    (URI, "http://shop.example/"),
    (URI, "https://orders.example/app2"),
    (EMAIL, "a@b.shop.example"),
    (EMAIL, "Orders@example.com"),
    (EMAIL, "orders@example.com.evil.example"),
    (IP, "11.0.0.1"),
    (IP, "2001:db8::8"),
    (IP, "::ffff:10.0.0.1"),
)


@pytest.mark.parametrize(("kind", "name"), ALLOWED)
def test_what_a_pattern_means_is_allowed(kind: SubjectKind, name: str) -> None:
    assert refused(kind, name) is None


@pytest.mark.parametrize(("kind", "name"), REFUSED)
def test_what_it_does_not_mean_is_refused_with_what_is_allowed(kind: SubjectKind, name: str) -> None:
    message = refused(kind, name)
    assert message is not None
    assert f"{name}: CertificateAuthority 'default' does not allow it in namespace shop; it allows " in message


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (DNS, "vault.bank.svc"),
        (DNS, "vault.bank.svc.cluster.local"),
        (DNS, "kubernetes.default.SVC"),
        (URI, "spiffe://cluster.local/ns/bank/client/vault"),
        (URI, "spiffe://cluster.local:443/ns/bank/client/vault"),
        (URI, "SPIFFE://Cluster.Local./ns/bank/client/vault"),
        (URI, "spiffe://cluster.local/ns/shop/client/billing"),
    ],
)
def test_no_pattern_gives_away_what_is_another_namespace_s(kind: SubjectKind, name: str) -> None:
    assert refused(kind, name) is not None


@pytest.mark.parametrize(("kind", "name"), [one for one in ALLOWED if one[1] != "billing.shop.svc"])
def test_an_authority_that_says_nothing_allows_nothing(kind: SubjectKind, name: str) -> None:
    message = refused(kind, name, ())
    assert message is not None
    assert "it allows no " in message
    assert "spec.policy.allowedNames" in message


def test_a_rule_is_for_the_namespaces_that_it_selects() -> None:
    assert refused(DNS, "blue.example", labels={"team": "blue"}) is None
    assert refused(DNS, "blue.example", labels={"team": "red"}) is not None


def test_the_first_name_that_is_not_allowed_is_told() -> None:
    names = [SubjectName(DNS, "a.shop.example"), SubjectName(IP, "192.0.2.1"), SubjectName(DNS, "b.example")]
    message = refusal(names, Place("shop", {}, INSTALLATION), "default", RULES)
    assert message is not None
    assert message.startswith("ipAddresses 192.0.2.1: ")
    assert "10.0.0.0/8, 2001:db8::7" in message


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        (AllowedNames(ip_addresses=("10.0.0.1/8",)), "spec.policy.allowedNames[1].ipAddresses[0] 10.0.0.1/8"),
        (AllowedNames(uris=("https://*",)), "spec.policy.allowedNames[1].uris[0] https://*"),
        (AllowedNames(uris=("https://a/", "https://a/*/b")), "spec.policy.allowedNames[1].uris[1] https://a/*/b"),
    ],
)
def test_a_rule_that_can_never_allow_anything_is_named(rule: AllowedNames, path: str) -> None:
    assert unreadable((AllowedNames(), rule)).startswith(path)
    assert unreadable(()) == ""
