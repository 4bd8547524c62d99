"""Key material: encoded, decoded, described and compared. Generation needs entropy and is done outside of the core."""

import hashlib
import re
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from mintls.core.pki.errors import InvalidKey

__all__ = [
    "InvalidKey",
    "KeyEncoding",
    "KeySpec",
    "PrivateKey",
    "PublicKey",
    "describe",
    "encode_private_key",
    "encoding_of",
    "key_fingerprint",
    "key_fits",
    "load_private_key",
    "matches",
    "spki",
]

type PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
"""A private key of a kind that TLS 1.3 and every current verifier know."""
type PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
"""The public half of a :data:`PrivateKey`."""

_PRIVATE = (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, ed25519.Ed25519PrivateKey)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
# NIST SP 800-57 part 1 allows less than 2048 bits no longer; more than 8192 only costs the verifier time.
_RSA_SIZES = range(2048, 8192 + 1)


class KeySpec(msgspec.Struct, frozen=True):
    """Kind and size of a key; the size is the curve's or the modulus' in bits, 256 for Ed25519."""

    algorithm: Literal["ECDSA", "RSA", "Ed25519"] = "ECDSA"
    size: int = 256


type KeyEncoding = Literal["PKCS8", "PKCS1"]
"""How a private key is written in PEM: PKCS #8 for any kind, or the form of its own kind, which older programs read:
PKCS #1 for RSA (RFC 8017 appendix A.1.2), SEC 1 for ECDSA (RFC 5915). Ed25519 has no form of its own (RFC 8410)."""

_LABEL = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----")
_ENCODING_OF_LABEL: dict[bytes, KeyEncoding] = {
    b"PRIVATE KEY": "PKCS8",
    b"RSA PRIVATE KEY": "PKCS1",
    b"EC PRIVATE KEY": "PKCS1",
}


def encode_private_key(key: PrivateKey, encoding: KeyEncoding = "PKCS8") -> bytes:
    """A private key in PEM, unencrypted: what ``tls.key`` of a Secret holds.

    Args:
        key: The key.
        encoding: PKCS #8 (RFC 7468 section 10), or the form of its own kind.

    Raises:
        InvalidKey: PKCS1 is asked for, and the key is Ed25519.
    """
    if encoding == "PKCS1" and isinstance(key, ed25519.Ed25519PrivateKey):
        raise InvalidKey("an Ed25519 key has no PKCS1 encoding; use PKCS8")
    # OpenSSL's "traditional" format is PKCS #1 for RSA and SEC 1 for ECDSA.
    formats = {"PKCS8": serialization.PrivateFormat.PKCS8, "PKCS1": serialization.PrivateFormat.TraditionalOpenSSL}
    return key.private_bytes(serialization.Encoding.PEM, formats[encoding], serialization.NoEncryption())


def encoding_of(pem: bytes) -> KeyEncoding | None:
    """How the first private key of a PEM file is encoded, by its label (RFC 7468 section 2); None for no such label."""
    label = _LABEL.search(pem)
    return _ENCODING_OF_LABEL.get(label.group(1)) if label else None


def load_private_key(pem: bytes) -> PrivateKey:
    """Read a private key from PEM: PKCS #8, or the older SEC 1 and PKCS #1 forms.

    Raises:
        InvalidKey: When it is none, is encrypted, or of a kind or size that :func:`describe` refuses. Neither the
            message nor a chained cause holds any of the input.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise InvalidKey("the private key is encrypted; store it unencrypted, as PKCS #8 in PEM") from None
    except (ValueError, UnsupportedAlgorithm):
        # Not chained: whatever the decoder says about the input may end in a log.
        raise InvalidKey("this is not a private key in PEM; expected PKCS #8 (BEGIN PRIVATE KEY)") from None
    if not isinstance(key, _PRIVATE):
        raise InvalidKey("the private key is of an unsupported kind; use ECDSA, RSA or Ed25519")
    describe(key.public_key())
    return key


def describe(key: object) -> KeySpec:
    """Kind and size of a public key.

    Args:
        key: As a certificate's or a request's ``public_key()`` returns it.

    Raises:
        InvalidKey: For anything else than ECDSA on P-256, P-384 or P-521, RSA from 2048 to 8192 bits, or Ed25519.
    """
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return KeySpec("ECDSA", key.curve.key_size)
        case rsa.RSAPublicKey() if key.key_size in _RSA_SIZES:
            return KeySpec("RSA", key.key_size)
        case ed25519.Ed25519PublicKey():
            return KeySpec("Ed25519", 256)
        case _:
            raise InvalidKey("unsupported key; use ECDSA P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or Ed25519")


def key_fits(key: PrivateKey | CertificatePublicKeyTypes, spec: KeySpec) -> bool:
    """Whether a key, either half of it, is of the wanted kind and size."""
    public_key = key.public_key() if isinstance(key, _PRIVATE) else key
    try:
        return describe(public_key) == spec
    except InvalidKey:
        return False


def matches(certificate: x509.Certificate, key: PrivateKey) -> bool:
    """Whether the private key is the one that the certificate was issued for."""
    try:
        return certificate.public_key() == key.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def spki(of: x509.Certificate | CertificatePublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo in DER (RFC 5280 section 4.1.2.7).

    Raises:
        InvalidKey: When a certificate's public key cannot be decoded.
    """
    try:
        key = of.public_key() if isinstance(of, x509.Certificate) else of
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKey(f"the certificate's public key cannot be read: {error}") from error
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_fingerprint(of: x509.Certificate | CertificatePublicKeyTypes) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in lower-case hexadecimal: how a key is pinned, whatever names it.

    Raises:
        InvalidKey: As :func:`spki`.
    """
    return hashlib.sha256(spki(of)).hexdigest()
