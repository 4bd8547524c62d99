"""What a certificate says, read once: every later question is answered from the frozen facts."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from mintls.core.pki.errors import InvalidCertificate, InvalidName
from mintls.core.pki.keys import key_fingerprint, spki
from mintls.core.pki.names import NormalizedName, normalize_general_name, normalize_subject
from mintls.core.pki.origin import Origin, origin_of_subject, read_origin

__all__ = [
    "CertificateFacts",
    "InvalidCertificate",
    "describe_certificate",
    "encode_pem",
    "facts",
    "first_break",
    "is_authority",
    "key_fingerprint",
    "load_pem_chain",
    "read_certificate",
    "thumbprint",
]


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate and what is asked of it.

    Attributes:
        certificate: The certificate itself.
        thumbprint: ``x5t#S256``: SHA-256 of the DER, base64url without padding (RFC 8705 section 3.1).
        serial: The serial number.
        not_before: First moment of validity, aware UTC.
        not_after: Last moment of validity, aware UTC, inclusive (RFC 5280 section 4.1.2.5).
        subject: The subject DN, or None when it is empty or cannot be compared.
        names: All that a registration could match: the subject and the alternative names. A value with a NUL, or one
            that cannot be normalized, is left out: it matches nothing.
        public_key: The subject's public key, of a kind that may be unsupported.
        spki_sha256: SHA-256 of the SubjectPublicKeyInfo, 32 octets.
        origin: The object that it was issued for, if it says so.
    """

    certificate: x509.Certificate
    thumbprint: str
    serial: int
    not_before: datetime
    not_after: datetime
    subject: NormalizedName | None
    names: frozenset[NormalizedName]
    public_key: CertificatePublicKeyTypes
    spki_sha256: bytes
    origin: Origin | None


def read_certificate(der: bytes) -> CertificateFacts:
    """Parse a certificate.

    Args:
        der: As TLS hands it over.

    Raises:
        InvalidCertificate: When it is not DER of an X.509 certificate, or a name or extension cannot be decoded.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion) as error:
        raise InvalidCertificate(f"this is not an X.509 certificate in DER: {error}") from error
    return facts(certificate)


def facts(certificate: x509.Certificate) -> CertificateFacts:
    """What a parsed certificate says.

    Raises:
        InvalidCertificate: When a name, an extension or the public key cannot be decoded.
    """
    try:
        subject = _subject(certificate)
        _ = certificate.issuer  # decoded when it is asked for, which others do later and outside of this
        alternatives = _alternatives(certificate)
        names = frozenset(_names(alternatives)) | ({subject} if subject else frozenset())
        public_key = certificate.public_key()
        not_before, not_after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm) as error:
        raise InvalidCertificate(f"the certificate cannot be read: {error}") from error
    return CertificateFacts(
        certificate=certificate,
        thumbprint=thumbprint(certificate),
        serial=certificate.serial_number,
        not_before=not_before,
        not_after=not_after,
        subject=subject,
        names=names,
        public_key=public_key,
        spki_sha256=hashlib.sha256(spki(public_key)).digest(),
        origin=(read_origin(alternatives) if alternatives else None) or origin_of_subject(certificate.subject),
    )


def load_pem_chain(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM file in their order (RFC 7468 section 5).

    Raises:
        InvalidCertificate: When there is none, or one is malformed.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion) as error:
        raise InvalidCertificate(f"this is not a certificate in PEM (BEGIN CERTIFICATE): {error}") from error


def encode_pem(*chain: x509.Certificate) -> bytes:
    """Certificates in PEM, in the order given: what ``tls.crt`` holds, leaf first."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def first_break(chain: Sequence[x509.Certificate]) -> int | None:
    """Index of the first certificate of a chain that was not signed by the one after it; None when all were."""
    for position, (issued, issuer) in enumerate(pairwise(chain)):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return position
    return None


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether a certificate may sign others (RFC 5280 section 4.2.1.9)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def describe_certificate(certificate: x509.Certificate) -> str:
    """Which certificate is meant, for a message."""
    return f"the certificate of {certificate.subject.rfc4514_string()!r} (serial number {certificate.serial_number:x})"


def thumbprint(certificate: x509.Certificate) -> str:
    """``x5t#S256`` of a certificate: SHA-256 of its DER, base64url without padding (RFC 8705 section 3.1)."""
    return base64.urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode()


def _subject(certificate: x509.Certificate) -> NormalizedName | None:
    name = certificate.subject
    try:
        return normalize_subject(name)
    except InvalidName:
        return None


def _alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _names(alternatives: x509.SubjectAlternativeName | None) -> Iterator[NormalizedName]:
    for general_name in alternatives or ():
        try:
            normalized = normalize_general_name(general_name)
        except InvalidName:
            continue
        if normalized is not None:
            yield normalized
