"""A JWK provisioner: its key as others encrypt it, and tokens that others can read."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe, jwk, jwt

from builders import pki
from builders.pki import NOW
from builders.step_ca import PASSWORD, make_provisioner
from mintls.core.pki.errors import ProvisionerBroken
from mintls.core.pki.provisioner import Grant, Provisioner, decrypt, read_jwk, same_key, sign_token

MADE = make_provisioner()
GRANT = Grant("https://ca.example/1.0/sign", "billing", ("spiffe://a/b",), b"request", root="ab")


def encrypted(**header: Any) -> str:
    names = ["PBES2-HS256+A128KW", "PBES2-HS512+A256KW", "A256GCM", "A128GCM", "A128CBC-HS256"]
    whole = {"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "p2c": 1000} | header
    registry = jwe.JWERegistry(algorithms=names)
    return jwe.encrypt_compact(whole, MADE.jwk, jwk.OctKey.import_key(PASSWORD), registry=registry)


@pytest.mark.parametrize("content", ["A256GCM", "A128GCM"])
def test_a_key_that_another_library_encrypted_is_decrypted(content: str) -> None:
    kid, key = read_jwk(decrypt(encrypted(enc=content), PASSWORD.encode()))
    assert kid == MADE.public["kid"]
    assert same_key(key, MADE.public)
    assert not same_key(key, make_provisioner().public)


def with_header(**changes: Any) -> str:
    head, _, rest = MADE.encrypted.partition(".")
    members = json.loads(base64.urlsafe_b64decode(head + "==")) | changes
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode() + "." + rest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MADE.encrypted[:-3] + "AAA", "cannot be decrypted: the password is another one"),
        (encrypted(alg="PBES2-HS512+A256KW"), "is encrypted by PBES2-HS512.A256KW and A256GCM"),
        (encrypted(enc="A128CBC-HS256"), "is encrypted by PBES2-HS256.A128KW and A128CBC-HS256"),
        (with_header(p2c=10**9), "asks for 1000000000 rounds of PBKDF2; up to 5000000 are made"),
        (with_header(p2c=0), "asks for 0 rounds"),
        (with_header(apu="x"), "cannot be decrypted"),
        ("", "is no JWE"),
        ("a.b.c.d.e", "is no JWE"),
        (MADE.jwk, "is no JWE"),
    ],
)
def test_what_cannot_be_decrypted_is_named(text: str, message: str) -> None:
    with pytest.raises(ProvisionerBroken, match=message):
        decrypt(text, PASSWORD.encode())


def test_another_password_is_told() -> None:
    with pytest.raises(ProvisionerBroken, match="the password is another one"):
        decrypt(MADE.encrypted, b"another")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is no JSON Web Key"),
        (b"[]", "is no JSON Web Key"),
        (b'{"kty": "oct", "k": "c2VjcmV0LXNlY3JldA"}', "is no JSON Web Key"),
        (json.dumps(json.loads(MADE.jwk) | {"d": "AA"}).encode(), "is no JSON Web Key"),
        (json.dumps(MADE.public).encode(), "holds no private key: it lacks the member d"),
    ],
)
def test_what_is_no_private_key_is_named_and_not_shown(text: bytes, message: str) -> None:
    with pytest.raises(ProvisionerBroken, match=message) as caught:
        read_jwk(text)
    assert json.loads(MADE.jwk)["d"] not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("key", "type_", "algorithm"),
    [
        (pki.ec_key(), "EC", "ES256"),
        (pki.ec_key(ec.SECP384R1()), "EC", "ES384"),
        pytest.param(
            *(pki.ed25519_key(), "OKP", "EdDSA"),
            # RFC 9864 names it Ed25519, which step-ca does not know.
            marks=pytest.mark.filterwarnings("ignore:EdDSA is deprecated"),
        ),
        (pki.rsa_key(), "RSA", "RS256"),
    ],
)
def test_a_token_says_what_it_allows_and_another_library_verifies_it(key: Any, type_: str, algorithm: str) -> None:
    provisioner = Provisioner("mintls", "kid-1", key)
    token = sign_token(provisioner, GRANT, identifier="once", now=NOW)
    public = jwk.import_key(key.public_key(), type_)
    found = jwt.decode(token, public, algorithms=[algorithm])
    assert found.header["kid"] == "kid-1"
    assert found.claims["exp"] - found.claims["iat"] == 300
    bound = base64.urlsafe_b64encode(hashlib.sha256(b"request").digest()).rstrip(b"=").decode()
    assert {name: found.claims[name] for name in ("iss", "aud", "sub", "sans", "sha", "jti", "cnf")} == {
        "iss": "mintls",
        "aud": GRANT.audience,
        "sub": "billing",
        "sans": ["spiffe://a/b"],
        "sha": "ab",
        "jti": "once",
        "cnf": {"x5rt#S256": bound},
    }
    assert "PrivateKey" not in repr(provisioner)
