r"""Distinguished names: their RFC 4514 string as people write it, their comparison by RFC 4517 section 4.2.15.

The string form is RFC 4514's, most specific RDN first (``CN=billing,O=shop``). Beyond its grammar this takes what
RFC 2253 section 4 and common tools write: blanks around separators, any case, ``OID.`` before an object identifier,
quoted values, more attribute names than the nine of RFC 4514 section 3.
"""

import re
from collections.abc import Iterable

from cryptography import x509
from cryptography.x509.oid import NameOID

from mintls.core.pki.errors import InvalidName
from mintls.core.pki.preparation import prepare

type Attribute = tuple[str, str]
"""One attribute of a normalized RDN: dotted object identifier, prepared value."""
type NormalizedDN = tuple[tuple[Attribute, ...], ...]
"""RDNs in the certificate's order, most general first; within an RDN, which is a set, the attributes are sorted."""

# Attribute types by the names that RFC 4519, RFC 2985, X.520 and the usual tools give them, in lower case.
_OIDS: dict[str, x509.ObjectIdentifier] = {
    "cn": NameOID.COMMON_NAME,
    "commonname": NameOID.COMMON_NAME,
    "l": NameOID.LOCALITY_NAME,
    "localityname": NameOID.LOCALITY_NAME,
    "st": NameOID.STATE_OR_PROVINCE_NAME,
    "s": NameOID.STATE_OR_PROVINCE_NAME,
    "stateorprovincename": NameOID.STATE_OR_PROVINCE_NAME,
    "o": NameOID.ORGANIZATION_NAME,
    "organizationname": NameOID.ORGANIZATION_NAME,
    "ou": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "organizationalunitname": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "c": NameOID.COUNTRY_NAME,
    "countryname": NameOID.COUNTRY_NAME,
    "street": NameOID.STREET_ADDRESS,
    "streetaddress": NameOID.STREET_ADDRESS,
    "dc": NameOID.DOMAIN_COMPONENT,
    "domaincomponent": NameOID.DOMAIN_COMPONENT,
    "uid": NameOID.USER_ID,
    "userid": NameOID.USER_ID,
    "sn": NameOID.SURNAME,
    "surname": NameOID.SURNAME,
    "gn": NameOID.GIVEN_NAME,
    "givenname": NameOID.GIVEN_NAME,
    "initials": NameOID.INITIALS,
    "title": NameOID.TITLE,
    "t": NameOID.TITLE,
    "generationqualifier": NameOID.GENERATION_QUALIFIER,
    "dnqualifier": NameOID.DN_QUALIFIER,
    "pseudonym": NameOID.PSEUDONYM,
    "serialnumber": NameOID.SERIAL_NUMBER,
    "postalcode": NameOID.POSTAL_CODE,
    "businesscategory": NameOID.BUSINESS_CATEGORY,
    "organizationidentifier": NameOID.ORGANIZATION_IDENTIFIER,
    "emailaddress": NameOID.EMAIL_ADDRESS,
    "email": NameOID.EMAIL_ADDRESS,
    "e": NameOID.EMAIL_ADDRESS,
    "unstructuredname": NameOID.UNSTRUCTURED_NAME,
    "jurisdictioncountryname": NameOID.JURISDICTION_COUNTRY_NAME,
    "jurisdictionlocalityname": NameOID.JURISDICTION_LOCALITY_NAME,
    "jurisdictionstateorprovincename": NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME,
}
# Their EQUALITY rule is caseIgnoreMatch, caseIgnoreIA5Match or pkcs9CaseIgnoreMatch: the same preparation for all
# three. An attribute type that is not known here is compared by caseExactMatch: stricter, never looser.
_CASE_IGNORE = frozenset(oid.dotted_string for oid in _OIDS.values())

