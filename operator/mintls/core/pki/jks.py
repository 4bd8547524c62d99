"""JKS, the keystore of the Java platform before version 9: entries, how a key is protected, and the seal over all.

The only description of the format is OpenJDK's source: ``sun.security.provider.JavaKeyStore`` (the comment above
``engineStore``) and ``sun.security.provider.KeyProtector``. Its protection is SHA-1 without iterations: whoever has the
file finds a password that can be guessed.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import batched

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mintls.core.pki.keys import PrivateKey

__all__ = ["SALT_OCTETS", "KeyEntry", "TrustedEntry", "render"]

SALT_OCTETS = 20
"""Length of the salt of a protected key."""

_MAGIC, _VERSION, _PRIVATE_KEY, _TRUSTED_CERTIFICATE = 0xFEEDFEED, 2, 1, 2
_WHITENER = b"Mighty Aphrodite"
# AlgorithmIdentifier of KeyProtector: 1.3.6.1.4.1.42.2.17.1.1 with NULL, as EncryptedPrivateKeyInfo (RFC 5958) has it.
_PROTECTION = bytes.fromhex("300e060a2b060104012a021101010500")


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A private key with its certificates.

    Attributes:
        alias: By which a program asks for it, in lower case: Java looks for no other.
        created: When it was made; shown by keytool.
        key: The key.
        chain: Its certificates, leaf first.
        salt: ``SALT_OCTETS`` random octets, never used before with this password.
    """

    alias: str
    created: datetime
    key: PrivateKey = field(repr=False)
    chain: Sequence[x509.Certificate]
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class TrustedEntry:
    """A certificate that is trusted. The attributes are as those of a ``KeyEntry``."""

    alias: str
    created: datetime
    certificate: x509.Certificate


def render(entries: Sequence[KeyEntry | TrustedEntry], password: str) -> bytes:
    """A keystore; equal entries in equal order render equally.

    Args:
        entries: What it holds, each under an alias of its own.
        password: Protects the keys, and seals the whole.
    """
    secret = password.encode("utf-16-be")
    head = struct.pack(">III", _MAGIC, _VERSION, len(entries))
    body = head + b"".join(_entry(entry, secret) for entry in entries)
    return body + _sha1(secret + _WHITENER + body)


def _entry(entry: KeyEntry | TrustedEntry, secret: bytes) -> bytes:
    head = _text(entry.alias) + struct.pack(">q", int(entry.created.timestamp() * 1000))
    if isinstance(entry, TrustedEntry):
        return struct.pack(">I", _TRUSTED_CERTIFICATE) + head + _certificate(entry.certificate)
    chain = struct.pack(">I", len(entry.chain)) + b"".join(map(_certificate, entry.chain))
    return struct.pack(">I", _PRIVATE_KEY) + head + _counted(_protect(entry, secret)) + chain


def _protect(entry: KeyEntry, secret: bytes) -> bytes:
    """EncryptedPrivateKeyInfo: the key under a key stream of SHA-1, between its salt and a check value."""
    plain = entry.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    hidden, link = bytearray(), entry.salt
    for block in batched(plain, hashlib.sha1(usedforsecurity=False).digest_size, strict=False):
        link = _sha1(secret + link)
        hidden += bytes(octet ^ mask for octet, mask in zip(block, link, strict=False))
    protected = _der(0x04, entry.salt + bytes(hidden) + _sha1(secret + plain))
    return _der(0x30, _PROTECTION + protected)


def _sha1(octets: bytes) -> bytes:
    # The format has no other.
    return hashlib.sha1(octets, usedforsecurity=False).digest()


def _certificate(certificate: x509.Certificate) -> bytes:
    return _text("X.509") + _counted(certificate.public_bytes(Encoding.DER))


def _counted(octets: bytes) -> bytes:
    return struct.pack(">I", len(octets)) + octets


def _text(value: str) -> bytes:
    """A string as java.io.DataOutput.writeUTF has it; ASCII is the same in both."""
    encoded = value.encode("ascii")
    return struct.pack(">H", len(encoded)) + encoded


def _der(tag: int, content: bytes) -> bytes:
    """Tag, definite length, content (X.690 sections 8.1 and 10.1)."""
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content
