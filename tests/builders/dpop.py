"""DPoP proofs, signed by joserfc; the issuer reads them with PyJWT."""

import base64
import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

import joserfc.jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key

from builders.pki import NOW

LEFT_OUT = object()
TOKEN_URL = "https://localhost:9443/token"
KEY = ECKey.generate_key("P-256")


def proof(
    key: Key = KEY,
    header: Mapping[str, Any] | None = None,
    *,
    token: str | None = None,
    signed_by: Key | None = None,
    **claims: Any,
) -> str:
    """A proof for a token request; a claim or header is changed by its name, or left out."""
    head = {"typ": "dpop+jwt", "alg": "ES256", "jwk": key.as_dict(private=False)} | dict(header or {})
    payload = {"jti": "1", "htm": "POST", "htu": TOKEN_URL, "iat": int(NOW.timestamp())}
    payload |= {"ath": ath(token)} if token else {}
    return _sign(_kept(head), _kept(payload | claims), signed_by or key)


def ath(token: str) -> str:
    """RFC 9449 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def _kept(value: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in value.items() if one is not LEFT_OUT}


def _sign(header: dict[str, Any], payload: dict[str, Any], key: Key) -> str:
    algorithms = ["ES256", "ES384", "PS256", "RS256", "EdDSA", "HS256", "none", "RS512"]
    registry = joserfc.jws.JWSRegistry(algorithms=algorithms, strict_check_header=False)
    with warnings.catch_warnings():
        # Of "none", and of EdDSA, which RFC 9864 calls Ed25519; PyJWT does not know that name.
        warnings.simplefilter("ignore", SecurityWarning)
        return joserfc.jws.serialize_compact(header, json.dumps(payload), key, registry=registry)
