"""Which object of the Kubernetes API a certificate was issued for, as the certificate itself says.

It is a directory name among the subject alternative names (RFC 5280 section 4.2.1.6):
``O=mintls.dev, OU=ClientCertificate, UID=<metadata.uid>``. So every certificate of an object can be told to be one,
whoever reads it and however many there were, without a list of serial numbers that would have to be written before a
certificate may be used. No registered name is a directory name, so nobody is authenticated by it; and a SPIFFE
identity stays the only URI, as SPIFFE's X509-SVID asks (section 2).

A CA that is asked over an API takes no directory name. For it the subject says the same, in a single common name:
``CN=mintls:ClientCertificate:<metadata.uid>``. No client can be registered by such a subject.
"""

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from mintls.core.pki.errors import InvalidName
from mintls.core.pki.preparation import prepare

ORGANIZATION = "mintls.dev"
_SUBJECT_PREFIX = "mintls:"
_SUBJECT = re.compile(r"mintls:([A-Za-z]+):([^:\s]+)")
_ATTRIBUTES = [NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.USER_ID]


@dataclass(frozen=True, slots=True)
class Origin:
    """An object.

    Attributes:
        kind: Its kind, such as ``ClientCertificate``.
        uid: Its ``metadata.uid``, which no later object of the same name has.
    """

    kind: str
    uid: str


def origin_name(origin: Origin) -> x509.DirectoryName:
    """The alternative name that says it."""
    values = (ORGANIZATION, origin.kind, origin.uid)
    return x509.DirectoryName(
        x509.Name([x509.NameAttribute(oid, value) for oid, value in zip(_ATTRIBUTES, values, strict=True)])
    )


def origin_subject(origin: Origin) -> x509.Name:
    """The subject that says it: up to 61 characters, where a common name has 64 (RFC 5280 appendix A.1)."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_SUBJECT_PREFIX}{origin.kind}:{origin.uid}")])


def origin_of_subject(subject: x509.Name) -> Origin | None:
    """The object that a subject speaks of; ``None`` if it is any other subject."""
    attributes = list(subject)
    if len(attributes) != 1 or attributes[0].oid != NameOID.COMMON_NAME:
        return None
    found = _SUBJECT.fullmatch(str(attributes[0].value))
    return Origin(found[1], found[2]) if found else None


def may_name_object(subject: x509.Name) -> bool:
    """Whether a subject may compare equal to one that names an object (RFC 4518): nobody is registered by it."""
    try:
        values = [prepare(str(attribute.value), fold_case=True) for attribute in subject]
    except InvalidName:
        return False
    return any(value.startswith(_SUBJECT_PREFIX) for value in values)


def read_origin(names: x509.SubjectAlternativeName) -> Origin | None:
    """The object that alternative names speak of; ``None`` if they speak of none, or of several."""
    found = [origin for name in names if (origin := _origin(name))]
    return found[0] if len(found) == 1 else None


def _origin(name: x509.GeneralName) -> Origin | None:
    if not isinstance(name, x509.DirectoryName) or any(len(rdn) != 1 for rdn in name.value.rdns):
        return None
    attributes = list(name.value)
    if [attribute.oid for attribute in attributes] != _ATTRIBUTES:
        return None
    organization, kind, uid = (str(attribute.value) for attribute in attributes)
    return Origin(kind, uid) if organization == ORGANIZATION else None
