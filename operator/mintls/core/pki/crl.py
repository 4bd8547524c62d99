"""Certificate revocation lists: RFC 5280 section 5. Keys and times are arguments; a fraction of a second is cut off."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from mintls.core.pki.authority import signature_hash
from mintls.core.pki.errors import InvalidRevocationList
from mintls.core.pki.keys import PrivateKey

__all__ = [
    "InvalidRevocationList",
    "RevocationList",
    "Revoked",
    "can_sign_lists",
    "encode_lists",
    "is_of",
    "key_identifier",
    "read_lists",
    "sign_list",
    "signing_key_identifier",
]

_PEM = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Revoked:
    """An entry of a list.

    Attributes:
        date: Since when the certificate counts as revoked, aware UTC in whole seconds.
        reason: Why (RFC 5280 section 5.3.1); ``None`` where nobody said, as *unspecified* is to be left out.
    """

    date: datetime
    reason: x509.ReasonFlags | None = None


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A CRL, read once.

    Attributes:
        key_id: Key identifier of the CA that signed it, in hexadecimal (RFC 5280 section 5.2.1).
        number: cRLNumber (section 5.2.3).
        this_update: When it was made, aware UTC.
        next_update: Until when it counts, aware UTC.
        revoked: Its entries, by serial number.
        der: The list itself.
    """

    key_id: str
    number: int
    this_update: datetime
    next_update: datetime
    revoked: Mapping[int, Revoked] = field(repr=False)
    der: bytes = field(repr=False)


def read_lists(pem: bytes) -> tuple[RevocationList, ...]:
    """The CRLs of a PEM file in their order (RFC 7468 section 8).

    Raises:
        InvalidRevocationList: When there is none, or one is malformed or lacks what RFC 5280 section 5.2 demands.
    """
    found = tuple(_read(block) for block in _PEM.findall(pem))
    if not found:
        raise InvalidRevocationList("this is not a CRL in PEM (BEGIN X509 CRL)")
    return found


def encode_lists(lists: Iterable[RevocationList]) -> bytes:
    """CRLs in PEM, in the order given."""
    return b"".join(x509.load_der_x509_crl(one.der).public_bytes(Encoding.PEM) for one in lists)


def sign_list(
    certificate: x509.Certificate,
    key: PrivateKey,
    revoked: Mapping[int, Revoked],
    *,
    number: int,
    this_update: datetime,
    next_update: datetime,
) -> RevocationList:
    """A CRL of a CA for the certificates that this CA itself has signed.

    Args:
        certificate: The CA's certificate.
        key: Its key.
        revoked: The entries, by serial number.
        number: cRLNumber, greater than that of every list of this CA before.
        this_update: When it is made.
        next_update: Until when it counts.

    Raises:
        SigningRefused: UNSUPPORTED_KEY.
    """
    identifier = x509.SubjectKeyIdentifier(bytes.fromhex(key_identifier(certificate)))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(certificate.subject)
        .last_update(this_update.replace(microsecond=0))
        .next_update(next_update.replace(microsecond=0))
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial, entry in sorted(revoked.items()):
        builder = builder.add_revoked_certificate(_entry(serial, entry))
    return _facts(builder.sign(key, signature_hash(key)))


def is_of(found: RevocationList, certificate: x509.Certificate) -> bool:
    """Whether a CRL was signed by a CA's key, and is called after it."""
    crl = x509.load_der_x509_crl(found.der)
    try:
        # A key of another kind than the CRL's signature is a TypeError or an unsupported one.
        return crl.issuer == certificate.subject and crl.is_signature_valid(certificate.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False


def can_sign_lists(certificate: x509.Certificate) -> bool:
    """Whether verifiers take CRLs of this CA: its keyUsage has cRLSign (RFC 5280 sections 4.2.1.3 and 6.3.3 (f))."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return False


def key_identifier(certificate: x509.Certificate) -> str:
    """SubjectKeyIdentifier of a CA, in hexadecimal (RFC 5280 section 4.2.1.2); made of its key where it has none."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        found = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    return found.digest.hex()


def signing_key_identifier(leaf: x509.Certificate) -> str:
    """AuthorityKeyIdentifier of a leaf: which key signed it, in hexadecimal; "" where it does not say."""
    try:
        found = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return ""
    return (found.key_identifier or b"").hex()


def _entry(serial: int, entry: Revoked) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(entry.date)
    if entry.reason is not None:
        builder = builder.add_extension(x509.CRLReason(entry.reason), critical=False)
    return builder.build()


def _read(block: bytes) -> RevocationList:
    try:
        return _facts(x509.load_pem_x509_crl(block))
    except (ValueError, x509.InvalidVersion, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise InvalidRevocationList(f"a CRL cannot be read: {error}") from error


def _facts(crl: x509.CertificateRevocationList) -> RevocationList:
    identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    if crl.next_update_utc is None or identifier is None:
        raise InvalidRevocationList("a CRL lacks nextUpdate or the key identifier of its CA (RFC 5280 section 5)")
    return RevocationList(
        key_id=identifier.hex(),
        number=number,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        revoked={one.serial_number: Revoked(one.revocation_date_utc, _reason(one)) for one in crl},
        der=crl.public_bytes(Encoding.DER),
    )


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None