_TYPE = re.compile(r" *(?:[Oo][Ii][Dd]\.)?(?:([0-9]+(?:\.[0-9]+)+)|([A-Za-z][A-Za-z0-9-]*)) *= *")
_PAIR = r'\\(?:[0-9A-Fa-f]{2}|[ "#+,;<=>\\])'
_HEX = re.compile(r"#((?:[0-9A-Fa-f]{2})+) *")
_QUOTED = re.compile(rf'"((?:[^"\\\x00]|{_PAIR})*)" *')
_PLAIN = re.compile(rf'(?:[^"+,;<>\\\x00]|{_PAIR})*')
_TOKEN = re.compile(r"\\[0-9A-Fa-f]{2}|\\.|[^\\]+", re.DOTALL)
# Universal tags of the string types that an AttributeValue may have (X.690, RFC 5280 appendix A).
_STRING_ENCODINGS = {
    0x0C: "utf-8",  # UTF8String
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x14: "latin-1",  # TeletexString, as everybody reads it
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


def parse_dn(text: str) -> x509.Name:
    r"""Read a distinguished name from its string form.

    Args:
        text: For example ``CN=billing,OU=shop,O=Example\, Inc.``; the most specific RDN stands first.

    Returns:
        The name as a certificate holds it: RDNs from the most general on.

    Raises:
        InvalidName: Where it does not follow RFC 4514; the message says what to write instead.
    """
    if text.startswith("/"):
        raise InvalidName(f"subjectDN {text!r} is in OpenSSL's slash form; write RFC 4514's, such as CN=billing,O=shop")
    try:
        return x509.Name(reversed(_parse_rdns(text)))
    except InvalidName as error:
        raise InvalidName(f"subjectDN {text!r}: {error}") from error


def normalize_dn(name: x509.Name) -> NormalizedDN:
    """The form in which two distinguished names are equal if and only if they match (RFC 4517 section 4.2.15).

    Args:
        name: From a certificate or from :func:`parse_dn`.

    Returns:
        A hashable value; the empty tuple for the empty name.

    Raises:
        InvalidName: When a value cannot be compared.
    """
    return tuple(tuple(sorted(map(_normalize_attribute, rdn))) for rdn in name.rdns)


def _normalize_attribute(attribute: x509.NameAttribute[str | bytes]) -> Attribute:
    oid = attribute.oid.dotted_string
    if isinstance(attribute.value, bytes):
        raise InvalidName(f"attribute {oid} holds a bit string; only string values can be compared")
    return oid, prepare(attribute.value, fold_case=oid in _CASE_IGNORE)


def _parse_rdns(text: str) -> list[x509.RelativeDistinguishedName]:
    rdns: list[list[x509.NameAttribute[str | bytes]]] = [[]]
    position = 0
    while True:
        attribute, position = _parse_attribute(text, position)
        rdns[-1].append(attribute)
        if position == len(text):
            return [_rdn(attributes) for attributes in rdns]
        if text[position] == ",":
            rdns.append([])
        elif text[position] != "+":
            raise InvalidName(_unexpected(text, position))
        position += 1


def _unexpected(text: str, position: int) -> str:
    char = text[position]
    advice = f"escape it as \\{char}" if char in '";<>\\' else "a comma, a plus sign or the end belongs there"
    return f"unexpected character {char!r} after {text[:position]!r}; {advice}"


def _rdn(attributes: Iterable[x509.NameAttribute[str | bytes]]) -> x509.RelativeDistinguishedName:
    try:
        return x509.RelativeDistinguishedName(attributes)
    except ValueError as error:
        raise InvalidName("an RDN names the same attribute twice; name it once") from error


def _parse_attribute(text: str, position: int) -> tuple[x509.NameAttribute[str | bytes], int]:
    """One attributeTypeAndValue of RFC 4514 section 3 from ``position`` on, and where it ends."""
    start = _TYPE.match(text, position)
    if start is None:
        raise InvalidName(
            f"expected an attribute such as CN=billing at {text[position:]!r}"
            if text[position:].strip()
            else "an attribute is missing; write at least one, such as CN=billing, and no comma after the last"
        )
    oid = _oid(dotted=start[1], name=start[2])
    if hexadecimal := _HEX.match(text, start.end()):
        return _attribute(oid, _decode_value(bytes.fromhex(hexadecimal[1]))), hexadecimal.end()
    if quoted := _QUOTED.match(text, start.end()):
        return _attribute(oid, _unescape(quoted[1])), quoted.end()
    if text.startswith("#", start.end()):
        raise InvalidName(r"a value that begins with # is hexadecimal; write \# for the character itself")
    if text.startswith('"', start.end()):
        raise InvalidName(r"a quoted value lacks its closing quote; write \" for the character itself")
    plain = _PLAIN.match(text, start.end())
    raw = plain[0] if plain else ""
    return _attribute(oid, _unescape(_strip_right(raw))), start.end() + len(raw)


def _oid(*, dotted: str | None, name: str) -> x509.ObjectIdentifier:
    try:
        return x509.ObjectIdentifier(dotted) if dotted else _OIDS[name.lower()]
    except KeyError as error:
        raise InvalidName(f"attribute type {name!r} is not known; write its object identifier instead") from error
    except ValueError as error:
        raise InvalidName(f"{dotted!r} is not an object identifier; write one such as 2.5.4.3") from error


def _attribute(oid: x509.ObjectIdentifier, value: str) -> x509.NameAttribute[str | bytes]:
    if not value:
        raise InvalidName(f"attribute {oid.dotted_string} has no value; write one after the equals sign")
    try:
        return x509.NameAttribute(oid, value)
    except ValueError as error:
        raise InvalidName(f"attribute {oid.dotted_string} with value {value!r}: {error}") from error


def _strip_right(raw: str) -> str:
    """Without the blanks at the end, except one that a backslash escapes (RFC 4514 section 2.4)."""
    stripped = raw.rstrip(" ")
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 else stripped


def _unescape(raw: str) -> str:
    r"""RFC 4514 section 3: ``\`` before a special character, or before two hexadecimal digits of an UTF-8 octet."""
    octets = b"".join(
        bytes.fromhex(token[1:]) if len(token) == 3 and token[0] == "\\" else token.removeprefix("\\").encode()
        for token in _tokens(raw)
    )
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise InvalidName(r"escaped octets are not UTF-8; ü, for example, is \C3\BC") from error


def _tokens(raw: str) -> list[str]:
    return _TOKEN.findall(raw)


def _decode_value(der: bytes) -> str:
    """An AttributeValue in BER, as ``#`` and hexadecimal digits give it (RFC 4514 section 2.4)."""
    tag, content = _split_tlv(der)
    encoding = _STRING_ENCODINGS.get(tag)
    if encoding is None:
        raise InvalidName(
            f"the hexadecimal value has the ASN.1 tag 0x{tag:02X}; it has to be a string, as 0C for UTF-8"
        )
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidName(f"the hexadecimal value is not valid {encoding}") from error


def _split_tlv(der: bytes) -> tuple[int, bytes]:
    """Tag and content of one definite-length element that fills ``der`` (X.690 section 8.1)."""
    header = 2
    length = der[1] if len(der) > 1 else -1
    if length > 0x80:
        header += length - 0x80
        length = int.from_bytes(der[2:header])
    if length < 0 or header + length != len(der):
        raise InvalidName("the hexadecimal value is not one whole BER element, such as #0C0362 6F 62 for bob")
    return der[0], der[header:]
