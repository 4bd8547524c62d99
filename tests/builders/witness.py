"""What programs that share no code with Mintls say of a token and of a certificate."""

import base64
import json
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwt
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from builders.pki import Leaf

BUSY = timedelta(hours=1)
"""Tokens are made at NOW, when the tests were collected; on a busy machine a test is run long after that, and PyJWT
knows but the real time."""


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def x5t_s256(leaf: Leaf, directory: Path) -> str:
    """The thumbprint as RFC 8705 section 3.1 has it, by openssl alone."""
    crt, _ = leaf.write(directory, "witness")
    der = openssl("x509", "-in", str(crt), "-outform", "der")
    return _base64url(openssl("dgst", "-sha256", "-binary", given=der))


def verify_with_pyjwt(token: str, jwks: dict[str, Any], audience: str) -> dict[str, Any]:
    """The claims, after PyJWT has checked signature, audience and, with much patience, times."""
    keys = jwt.PyJWKSet.from_dict(jwks)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=["ES256"],
        audience=audience,
        leeway=BUSY,
        options={"require": ["exp", "iat", "sub", "iss", "jti"]},
    )
    return claims


def verify_with_joserfc(token: str, jwks: dict[str, Any]) -> dict[str, Any]:
    """The claims, after joserfc has checked the signature."""
    keys = joserfc.jwk.KeySet.import_key_set(jwks)  # type: ignore[arg-type] # its type names each kind of key
    return joserfc.jwt.decode(token, keys, algorithms=["ES256"]).claims


def verify_with_openssl(token: str, jwk: dict[str, str], directory: Path) -> dict[str, Any]:
    """The claims, after openssl has checked the signature with a public key made of the JWK's bare numbers."""
    point = b"\x04" + decode(jwk["x"]) + decode(jwk["y"])
    # SubjectPublicKeyInfo of a P-256 key up to the point (RFC 5480 section 2).
    spki = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    head, payload, signature = token.split(".")
    raw = decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    (directory / "jwk.der").write_bytes(spki)
    (directory / "signature.der").write_bytes(der)
    arguments = (
        "-verify",
        str(directory / "jwk.der"),
        "-keyform",
        "DER",
        "-signature",
        str(directory / "signature.der"),
    )
    assert openssl("dgst", "-sha256", *arguments, given=f"{head}.{payload}".encode()) == b"Verified OK\n"
    claims: dict[str, Any] = json.loads(decode(payload))
    return claims


def header(token: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(decode(token.split(".", maxsplit=1)[0]))
    return value


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
