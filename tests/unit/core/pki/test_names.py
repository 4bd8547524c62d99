"""The other four subject kinds of RFC 8705 section 2.1.2, and properties that hold for all five."""

import string
import unicodedata

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import assume, example, given
from hypothesis import strategies as st

from builders import pki
from mintls.core.pki.dn import normalize_dn, parse_dn
from mintls.core.pki.errors import InvalidName
from mintls.core.pki.names import (
    NormalizedName,
    SubjectKind,
    SubjectName,
    general_name,
    normalize,
    normalize_general_name,
    same,
)
from mintls.core.pki.preparation import _prepare_unicode, prepare

DNS, URI, IP, EMAIL, DN = (
    SubjectKind.SAN_DNS,
    SubjectKind.SAN_URI,
    SubjectKind.SAN_IP,
    SubjectKind.SAN_EMAIL,
    SubjectKind.SUBJECT_DN,
)

SAME = [
    (DNS, "Billing.Shop.svc", "billing.shop.SVC"),
    (DNS, "xn--Zrich-kva.example", "XN--zrich-KVA.example"),
    (URI, "spiffe://cluster.local/ns/shop/client/billing", "SPIFFE://Cluster.LOCAL/ns/shop/client/billing"),
    (URI, "spiffe://a/%7euser", "spiffe://a/~user"),
    (URI, "spiffe://a/%c3%bc", "spiffe://a/%C3%BC"),
    (URI, "https://A.example", "https://a.example:443/"),
    (URI, "http://a.example:/x", "http://a.example:80/x"),
    (URI, "urn:uuid:1f", "URN:uuid:1f"),
    (URI, "https://[2001:DB8::1]/x", "https://[2001:db8::1]/x"),
    (IP, "2001:db8::7", "2001:0DB8:0:0:0:0:0:7"),
    (EMAIL, "billing@Shop.Example", "billing@shop.example"),
]
DIFFERENT = [
    (DNS, "billing.shop.svc", "billing.shop.svc2"),
    (DNS, "billing.shop.svc", "x.billing.shop.svc"),
    (URI, "spiffe://a/Billing", "spiffe://a/billing"),
    (URI, "spiffe://a/b", "spiffe://a/b/"),
    (URI, "spiffe://a/b", "spiffe://a/b?"),
    (URI, "spiffe://a/b", "spiffe://a/b#"),
    (URI, "spiffe://a/b%2Fc", "spiffe://a/b/c"),
    (URI, "spiffe://a/%2541", "spiffe://a/A"),
    (URI, "spiffe://a", "spiffe://a/"),
    (URI, "spiffe://a:443/x", "spiffe://a/x"),
    (URI, "https://a:8443/x", "https://a/x"),
    (URI, "https://u@a/x", "https://U@a/x"),
    (IP, "10.0.0.7", "10.0.0.8"),
    (IP, "10.0.0.7", "::ffff:10.0.0.7"),
    (EMAIL, "Billing@shop.example", "billing@shop.example"),
    (EMAIL, "billing@shop.example", "billing@x.shop.example"),
]
REFUSED = [
    (DNS, "", "host name"),
    (DNS, "*.shop.svc", "no wildcard"),
    (DNS, "shop.svc.", "no dot at the end"),
    (DNS, ".shop.svc", "host name"),
    (DNS, "a..b", "host name"),
    (DNS, "-a.b", "host name"),
    (DNS, "a-.b", "host name"),
    (DNS, "a_b.c", "letters, digits and hyphens"),
    (DNS, "zürich.example", "xn--"),
    (DNS, "a.b\n", "host name"),
    (DNS, "a\0.b", "host name"),
    (DNS, "a" * 64, "host name"),
    (DNS, ".".join(["a" * 63] * 4), "host name"),
    (DNS, "10.0.0.7", "use sanIP"),
    (URI, "", "absolute URI"),
    (URI, "/ns/shop", "absolute URI"),
    (URI, "spiffe:", "absolute URI"),
    (URI, "spiffe://", "no host"),
    (URI, "spiffe:///ns/shop", "no host"),
    (URI, "spiffe://a b/x", "absolute URI"),
    (URI, "spiffe://a/x\n", "absolute URI"),
    (URI, "spiffe://a/x\0", "absolute URI"),
    (URI, "spiffe://a/%zz", "absolute URI"),
    (URI, "spiffe://a/%", "absolute URI"),
    (URI, "spiffe://a/ü", "absolute URI"),
    (URI, "spiffe://%61/x", "host"),
    (URI, "spiffe://a:b/x", "host"),
    (URI, "spiffe://a/../x", ". or .."),
    (URI, "spiffe://a/./x", ". or .."),
    (URI, "spiffe://a/%2e%2E/x", ". or .."),
    (URI, "spiffe://a/..", ". or .."),
    (IP, "", "not an address"),
    (IP, "10.0.0", "not an address"),
    (IP, "10.0.0.07", "not an address"),
    (IP, "10.0.0.0/8", "not an address"),
    (IP, "fe80::1%eth0", "zone"),
    (EMAIL, "billing", "mailbox"),
    (EMAIL, "@shop.example", "mailbox"),
    (EMAIL, "billing@", "mailbox"),
    (EMAIL, "billing@shop.example\n", "mailbox"),
    (EMAIL, "billing\0@shop.example", "mailbox"),
    (EMAIL, "a@b@shop.example", "mailbox"),
    (EMAIL, "Billing <b@shop.example>", "mailbox"),
    (EMAIL, "bülling@shop.example", "ASCII"),
    (EMAIL, "a..b@shop.example", "mailbox"),
]


