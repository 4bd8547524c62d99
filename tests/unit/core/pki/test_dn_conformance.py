"""Distinguished names by RFC 4514 (string), RFC 4517 section 4.2.15 (matching) and RFC 4518 (preparation).

Each row is one rule. A registered name is text; a certificate's name is DER: the rows are tried both ways.
"""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from mintls.core.pki.dn import normalize_dn, parse_dn
from mintls.core.pki.errors import InvalidName
from mintls.core.pki.names import SubjectKind, SubjectName, normalize, normalize_subject, same


def dn(text: str) -> SubjectName:
    return SubjectName(SubjectKind.SUBJECT_DN, text)


SAME = [
    # (rule, one, other)
    ("identical", "CN=billing,O=shop", "CN=billing,O=shop"),
    ("case of a value: caseIgnoreMatch", "CN=billing", "CN=BiLLing"),
    ("case of an attribute type: RFC 4512 section 1.4", "CN=billing", "cn=billing"),
    ("blanks around separators", "CN=a,O=b", " CN = a , O = b "),
    ("blanks around the plus of an RDN", "CN=a+OU=b", "CN=a + OU=b"),
    ("blanks at the ends of a value: RFC 4518 section 2.6.1", r"CN=\ a\ ", "CN=a"),
    ("inner blanks, however many", "CN=a b", "CN=a     b"),
    ("a tab is a blank: RFC 4518 section 2.2", "CN=a b", "CN=a\tb"),
    ("a line feed, escaped, is a blank", "CN=a b", r"CN=a\0Ab"),
    ("a no-break space is a blank", "CN=a b", "CN=a\N{NO-BREAK SPACE}b"),
    ("an ideographic space is a blank", "CN=a b", "CN=a\N{IDEOGRAPHIC SPACE}b"),
    ("a soft hyphen is nothing", "CN=billing", "CN=bil\N{SOFT HYPHEN}ling"),
    ("a zero width space is nothing", "CN=billing", "CN=bil\N{ZERO WIDTH SPACE}ling"),
    ("a control character is nothing", "CN=billing", r"CN=bil\01ling"),
    ("a variation selector is nothing", "CN=billing", "CN=billing\N{VARIATION SELECTOR-16}"),
    ("composed and decomposed: NFKC", "CN=Zürich", "CN=Zu\N{COMBINING DIAERESIS}rich"),
    ("a ligature: NFKC", "CN=office", "CN=o\N{LATIN SMALL LIGATURE FFI}ce"),
    ("full width letters: NFKC", "CN=ab", "CN=\N{FULLWIDTH LATIN CAPITAL LETTER A}b"),
    ("sharp s folds to ss: RFC 3454 table B.2", "CN=straße", "CN=STRASSE"),
    ("final sigma folds to sigma", "CN=\u03bf\u03c2", "CN=\u039f\u03a3"),
    ("kelvin sign folds to k", "CN=k", "CN=\N{KELVIN SIGN}"),
    ("case of what is not Latin", "CN=\u0416", "CN=\u0436"),
    ("hex pairs are UTF-8 octets", r"CN=Z\C3\BCrich", "CN=Zürich"),
    ("hex pair of an ASCII letter", r"CN=\62illing", "CN=billing"),
    ("escaped comma", r"CN=a\,b", r"CN=a\2Cb"),
    ("each special character escaped both ways", r"CN=\"\+\,\;\<\>\\\=", r"CN=\22\2B\2C\3B\3C\3E\5C\3D"),
    ("an escaped sharp sign", r"CN=\#a", r"CN=\23a"),
    ("an equals sign needs no escape", r"CN=a\=b", "CN=a=b"),
    ("a quoted value: RFC 2253 section 4", 'CN="a, b"', r"CN=a\, b"),
    ("a quote in a quoted value", r'CN="a\"b"', r"CN=a\"b"),
    ("type by object identifier", "2.5.4.3=billing", "CN=billing"),
    ("with OID. before: RFC 2253 section 4", "OID.2.5.4.3=billing", "CN=billing"),
    ("with oid. before", "oid.2.5.4.3=billing", "CN=billing"),
    ("long name of a type", "commonName=a,organizationName=b", "CN=a,O=b"),
    ("E, Email and emailAddress", "E=a@b.example,CN=x", "emailAddress=A@B.example,CN=x"),
    ("emailAddress by object identifier", "1.2.840.113549.1.9.1=a@b.example", "EMAIL=a@b.example"),
    ("domain components: caseIgnoreIA5Match", "DC=Example,DC=COM", "dc=example,dc=com"),
    ("hex BER, UTF8String", "CN=#0C0762696C6C696E67", "CN=billing"),
    ("hex BER, PrintableString", "CN=#130762696c6c696e67", "CN=billing"),
    ("hex BER, IA5String", "CN=#160762696c6c696e67", "CN=billing"),
    ("hex BER, BMPString", "CN=#1E0400FC0062", "CN=üb"),
    ("hex BER, UniversalString", "CN=#1C08000000FC00000062", "CN=üb"),
    ("hex BER, TeletexString read as Latin-1", "CN=#1402FC62", "CN=üb"),
    ("hex BER, long form of the length", "CN=#0C81036F6E65", "CN=one"),
    ("an RDN is a set: order is no matter", "CN=a+OU=b+UID=c,O=d", "UID=c+CN=a+OU=b,O=d"),
    ("attribute type unknown, by object identifier", "1.3.6.1.4.1.99999.1=x", "OID.1.3.6.1.4.1.99999.1=#0C0178"),
]

