"""Which object of the Kubernetes API a certificate was issued for, as the certificate itself says.

It is a directory name among the subject alternative names (RFC 5280 section 4.2.1.6):
``O=mintls.dev, OU=ClientCertificate, UID=<metadata.uid>``. So every certificate of an object can be told to be one,
whoever reads it and however many there were, without a list of serial numbers that would have to be written before a
certificate may be used. No registered name is a directory name, so nobody is authenticated by it; and a SPIFFE
identity stays the only URI, as SPIFFE's X509-SVID asks (section 2).
"""

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

ORGANIZATION = "mintls.dev"
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
