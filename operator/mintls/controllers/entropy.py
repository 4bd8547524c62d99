"""Where randomness comes in: keys and serial numbers, from the operating system through OpenSSL."""

import secrets

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mintls.core.pki.jks import SALT_OCTETS
from mintls.core.pki.keys import KeySpec, PrivateKey
from mintls.core.pki.profiles import serial_number


def new_key(spec: KeySpec) -> PrivateKey:
    """A new private key. RSA takes tens of milliseconds and more: call it in a thread."""
    if spec.algorithm == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=spec.size)
    if spec.algorithm == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP384R1() if spec.size == 384 else ec.SECP256R1())


def new_salt() -> bytes:
    """A new salt of a keystore."""
    return secrets.token_bytes(SALT_OCTETS)


def new_serial() -> int:
    """A new serial number of 159 random bits (RFC 5280 section 4.1.2.2)."""
    return serial_number(secrets.token_bytes(20))
