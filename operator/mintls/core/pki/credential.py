"""A credential: a certificate with its key, as ``tls.crt`` and ``tls.key`` of a Secret hold it."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from mintls.core.pki.certificate import CertificateFacts, InvalidCertificate, facts, first_break, load_pem_chain
from mintls.core.pki.errors import Breakage, CredentialBroken
from mintls.core.pki.keys import InvalidKey, KeySpec, describe, load_private_key, matches, spki

__all__ = ["Breakage", "Credential", "CredentialBroken", "check_certificate", "check_credential"]


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate whose key is at hand; the key itself is not kept.

    Attributes:
        leaf: What the first certificate says.
        chain: The certificates after it, each the issuer of the one before.
        key: Kind and size of the key.
    """

    leaf: CertificateFacts
    chain: tuple[x509.Certificate, ...]
    key: KeySpec


def check_credential(tls_crt: bytes, tls_key: bytes) -> Credential:
    """Read a credential and make sure that a TLS client could use it.

    Args:
        tls_crt: Certificates in PEM, leaf first (RFC 8446 section 4.4.2).
        tls_key: The private key in PEM.

    Raises:
        CredentialBroken: INVALID_CERTIFICATE, INVALID_KEY, KEY_MISMATCH or BROKEN_CHAIN, in this order of checks.
    """
    leaf, certificates = _read(tls_crt)
    try:
        key = load_private_key(tls_key)
    except InvalidKey as error:
        raise CredentialBroken(Breakage.INVALID_KEY, f"tls.key: {error}") from error
    if not matches(leaf.certificate, key):
        raise CredentialBroken(
            Breakage.KEY_MISMATCH,
            f"tls.key is not the key of the certificate with serial number {leaf.serial:x} in tls.crt",
        )
    _check_chain(certificates)
    return Credential(leaf=leaf, chain=certificates[1:], key=describe(key.public_key()))


def check_certificate(tls_crt: bytes, key: CertificatePublicKeyTypes) -> Credential:
    """Read a certificate whose private key is elsewhere.

    Args:
        tls_crt: As for :func:`check_credential`.
        key: The key that it has to be of.

    Raises:
        CredentialBroken: INVALID_CERTIFICATE, KEY_MISMATCH or BROKEN_CHAIN, in this order of checks.
    """
    leaf, certificates = _read(tls_crt)
    if spki(leaf.public_key) != spki(key):
        raise CredentialBroken(
            Breakage.KEY_MISMATCH,
            f"the certificate with serial number {leaf.serial:x} in tls.crt is not of the key that was asked for",
        )
    _check_chain(certificates)
    return Credential(leaf=leaf, chain=certificates[1:], key=describe(key))


def _read(tls_crt: bytes) -> tuple[CertificateFacts, tuple[x509.Certificate, ...]]:
    try:
        certificates = load_pem_chain(tls_crt)
        return facts(certificates[0]), certificates
    except InvalidCertificate as error:
        raise CredentialBroken(Breakage.INVALID_CERTIFICATE, f"tls.crt: {error}") from error


def _check_chain(certificates: tuple[x509.Certificate, ...]) -> None:
    position = first_break(certificates)
    if position is not None:
        raise CredentialBroken(
            Breakage.BROKEN_CHAIN,
            f"tls.crt: certificate {position + 1} is not signed by certificate {position + 2}; "
            "write the leaf first and after each certificate its issuer's",
        )
