"""The algorithms that tokens can be signed with (RFC 7518 section 3.1, RFC 8037), and what each is to a key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from mintls.core.pki.keys import KeySpec, PrivateKey, key_fits

_SHA256, _SHA384 = hashes.SHA256(), hashes.SHA384()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=padding.PSS.DIGEST_LENGTH)  # RFC 7518 section 3.5
_PKCS1 = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm.

    Attributes:
        spec: The key that it is used with.
        sign: The signature over some octets, as a JWS has it.
    """

    spec: KeySpec
    sign: Callable[[Any, bytes], bytes]


def _ecdsa(hash_: hashes.HashAlgorithm, octets: int) -> Callable[[Any, bytes], bytes]:
    """RFC 7518 section 3.4: both integers in full length, one after the other."""
    scheme = ec.ECDSA(hash_)

    def sign(key: Any, message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, scheme))
        return r.to_bytes(octets) + s.to_bytes(octets)

    return sign


_BY_NAME: Mapping[str, Algorithm] = {
    "ES256": Algorithm(KeySpec("ECDSA", 256), _ecdsa(_SHA256, 32)),
    "ES384": Algorithm(KeySpec("ECDSA", 384), _ecdsa(_SHA384, 48)),
    "PS256": Algorithm(KeySpec("RSA", 2048), lambda key, message: bytes(key.sign(message, _PSS, _SHA256))),
    "RS256": Algorithm(KeySpec("RSA", 2048), lambda key, message: bytes(key.sign(message, _PKCS1, _SHA256))),
    "EdDSA": Algorithm(KeySpec("Ed25519", 256), lambda key, message: bytes(key.sign(message))),
}
ALGORITHMS = tuple(_BY_NAME)


def key_spec(alg: str) -> KeySpec:
    """The key that an algorithm is used with.

    Raises:
        KeyError: It is none of ``ALGORITHMS``.
    """
    return _BY_NAME[alg].spec


def fits(alg: str, key: PrivateKey) -> bool:
    """Whether a key is of the kind and size of an algorithm."""
    return key_fits(key, _BY_NAME[alg].spec)


def sign(alg: str, key: PrivateKey, message: bytes) -> bytes:
    """The signature, as a JWS has it.

    Args:
        alg: One of ``ALGORITHMS``.
        key: A key that fits it.
        message: The signing input.
    """
    return _BY_NAME[alg].sign(key, message)
