"""What the schema lets through, the core can read: both state the same rules, each in its own language."""

import re

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from mintls.api.v1alpha1.rules import (
    DISTINGUISHED_NAME,
    DN_TYPES,
    DURATION,
    SAN_DNS,
    SAN_EMAIL,
    SAN_URI,
    SERVICE_NAME,
    Rule,
    duration_from,
    durations_ordered,
)
from mintls.core.durations import parse_duration
from mintls.core.pki.names import SubjectKind, SubjectName, normalize, parse_dn

UNNAMED = ObjectIdentifier("1.2.3.4.5")
ENDS_IN_A_NUMBER = re.compile(r"(^|[.])[0-9]+$")
DOT_SEGMENT = re.compile(r"[/:]([.]|%2[Ee]){1,2}(/|[?#]|$)")


def pattern_of(rule: Rule) -> re.Pattern[str]:
    """The last pattern of a rule; what RE2 and Python understand alike (tests/crds asks the API server itself)."""
    return re.compile(re.findall(r'matches\(r"\^(.*?)\$"\)', rule.rule)[-1], re.ASCII)


def accepted_by(rule: Rule, longest: int) -> st.SearchStrategy[str]:
    texts = st.from_regex(pattern_of(rule), fullmatch=True, alphabet=st.characters(codec="ascii"))
    return texts.filter(lambda text: len(text) <= longest)


@settings(max_examples=30)
@given(accepted_by(SAN_DNS[0], longest=253).filter(lambda name: not ENDS_IN_A_NUMBER.search(name)))
def test_every_san_dns(name: str) -> None:
    assert normalize(SubjectName(SubjectKind.SAN_DNS, name)).value == name.lower()


@settings(max_examples=30)
@given(accepted_by(SERVICE_NAME, longest=253).filter(lambda name: name[-1].isalpha()))
def test_every_service_name(name: str) -> None:
    assert normalize(SubjectName(SubjectKind.SAN_DNS, name)).value == name


@settings(max_examples=30)
@given(accepted_by(SAN_EMAIL, longest=253))
def test_every_san_email(name: str) -> None:
    normalize(SubjectName(SubjectKind.SAN_EMAIL, name))


@settings(max_examples=30)
@given(accepted_by(SAN_URI[0], longest=2048).filter(lambda name: not DOT_SEGMENT.search(name.partition("?")[0])))
def test_every_san_uri(name: str) -> None:
    normalize(SubjectName(SubjectKind.SAN_URI, name))


@st.composite
def names(draw: st.DrawFn) -> x509.Name:
    """Names as certificates hold them: one to three RDNs of one or two attributes, values in Unicode."""
    values = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12)
    oids = st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.USER_ID, UNNAMED])
    attributes = st.lists(st.tuples(oids, values), min_size=1, max_size=2, unique_by=lambda pair: pair[0].dotted_string)
    rdns = draw(st.lists(attributes, min_size=1, max_size=3))
    return x509.Name([x509.RelativeDistinguishedName(x509.NameAttribute(*pair) for pair in rdn) for rdn in rdns])


@given(names())
def test_every_distinguished_name_that_another_library_writes_is_accepted_and_read_back(name: x509.Name) -> None:
    text = name.rfc4514_string()
    assert all(pattern_of(rule).fullmatch(text) for rule in DISTINGUISHED_NAME), text
    assert parse_dn(text) == name


@pytest.mark.parametrize("name", DN_TYPES)
@pytest.mark.parametrize("spelling", [str, str.lower, str.upper])
def test_every_attribute_type_that_the_message_offers(name: str, spelling: type[str]) -> None:
    text = f"{spelling(name)}=DE"
    assert all(pattern_of(rule).fullmatch(text) for rule in DISTINGUISHED_NAME)
    parse_dn(text)


@given(st.from_regex(re.compile(DURATION, re.ASCII), fullmatch=True).filter(bool))
def test_every_duration(text: str) -> None:
    parse_duration(text)


def test_the_longest_duration_still_fits_what_go_can_hold() -> None:
    longest = parse_duration("999999h9999999m999999999s")
    assert longest.total_seconds() < 2**63 / 1e9


def test_a_rule_is_rendered_with_the_field_that_it_speaks_of() -> None:
    assert Rule("a", "b").as_schema() == {"rule": "a", "message": "b"}
    assert Rule("a", "b", "c.d").as_schema() == {"rule": "a", "message": "b", "fieldPath": ".c.d"}


def test_rules_on_values_are_silent_about_what_is_no_duration() -> None:
    assert duration_from("1h", "m").rule.startswith("!(self != '' && self.matches(")


def test_rules_on_two_durations_are_silent_while_one_is_absent() -> None:
    rule = durations_ordered("a.b", "<", "c", "m")
    assert rule.rule.startswith("!(has(self.a) && has(self.a.b) && has(self.c) && ")
    assert rule.field == "a.b"
