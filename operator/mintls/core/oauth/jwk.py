"""Public keys as JWK (RFC 7517), and their thumbprint (RFC 7638)."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

# RFC 7638 section 3.2 and RFC 8037 section 2: what the thumbprint is made of.
_REQUIRED = frozenset({"crv", "e", "kty", "n", "x", "y"})


PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Whoever shows one of these has shown the private key (RFC 7518 section 6, RFC 8037 section 2)."""


def public_members(key: Any) -> dict[str, str]:
    """The members of a public key (RFC 7518 section 6, RFC 8037 section 2), each written in the one way there is."""
    match key:
        case rsa.RSAPublicKey():
            members = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
        case ec.EllipticCurvePublicKey():
            members = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
        case _:
            members = jwt.algorithms.OKPAlgorithm.to_jwk(key, as_dict=True)
    return {name: str(value) for name, value in members.items() if name in _REQUIRED}


def thumbprint(key: Any) -> str:
    """``jkt``: SHA-256 over the required members in their order, without blanks, as base64url (RFC 7638 section 3)."""
    canonical = msgspec.json.encode(dict(sorted(public_members(key).items())))
    return urlsafe_b64encode(hashlib.sha256(canonical).digest()).rstrip(b"=").decode("ascii")