DIFFERENT = [
    ("another value", "CN=billing", "CN=billings"),
    ("a prefix", "CN=bill", "CN=billing"),
    ("one RDN more", "CN=billing", "CN=billing,O=shop"),
    ("the order of RDNs", "CN=a,O=b", "O=b,CN=a"),
    ("another type", "CN=billing", "OU=billing"),
    ("one RDN of two attributes is not two RDNs", "CN=a+OU=b", "CN=a,OU=b"),
    ("an RDN with one attribute more", "CN=a+OU=b", "CN=a"),
    ("a blank that separates words", "CN=a b", "CN=ab"),
    ("a soft hyphen is no hyphen", "CN=a-b", "CN=a\N{SOFT HYPHEN}b"),
    ("an accent", "CN=Zurich", "CN=Zürich"),
    ("look-alikes of another script", "CN=a", "CN=\N{CYRILLIC SMALL LETTER A}"),
    ("a separator smuggled in as a value", r"CN=a\,O\=b", "CN=a,O=b"),
    ("two of one type in an RDN are not one", "OU=a+OU=b", "OU=a"),
    ("two that fold to one are still two", "OU=a+OU=A", "OU=a"),
    (
        "a blank that carries a combining mark is significant",
        "CN=\\20\N{COMBINING DIAERESIS}a",
        "CN=\N{COMBINING DIAERESIS}a",
    ),
    ("also beside one that does not", "CN=a  \N{COMBINING DIAERESIS}b", "CN=a \N{COMBINING DIAERESIS}b"),
    ("case, where the type's rule is not known: caseExactMatch", "1.3.6.1.4.1.99999.1=X", "1.3.6.1.4.1.99999.1=x"),
    ("a repeated RDN", "OU=a,OU=a", "OU=a"),
]

