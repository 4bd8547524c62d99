"""The five ways of RFC 8705 section 2.1.2 to name the subject of a client certificate, and when two names are the same.

A name is compared in its normalized form, whole value against whole value: no wildcard, no suffix, no substring.
Whatever a person registers and whatever a certificate holds goes through the same functions.
"""

import ipaddress
import re
from collections.abc import Callable
from enum import StrEnum
from functools import lru_cache

import msgspec
from cryptography import x509

from mintls.core.pki.dn import NormalizedDN, normalize_dn, parse_dn
from mintls.core.pki.errors import InvalidName

__all__ = [
    "InvalidName",
    "NormalizedName",
    "SubjectKind",
    "SubjectName",
    "general_name",
    "normalize",
    "normalize_general_name",
    "normalize_subject",
    "parse_dn",
    "same",
]


class SubjectKind(StrEnum):
    """Which part of the certificate names the client: the metadata parameters of RFC 8705 section 2.1.2."""

    SUBJECT_DN = "subjectDN"
    SAN_DNS = "sanDNS"
    SAN_URI = "sanURI"
    SAN_IP = "sanIP"
    SAN_EMAIL = "sanEmail"


class SubjectName(msgspec.Struct, frozen=True):
    """A name as a person writes it: an RFC 4514 string, a host name, a URI, an IP address or a mailbox."""

    kind: SubjectKind
    value: str


class NormalizedName(msgspec.Struct, frozen=True):
    """A name in the form that is compared: equal, with equal hash, if and only if the names are the same."""

    kind: SubjectKind
    value: str | bytes | NormalizedDN