@pytest.mark.parametrize(("kind", "one", "other"), SAME)
def test_names_that_are_the_same(kind: SubjectKind, one: str, other: str) -> None:
    assert same(SubjectName(kind, one), SubjectName(kind, other))


@pytest.mark.parametrize(("kind", "one", "other"), DIFFERENT)
def test_names_that_differ(kind: SubjectKind, one: str, other: str) -> None:
    assert not same(SubjectName(kind, one), SubjectName(kind, other))


@pytest.mark.parametrize(("kind", "text", "told"), REFUSED)
def test_a_malformed_name_is_refused_and_told_what_is_right(kind: SubjectKind, text: str, told: str) -> None:
    with pytest.raises(InvalidName) as caught:
        normalize(SubjectName(kind, text))
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{kind} {text!r}")


def test_one_spelling_under_two_kinds_is_two_names() -> None:
    assert not same(SubjectName(DNS, "shop.example"), SubjectName(URI, "shop.example:x"))
    assert normalize(SubjectName(DNS, "a.example")) != normalize(SubjectName(EMAIL, "a@a.example"))


@pytest.mark.parametrize(
    "name", [x509.RegisteredID(NameOID.COMMON_NAME), x509.DirectoryName(parse_dn("CN=a"))], ids=["registeredID", "dir"]
)
def test_other_alternative_names_match_no_registration(name: x509.GeneralName) -> None:
    assert normalize_general_name(name) is None


def test_a_subject_dn_is_no_alternative_name() -> None:
    with pytest.raises(InvalidName, match="belongs into the subject"):
        general_name(SubjectName(DN, "CN=a"))


# Properties

