"""Trust bundles for programs on the Java platform: a keystore that holds CA certificates and nothing secret.

The password is that of Java's own ``cacerts``, as every such keystore has one: it protects what anybody may read from
damage, not from a reader.
"""

import hashlib
import struct
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs12

__all__ = ["PASSWORD", "holds_pkcs12", "render_jks", "render_pkcs12"]

PASSWORD = "changeit"
"""Password of both forms."""

# sun.security.provider.JavaKeyStore of OpenJDK: the comment above engineStore is the format's only description.
_JKS_MAGIC, _JKS_VERSION, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 2
_JKS_WHITENER = b"Mighty Aphrodite"


def render_jks(certificates: Sequence[x509.Certificate]) -> bytes:
    """A JKS keystore; equal certificates in equal order render equally.

    Args:
        certificates: The CAs to trust; each needs to be there once only, its alias is made of its fingerprint.
    """
    head = struct.pack(">III", _JKS_MAGIC, _JKS_VERSION, len(certificates))
    body = head + b"".join(_jks_entry(certificate) for certificate in certificates)
    # The format's own integrity check; SHA-1 is not a choice.
    digest = hashlib.sha1(PASSWORD.encode("utf-16-be") + _JKS_WHITENER + body, usedforsecurity=False).digest()
    return body + digest


def _jks_entry(certificate: x509.Certificate) -> bytes:
    created = int(certificate.not_valid_before_utc.timestamp() * 1000)
    der = certificate.public_bytes(Encoding.DER)
    kind = struct.pack(">I", _TRUSTED_CERTIFICATE)
    alias = _text(_alias(certificate))
    return kind + alias + struct.pack(">q", created) + _text("X.509") + struct.pack(">I", len(der)) + der


def _text(value: str) -> bytes:
    """A string as java.io.DataOutput.writeUTF has it; ASCII is the same in both."""
    encoded = value.encode("ascii")
    return struct.pack(">H", len(encoded)) + encoded


def render_pkcs12(certificates: Sequence[x509.Certificate]) -> bytes:
    """A PKCS #12 keystore (RFC 7292) whose certificates Java takes for trusted ones; salted, so never twice the same.

    Raises:
        ValueError: There is no certificate.
    """
    named = [pkcs12.PKCS12Certificate(certificate, _alias(certificate).encode()) for certificate in certificates]
    builder = PrivateFormat.PKCS12.encryption_builder().hmac_hash(hashes.SHA256())
    protection = builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC).build(PASSWORD.encode())
    return pkcs12.serialize_java_truststore(named, protection)


def holds_pkcs12(keystore: bytes, certificates: Sequence[x509.Certificate]) -> bool:
    """Whether a PKCS #12 keystore opens with the password and holds exactly these certificates."""
    try:
        found = pkcs12.load_pkcs12(keystore, PASSWORD.encode())
    except ValueError:
        return False
    if found.key is not None or found.cert is not None:
        return False
    return {_alias(one.certificate) for one in found.additional_certs} == {_alias(one) for one in certificates}


def _alias(certificate: x509.Certificate) -> str:
    return f"mintls-{certificate.fingerprint(hashes.SHA256()).hex()}"