REFUSED = [
    # (text, what the message must tell)
    ("", "at least one"),
    ("  ", "at least one"),
    ("billing", "expected an attribute such as CN=billing"),
    ("CN=a,", "no comma after the last"),
    ("CN=a,,O=b", "expected an attribute"),
    (",CN=a", "expected an attribute"),
    ("CN=a+", "at least one"),
    ("CN=", "no value"),
    ("CN=  ", "no value"),
    (r"CN=\ ", "visible"),
    ("=a", "expected an attribute"),
    ("C N=a", "expected an attribute"),
    ("flavour=a", "object identifier"),
    ("9.9.9=a", "not an object identifier"),
    ("1=a", "expected an attribute"),
    ("/O=shop/CN=billing", "slash form"),
    ("CN=a;O=b", r"escape it as \;"),
    ("CN=a<b", r"escape it as \<"),
    ('CN=a"b', r"escape it as \""),
    ('CN="a', "closing quote"),
    ('CN="a" b', "a comma, a plus sign or the end"),
    ("CN=a\\", r"escape it as \\"),
    (r"CN=a\xb", r"escape it as \\"),
    ("CN=a\0b", "unexpected character"),
    (r"CN=a\00b", "NUL"),
    (r"CN=a\FF", "UTF-8"),
    ("CN=#", r"write \#"),
    ("CN=#0", r"write \#"),
    ("CN=#0C", "whole BER element"),
    ("CN=#0C0562", "whole BER element"),
    ("CN=#0C0162FF", "whole BER element"),
    ("CN=#0C80", "whole BER element"),
    ("CN=#020101", "tag 0x02"),
    ("CN=#0C01FF", "not valid utf-8"),
    ("CN=#1301FF", "not valid ascii"),
    ("CN=#1E01FF", "not valid utf-16-be"),
    ("CN=#0C00", "no value"),
    ("CN=a+CN=a", "twice"),
    ("C=deu", "length"),
    ("CN=" + "a" * 65, "length"),
    ("CN=\N{GRINNING FACE}", "U+1F600"),
    ("CN=\ue000", "U+E000"),
    ("CN=\N{REPLACEMENT CHARACTER}", "U+FFFD"),
]


@pytest.mark.parametrize(("one", "other"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_names_that_are_the_same(one: str, other: str) -> None:
    assert same(dn(one), dn(other))
    assert same(dn(other), dn(one))
    assert hash(normalize(dn(one))) == hash(normalize(dn(other)))


@pytest.mark.parametrize(("one", "other"), [row[1:] for row in DIFFERENT], ids=[row[0] for row in DIFFERENT])
def test_names_that_differ(one: str, other: str) -> None:
    assert not same(dn(one), dn(other))
    assert not same(dn(other), dn(one))


@pytest.mark.parametrize(("text", "told"), REFUSED)
def test_a_malformed_name_is_refused_and_told_what_is_right(text: str, told: str) -> None:
    with pytest.raises(InvalidName) as caught:
        normalize(dn(text))
    assert told in str(caught.value)
    assert repr(text) in str(caught.value)


def test_the_most_specific_rdn_stands_first_in_text_and_last_in_der() -> None:
    assert [attribute.value for attribute in parse_dn("CN=billing,OU=shop,O=example")] == ["example", "shop", "billing"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"CN=a\ ", "a "),
        (r"CN=a\  ", "a "),
        ("CN=a\\\\  ", "a\\"),
        (r"CN=\ a", " a"),
        ('CN=" a "', " a "),
        ("CN= a ", "a"),
    ],
)
def test_blanks_at_the_ends_of_a_value_are_kept_where_escaped_and_only_there(text: str, value: str) -> None:
    assert [attribute.value for attribute in parse_dn(text)] == [value]


ENCODINGS = [
    (NameOID.COMMON_NAME, "Billing 7", (_ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.IA5String)),
    (NameOID.COMMON_NAME, "Billing 7", (_ASN1Type.VisibleString, _ASN1Type.T61String)),
    (NameOID.COMMON_NAME, "Zürich", (_ASN1Type.UTF8String, _ASN1Type.BMPString, _ASN1Type.UniversalString)),
    (NameOID.SERIAL_NUMBER, "12345", (_ASN1Type.PrintableString, _ASN1Type.NumericString, _ASN1Type.UTF8String)),
    (NameOID.EMAIL_ADDRESS, "a@b.example", (_ASN1Type.IA5String, _ASN1Type.UTF8String)),
    (NameOID.DOMAIN_COMPONENT, "example", (_ASN1Type.IA5String, _ASN1Type.UTF8String)),
]


