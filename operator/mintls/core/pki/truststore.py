"""Trust bundles for programs on the Java platform: a keystore that holds CA certificates and nothing secret.

The password is that of Java's own ``cacerts``, as every such keystore has one: it protects what anybody may read from
damage, not from a reader.
"""

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import KeySerializationEncryption, PrivateFormat, pkcs12

from mintls.core.pki import jks
from mintls.core.pki.derintegers import integers

__all__ = ["PASSWORD", "holds_pkcs12", "render_jks", "render_pkcs12"]

PASSWORD = "changeit"
"""Password of both forms."""
_MOST_ITERATIONS = 100_000


def render_jks(certificates: Sequence[x509.Certificate], password: str = PASSWORD) -> bytes:
    """A JKS keystore; equal certificates in equal order render equally.

    Args:
        certificates: The CAs to trust; each needs to be there once only, its alias is made of its fingerprint.
        password: Seals it.
    """
    entries = [jks.TrustedEntry(_alias(one), one.not_valid_before_utc, one) for one in certificates]
    return jks.render(entries, password)


def render_pkcs12(
    certificates: Sequence[x509.Certificate], protection: KeySerializationEncryption | None = None
) -> bytes:
    """A PKCS #12 keystore (RFC 7292) whose certificates Java takes for trusted ones; salted, so never twice the same.

    Args:
        certificates: The CAs to trust.
        protection: How, and by which password; left out, by the one above.

    Raises:
        ValueError: There is no certificate.
    """
    named = [pkcs12.PKCS12Certificate(certificate, _alias(certificate).encode()) for certificate in certificates]
    return pkcs12.serialize_java_truststore(named, protection or _protection())


def _protection() -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder().hmac_hash(hashes.SHA256())
    return builder.key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC).build(PASSWORD.encode())


def holds_pkcs12(keystore: bytes, certificates: Sequence[x509.Certificate]) -> bool:
    """Whether a PKCS #12 keystore opens with the password and holds exactly these certificates.

    How long opening takes stands in the keystore, which may be anybody's: one that says far more than ours is not
    opened.
    """
    try:
        if max(integers(keystore), default=0) > _MOST_ITERATIONS:
            return False
        found = pkcs12.load_pkcs12(keystore, PASSWORD.encode())
    except (ValueError, RecursionError):
        return False
    if found.key is not None or found.cert is not None:
        return False
    return {_alias(one.certificate) for one in found.additional_certs} == {_alias(one) for one in certificates}


def _alias(certificate: x509.Certificate) -> str:
    return f"mintls-{certificate.fingerprint(hashes.SHA256()).hex()}"