# RFC 5280 section 4.2.1.6: the "preferred name syntax" of RFC 1034 section 3.5, as RFC 1123 section 2.1 widens it.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DNS = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")
# RFC 5321 section 4.1.2, Dot-string.
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")
# RFC 3986 section 3 and appendix B: scheme, authority, the rest.
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?([^?#]*)(\?[^#]*)?(#.*)?\Z")
_URI_CHARACTERS = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\Z")
_AUTHORITY = re.compile(r"((?:[^@]*@)?)(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=-]+)((?::[0-9]*)?)\Z")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


# An object's own name is looked at several times in a row.
@lru_cache(maxsize=256)
def normalize(subject: SubjectName) -> NormalizedName:
    """The form of a registered name that is compared with a certificate's.

    Args:
        subject: Kind and value.

    Returns:
        By kind: the RDNs prepared by RFC 4518; host name in lower case; URI by RFC 5280 section 7.4; address in
        network byte order (4 or 16 octets); mailbox with its domain in lower case (RFC 5280 section 7.5).

    Raises:
        InvalidName: When no certificate could hold such a name; the message says what to write.
    """
    return NormalizedName(subject.kind, _NORMALIZERS[subject.kind](subject.value))


def same(a: SubjectName, b: SubjectName) -> bool:
    """Whether two names are the same by the rules of their kind.

    Raises:
        InvalidName: As :func:`normalize`.
    """
    return normalize(a) == normalize(b)


def normalize_subject(name: x509.Name) -> NormalizedName:
    """The subject of a certificate as a name to be compared.

    Raises:
        InvalidName: When it is empty, or a value in it cannot be compared.
    """
    if not name.rdns:
        raise InvalidName("the subject is empty; it cannot name a client")
    return NormalizedName(SubjectKind.SUBJECT_DN, normalize_dn(name))


def normalize_general_name(name: x509.GeneralName) -> NormalizedName | None:
    """An entry of a subject alternative name extension, or None for a kind that RFC 8705 has no parameter for.

    Raises:
        InvalidName: When no registered name could be the same.
    """
    match name:
        case x509.DNSName():
            return normalize(SubjectName(SubjectKind.SAN_DNS, name.value))
        case x509.UniformResourceIdentifier():
            return normalize(SubjectName(SubjectKind.SAN_URI, name.value))
        case x509.RFC822Name():
            return normalize(SubjectName(SubjectKind.SAN_EMAIL, name.value))
        case x509.IPAddress():
            return normalize(SubjectName(SubjectKind.SAN_IP, str(name.value)))
        case _:
            return None


def general_name(subject: SubjectName) -> x509.GeneralName:
    """The entry of a subject alternative name extension that holds a name, as it was spelled.

    Args:
        subject: A name that :func:`normalize` takes; that is not checked again here.

    Raises:
        InvalidName: For a subjectDN, which is no alternative name.
    """
    match subject.kind:
        case SubjectKind.SAN_DNS:
            return x509.DNSName(subject.value)
        case SubjectKind.SAN_URI:
            return x509.UniformResourceIdentifier(subject.value)
        case SubjectKind.SAN_EMAIL:
            return x509.RFC822Name(subject.value)
        case SubjectKind.SAN_IP:
            return x509.IPAddress(ipaddress.ip_address(subject.value))
        case SubjectKind.SUBJECT_DN:
            raise InvalidName(f"subjectDN {subject.value!r} belongs into the subject, not among the alternative names")


def _normalize_dn(text: str) -> NormalizedDN:
    name = parse_dn(text)
    try:
        return normalize_dn(name)
    except InvalidName as error:
        raise InvalidName(f"subjectDN {text!r}: {error}") from error


def _normalize_dns(text: str) -> str:
    if not _DNS.match(text):
        raise InvalidName(
            f"sanDNS {text!r} is not a host name; write dot-separated labels of letters, digits and hyphens, "
            "no wildcard, no dot at the end, and xn-- labels for an internationalized name"
        )
    if text.rpartition(".")[2].isdigit():
        # RFC 1123 section 2.1: that is how an address is told from a name.
        raise InvalidName(f"sanDNS {text!r} ends in a number, as addresses do; use sanIP for an address")
    return text.lower()


def _normalize_ip(text: str) -> bytes:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidName(f"sanIP {text!r} is not an address; write one such as 10.0.0.7 or 2001:db8::7") from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise InvalidName(f"sanIP {text!r} has a zone, which no certificate can hold; leave out what follows the %")
    return address.packed


def _normalize_email(text: str) -> str:
    local_part, at, domain = text.rpartition("@")
    if not at or not _LOCAL_PART.match(local_part) or not _DNS.match(domain):
        raise InvalidName(f"sanEmail {text!r} is not an ASCII mailbox; write one such as billing@shop.example")
    return f"{local_part}@{domain.lower()}"


def _normalize_uri(text: str) -> str:
    """RFC 5280 section 7.4, whose last step is a case-sensitive comparison.

    Where that section would resolve dot segments, this refuses them: in an identity they are a mistake or an attack.
    """
    parts = _URI.match(text)
    if not parts or not _URI_CHARACTERS.match(text) or (parts[2] is None and not parts[3]):
        raise InvalidName(
            f"sanURI {text!r} is not an absolute URI; write one such as spiffe://cluster.local/ns/a/client/b"
        )
    scheme = parts[1].lower()
    authority = "" if parts[2] is None else "//" + _normalize_authority(text, scheme, parts[2])
    path = _normalize_percent(parts[3])
    if any(segment in (".", "..") for segment in path.split("/")):
        raise InvalidName(f"sanURI {text!r} has . or .. as a path segment; write the path without")
    if scheme in _DEFAULT_PORTS:
        path = path or "/"  # RFC 3986 section 6.2.3
    return f"{scheme}:{authority}{path}{_normalize_percent((parts[4] or '') + (parts[5] or ''))}"


def _normalize_authority(text: str, scheme: str, authority: str) -> str:
    parts = _AUTHORITY.match(authority)
    if not parts:
        raise InvalidName(f"sanURI {text!r} has no host after //, or one that is malformed; write a host name")
    is_default_port = scheme in _DEFAULT_PORTS and parts[3] in (":", _DEFAULT_PORTS[scheme])
    return _normalize_percent(parts[1]) + parts[2].lower() + ("" if is_default_port else parts[3])


def _normalize_percent(text: str) -> str:
    """RFC 3986 section 6.2.2: escapes in upper case, and none for a character that needs none."""
    return _PERCENT.sub(_normalize_escape, text)


def _normalize_escape(escape: re.Match[str]) -> str:
    char = chr(int(escape[1], 16))
    return char if char in _UNRESERVED else escape[0].upper()


_NORMALIZERS: dict[SubjectKind, Callable[[str], str | bytes | NormalizedDN]] = {
    SubjectKind.SUBJECT_DN: _normalize_dn,
    SubjectKind.SAN_DNS: _normalize_dns,
    SubjectKind.SAN_URI: _normalize_uri,
    SubjectKind.SAN_IP: _normalize_ip,
    SubjectKind.SAN_EMAIL: _normalize_email,
}
