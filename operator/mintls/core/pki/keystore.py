"""Keystores of a client: its own key with the chain in one file, the CAs that it trusts in another, under a password.

The files have cert-manager's names, and so do the profiles of PKCS #12.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import KeySerializationEncryption, PrivateFormat, pkcs12

from mintls.core.pki import jks
from mintls.core.pki.certificate import load_pem_chain
from mintls.core.pki.keys import PrivateKey, load_private_key
from mintls.core.pki.truststore import render_jks, render_pkcs12

type KeystoreKind = Literal["PKCS12", "JKS"]
type Profile = Literal["Modern2023", "LegacyDES"]
"""How a PKCS #12 file is protected. ``Modern2023``: AES-256 by PBKDF2 (PBES2, RFC 8018) and HMAC-SHA-256.
``LegacyDES``: Triple DES by the key derivation of PKCS #12 and HMAC-SHA-1 (RFC 7292 appendices B and C)."""

FILES: Mapping[KeystoreKind, tuple[str, str]] = {
    "PKCS12": ("keystore.p12", "truststore.p12"),
    "JKS": ("keystore.jks", "truststore.jks"),
}
"""The files of each kind: with the client's key, and with the CAs that it trusts."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What goes into keystores.

    Attributes:
        key: The client's private key.
        chain: Its certificate and those after it.
        roots: The CAs that it trusts.
    """

    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...]
    roots: tuple[x509.Certificate, ...]


def read_credentials(tls_crt: bytes, tls_key: bytes, ca_crt: bytes) -> Credentials:
    """What goes into keystores, of the PEM files that stand beside them.

    Raises:
        InvalidKey: ``tls_key`` is no private key.
        InvalidCertificate: One of the others holds no certificate.
    """
    return Credentials(load_private_key(tls_key), load_pem_chain(tls_crt), load_pem_chain(ca_crt))


def render(
    kind: KeystoreKind, credentials: Credentials, password: str, *, alias: str, profile: Profile, salt: bytes
) -> dict[str, bytes]:
    """The two files of a kind, by their names. PKCS #12 takes salts of its own.

    Args:
        kind: Which form.
        credentials: What they hold.
        password: Protects both; printable ASCII, as Java takes no other.
        alias: Name of the key's entry, in lower case.
        profile: How PKCS #12 is protected.
        salt: ``jks.SALT_OCTETS`` random octets.
    """
    keystore, truststore = FILES[kind]
    if kind == "JKS":
        created = credentials.chain[0].not_valid_before_utc
        entry = jks.KeyEntry(alias, created, credentials.key, credentials.chain, salt)
        return {keystore: jks.render([entry], password), truststore: render_jks(credentials.roots, password)}
    protection = _protection(profile, password)
    leaf, *others = credentials.chain
    return {
        keystore: pkcs12.serialize_key_and_certificates(alias.encode(), credentials.key, leaf, others, protection),
        truststore: render_pkcs12(credentials.roots, protection),
    }


def _protection(profile: Profile, password: str) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder()
    if profile == "LegacyDES":
        legacy = builder.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        return legacy.hmac_hash(hashes.SHA1()).build(password.encode())  # noqa: S303 - what older programs read
    modern = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
    return modern.hmac_hash(hashes.SHA256()).build(password.encode())


def unusable(password: bytes) -> str:
    """Why a password cannot be that of a keystore; "" if it can. Nothing of it is in the answer.

    ``javax.crypto.spec.PBEKeySpec`` takes any characters, but the algorithms of PKCS #12 refuse all but printable ASCII
    (``com.sun.crypto.provider.PBEKey``).
    """
    if not password:
        return "is empty"
    if password.endswith((b"\n", b"\r")):
        return "ends with a line break, which is part of it"
    if not all(0x20 <= octet <= 0x7E for octet in password):
        return "has other characters than printable ASCII"
    return ""


def all_files(kinds: Sequence[KeystoreKind]) -> tuple[str, ...]:
    """The files of these kinds."""
    return tuple(file for kind in kinds for file in FILES[kind])