_label = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
_host = st.lists(_label, min_size=1, max_size=4).map(".".join).filter(lambda host: not host.split(".")[-1].isdigit())
_path = st.text(string.ascii_letters + string.digits + "-_~!$&'()*+,;=:@", min_size=1, max_size=12)
_uri = st.builds(lambda host, path: f"spiffe://{host}/ns/{path}", _host, _path)
_email = st.builds(lambda local, host: f"{local}@{host}", _label, _host)
# What Unicode 3.2 assigns, and what is neither surrogate nor NUL: the rest is refused, which the table shows.
_value = (
    st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"], exclude_characters="\0"), min_size=1, max_size=20)
    .filter(lambda text: all(unicodedata.ucd_3_2_0.category(char) != "Cn" for char in text))
    .filter(lambda text: len(text.encode()) <= 64)
)
_type = st.sampled_from(
    [NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.SURNAME, x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")]
)
_attribute = st.builds(x509.NameAttribute, _type, _value)
_rdn = st.lists(_attribute, min_size=1, max_size=3, unique=True).map(x509.RelativeDistinguishedName)
_name = st.lists(_rdn, min_size=1, max_size=4).map(x509.Name)


def _subjects() -> st.SearchStrategy[SubjectName]:
    def of(kind: SubjectKind, values: st.SearchStrategy[str]) -> st.SearchStrategy[SubjectName]:
        return values.map(lambda value: SubjectName(kind, value))

    return st.one_of(
        of(DNS, _host),
        of(URI, _uri),
        of(EMAIL, _email),
        of(IP, st.ip_addresses().map(str)),
        of(DN, _name.map(lambda name: name.rfc4514_string())),
    )


def _normalized(subject: SubjectName) -> NormalizedName:
    try:
        return normalize(subject)
    except InvalidName:
        assume(condition=False)
        raise


@given(_subjects())
def test_a_name_is_the_same_as_itself(subject: SubjectName) -> None:
    _normalized(subject)
    assert same(subject, subject)


@given(_subjects(), _subjects())
def test_sameness_is_symmetric_and_agrees_with_the_hash(one: SubjectName, other: SubjectName) -> None:
    first, second = _normalized(one), _normalized(other)
    assert same(one, other) == same(other, one)
    assert (first == second) <= (hash(first) == hash(second))


@given(_subjects().filter(lambda subject: subject.kind not in (DN, IP)))
def test_normalizing_twice_is_normalizing_once(subject: SubjectName) -> None:
    once = normalize(subject)
    assert isinstance(once.value, str)
    assert normalize(SubjectName(subject.kind, once.value)) == once


@given(_value, st.booleans())
@example("\N{ANGSTROM SIGN} \N{GREEK YPOGEGRAMMENI}\N{COMBINING DIAERESIS}", True)  # noqa: FBT003 - positional by hypothesis
def test_preparing_twice_is_preparing_once(value: str, fold_case: bool) -> None:  # noqa: FBT001 - as above
    try:
        once = prepare(value, fold_case=fold_case)
    except InvalidName:
        assume(condition=False)
        raise
    assert prepare(once, fold_case=fold_case) == once


@given(st.text(string.printable.strip() + " ", min_size=1).filter(str.strip), st.booleans())
def test_the_quick_way_for_ascii_is_the_general_way(value: str, fold_case: bool) -> None:  # noqa: FBT001 - as above
    assert prepare(value, fold_case=fold_case) == _prepare_unicode(value, fold_case=fold_case)


@given(_name)
def test_a_dn_survives_its_rfc_4514_string(name: x509.Name) -> None:
    try:
        expected = normalize_dn(name)
    except InvalidName:
        assume(condition=False)
        raise
    assert normalize_dn(parse_dn(name.rfc4514_string())) == expected


@given(st.text(max_size=40))
@example("CN=" + "\\" * 31)
@example('CN="' + "a\\\\" * 20)
def test_any_text_is_a_dn_or_refused_as_one(text: str) -> None:
    for kind in SubjectKind:
        try:
            normalize(SubjectName(kind, text))
        except InvalidName:
            continue


AUTHORITY = pki.authority()
KEY = pki.ec_key()


@given(_subjects())
def test_what_is_written_into_a_certificate_is_matched_in_it(subject: SubjectName) -> None:
    expected = _normalized(subject)
    if subject.kind is DN:
        leaf = AUTHORITY.client(pki.uri(pki.CLIENT_ID), subject=subject.value, key=KEY)
    else:
        leaf = AUTHORITY.client([subject], key=KEY)
    assert expected in leaf.facts.names
    assert len(leaf.facts.names) == 1 + (subject.kind is DN)