@pytest.mark.parametrize(("oid", "value", "types"), ENCODINGS)
def test_the_string_type_is_no_matter(oid: x509.ObjectIdentifier, value: str, types: tuple[_ASN1Type, ...]) -> None:
    encoded = [_recoded(x509.Name([x509.NameAttribute(oid, value, type_)])) for type_ in types]
    assert {normalize_dn(name) for name in encoded} == {normalize(dn(f"{oid.dotted_string}={value}")).value}
    assert len({name.public_bytes() for name in encoded}) == len(types), "the encodings do differ"


def test_a_bit_string_in_a_subject_is_matched_by_nothing() -> None:
    unique = x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\x01\x02", _ASN1Type.BitString)
    with pytest.raises(InvalidName, match=r"2\.5\.4\.45 holds a bit string"):
        normalize_dn(x509.Name([unique]))


def test_the_empty_subject_is_no_name() -> None:
    assert normalize_dn(x509.Name([])) == ()
    with pytest.raises(InvalidName, match="empty"):
        normalize_subject(x509.Name([]))


OPENSSL_SUBJECTS = [
    ("plain", "/O=shop/CN=billing"),
    ("comma and quote", '/O=Shop, "Inc."/CN=bil\\+ling'),
    ("plus that joins an RDN", "/O=shop/CN=billing+UID=7"),
    ("blanks", "/O= shop  of  horrors /CN=billing"),
    ("umlauts", "/O=Zürich/CN=\N{GREEK SMALL LETTER MU}"),
    ("ideographs", "/O=\u682a\u5f0f\u4f1a\u793e/CN=\u8acb\u6c42"),
    ("mail, domain components, country", "/DC=example/DC=com/C=DE/emailAddress=a@b.example"),
    ("leading sharp and backslash", "/O=#1/CN=a\\\\b"),
    ("serial number and title", "/serialNumber=77/title=Dr/givenName=A/SN=B/CN=c"),
]
# How other people's tools print a subject: all of it must be readable as a registration.
OPENSSL_FORMS = [
    "RFC2253",
    "RFC2253,-esc_msb,utf8",
    "RFC2253,sep_comma_plus_space",
    "oid,dn_rev,sep_comma_plus,esc_2253,utf8",
]


# The string types that OpenSSL may use: UTF8String; PrintableString and BMPString.
@pytest.mark.parametrize("mask", ["utf8only", "MASK:0x0802"])
@pytest.mark.parametrize("subject", [row[1] for row in OPENSSL_SUBJECTS], ids=[row[0] for row in OPENSSL_SUBJECTS])
def test_what_openssl_prints_of_a_subject_matches_what_openssl_encoded(subject: str, mask: str, tmp_path: Path) -> None:
    config = tmp_path / "openssl.cnf"
    config.write_text(f"[req]\nstring_mask={mask}\ndistinguished_name=dn\n[dn]\n")
    pem = _run("req", "-x509", "-config", config, "-utf8", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
               "-nodes", "-keyout", tmp_path / "key", "-subj", subject, "-multivalue-rdn")  # fmt: skip
    registered = normalize_subject(x509.load_pem_x509_certificate(pem.encode()).subject)
    for form in OPENSSL_FORMS:
        printed = _run("x509", "-noout", "-subject", "-nameopt", form, stdin=pem)
        assert normalize(dn(printed.removeprefix("subject=").rstrip("\n"))) == registered, form


def _recoded(name: x509.Name) -> x509.Name:
    """Through DER, so that the string type is on the wire."""
    return x509.Name.from_bytes(name.public_bytes())


def _run(*arguments: str | Path, stdin: str | None = None) -> str:
    done = subprocess.run(["openssl", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
