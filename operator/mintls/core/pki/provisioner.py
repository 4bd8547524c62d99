"""A JWK provisioner of step-ca: its private key, as its owner keeps it, and the one-time tokens that it signs.

step-ca hands out the key encrypted, for whoever has the password (``encryptedKey`` of a provisioner): a JWE in the
compact serialization (RFC 7516 section 3.1), by a password (RFC 7518 section 4.8).
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from mintls.core.pki.errors import ProvisionerBroken
from mintls.core.pki.keys import PrivateKey, spki

TOKEN_LIFETIME = timedelta(minutes=5)

_ALGORITHMS: dict[str, Any] = {"EC": ECAlgorithm, "OKP": OKPAlgorithm, "RSA": RSAAlgorithm}
_SIGNING = {256: "ES256", 384: "ES384", 521: "ES512"}
# step-ca writes 600,000. Without a bound whoever answers in its place could keep a processor busy for hours.
_MOST_ITERATIONS = 5_000_000
_SALTED = b"PBES2-HS256+A128KW\0"


@dataclass(frozen=True, slots=True)
class Provisioner:
    """A provisioner that can sign tokens.

    Attributes:
        name: Its name at the CA.
        kid: Name of its key.
        key: Its private key. Not in the repr.
    """

    name: str
    kid: str
    key: PrivateKey = field(repr=False)

    @property
    def algorithm(self) -> str:
        """How it signs (RFC 7518 section 3.1)."""
        match self.key:
            case ec.EllipticCurvePrivateKey():
                return _SIGNING[self.key.curve.key_size]
            case rsa.RSAPrivateKey():
                return "RS256"
            case ed25519.Ed25519PrivateKey():
                return "EdDSA"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a one-time token allows.

    Attributes:
        audience: The URL that it is for.
        subject: The common name.
        names: The subject alternative names.
        request: The request in DER: no other may be signed with it.
        root: SHA-256 fingerprint of the CA's root, in hexadecimal.
    """

    audience: str
    subject: str
    names: tuple[str, ...]
    request: bytes = field(repr=False)
    root: str = ""


def sign_token(provisioner: Provisioner, grant: Grant, *, identifier: str, now: datetime) -> str:
    """A one-time token: a JWT that step-ca takes once.

    Args:
        provisioner: Who signs.
        grant: What it allows.
        identifier: ``jti``, which nobody can guess.
        now: Aware UTC.
    """
    bound = base64.urlsafe_b64encode(hashlib.sha256(grant.request).digest()).rstrip(b"=").decode()
    claims = {
        "iss": provisioner.name,
        "aud": grant.audience,
        "sub": grant.subject,
        "sans": list(grant.names),
        "sha": grant.root,
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "exp": int((now + TOKEN_LIFETIME).timestamp()),
        "jti": identifier,
        # As for access tokens in RFC 7800: whoever gets hold of the token can have nothing signed but this request.
        "cnf": {"x5rt#S256": bound},
    }
    return jwt.encode(claims, provisioner.key, algorithm=provisioner.algorithm, headers={"kid": provisioner.kid})


def read_jwk(text: bytes) -> tuple[str, PrivateKey]:
    """``kid`` and key of a private JWK (RFC 7517 section 4).

    Raises:
        ProvisionerBroken: It is none.
    """
    try:
        members = msgspec.json.decode(text, type=dict[str, Any])
        key = _ALGORITHMS[members["kty"]].from_jwk(members)
    except (msgspec.MsgspecError, jwt.InvalidKeyError, KeyError, ValueError, TypeError):
        # The cause may quote the key: it is not chained.
        raise ProvisionerBroken("is no JSON Web Key of kind EC, RSA or OKP (RFC 7517)") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise ProvisionerBroken("holds no private key: it lacks the member d")
    return str(members.get("kid", "")), key


def same_key(key: PrivateKey, public_jwk: dict[str, Any]) -> bool:
    """Whether a public JWK is that of a private key."""
    try:
        public = _ALGORITHMS[public_jwk["kty"]].from_jwk(public_jwk)
        return spki(public) == spki(key.public_key())
    except (jwt.InvalidKeyError, KeyError, ValueError, TypeError, AttributeError):
        return False


class _Header(msgspec.Struct, frozen=True):
    alg: str
    enc: str
    p2s: str = ""
    p2c: int = 0


_CONTENT_KEYS = {"A128GCM": 16, "A192GCM": 24, "A256GCM": 32}


def decrypt(encrypted: str, password: bytes) -> bytes:
    """The plaintext of a JWE in the compact serialization. It takes tenths of a second: call it in a thread.

    Args:
        encrypted: ``PBES2-HS256+A128KW`` with AES-GCM, as step writes it.
        password: As it was given to step.

    Raises:
        ProvisionerBroken: It is none, of another algorithm, or of another password.
    """
    try:
        protected, wrapped, nonce, ciphertext, tag = encrypted.split(".")
        header = msgspec.json.decode(_decoded(protected), type=_Header)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise ProvisionerBroken("is no JWE in the compact serialization (RFC 7516 section 3.1)") from None
    if header.alg != "PBES2-HS256+A128KW" or header.enc not in _CONTENT_KEYS:
        raise ProvisionerBroken(
            f"is encrypted by {header.alg[:40]} and {header.enc[:40]}; PBES2-HS256+A128KW and AES-GCM can be decrypted"
        )
    if not 1 <= header.p2c <= _MOST_ITERATIONS:
        raise ProvisionerBroken(f"asks for {header.p2c} rounds of PBKDF2; up to {_MOST_ITERATIONS} are made")
    try:
        salt = _SALTED + _decoded(header.p2s)
        wrapping = PBKDF2HMAC(algorithm=hashes.SHA256(), length=16, salt=salt, iterations=header.p2c).derive(password)
        content_key = aes_key_unwrap(wrapping, _decoded(wrapped))
        return AESGCM(content_key).decrypt(_decoded(nonce), _decoded(ciphertext) + _decoded(tag), protected.encode())
    except (InvalidUnwrap, InvalidTag, ValueError, binascii.Error):
        raise ProvisionerBroken("cannot be decrypted: the password is another one") from None


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
