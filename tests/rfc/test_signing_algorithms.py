"""RFC 7518 section 3.1 and RFC 8037 over real TLS, a row an algorithm: what two other libraries make of the tokens."""

import warnings
from typing import Any

import joserfc.jwk
import joserfc.jwt
import jwt
import pytest
from joserfc.errors import SecurityWarning

from builders.issuer import Bench, signing_key_made
from builders.pki import HOUR, NOW
from builders.witness import BUSY, header
from mintls.controllers.entropy import new_key
from mintls.core.oauth.signing_algorithms import ALGORITHMS, key_spec
from mintls.core.oauth.signing_keys import SigningKey, decode_signing_keys, encode_signing_keys, key_id

MEMBERS = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "PS256": {"kty": "RSA", "e": "AQAB"},
    "RS256": {"kty": "RSA", "e": "AQAB"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
every = pytest.mark.parametrize("alg", ALGORITHMS)


def made(alg: str) -> SigningKey:
    key = new_key(key_spec(alg))
    return signing_key_made(kid=key_id(key.public_key()), alg=alg, private_key=key)


def by_joserfc(token: str, jwks: Any, alg: str) -> dict[str, Any]:
    with warnings.catch_warnings():
        # Of EdDSA, which RFC 9864 calls Ed25519; RFC 8037's name is what other libraries know.
        warnings.simplefilter("ignore", SecurityWarning)
        return joserfc.jwt.decode(token, joserfc.jwk.KeySet.import_key_set(jwks), algorithms=[alg]).claims


async def document(bench: Bench, path: str) -> dict[str, Any]:
    return (await bench.curl(path, mtls=False)).json


@every
async def test_two_other_libraries_verify_a_token(bench: Bench, alg: str) -> None:
    key = made(alg)
    bench.issuer.directory.put_signing_keys((key,))
    leaf = bench.authority.client()
    token = (await bench.token(leaf)).json["access_token"]
    keys = await document(bench, "/jwks")
    assert header(token) == {"alg": alg, "typ": "at+jwt", "kid": key.kid}
    [published] = keys["keys"]
    assert published.items() >= {**MEMBERS[alg], "alg": alg, "use": "sig"}.items()
    assert not published.keys() & {"d", "p", "q", "dp", "dq", "qi"}, "no private member"
    assert published["kid"] == joserfc.jwk.import_key(published).thumbprint(), "RFC 7638"
    claims = jwt.decode(token, jwt.PyJWK(published), algorithms=[alg], audience="https://orders.shop.svc", leeway=BUSY)
    assert claims == by_joserfc(token, keys, alg)
    data = ("-d", "client_id=shop:billing", "-d", f"token={token}")
    assert (await bench.curl("/introspect", *data, leaf=leaf)).json["active"] is True


@every
async def test_rfc_8414_2_the_metadata_names_what_there_is_a_key_for(bench: Bench, alg: str) -> None:
    bench.issuer.directory.put_signing_keys((bench.key, made(alg)))
    found = await document(bench, "/.well-known/oauth-authorization-server")
    for name in ("introspection_signing_alg_values_supported", "id_token_signing_alg_values_supported"):
        assert set(found[name]) == {"ES256", alg}


@every
async def test_rfc_8725_3_1_a_token_of_one_algorithm_is_none_of_another(bench: Bench, alg: str) -> None:
    """Also where both are of the same kind of key."""
    key = made(alg)
    bench.issuer.directory.put_signing_keys((key,))
    leaf = bench.authority.client()
    token = (await bench.token(leaf)).json["access_token"]
    other = {"PS256": "RS256", "RS256": "PS256"}.get(alg, "PS256")
    with pytest.raises(jwt.PyJWTError):
        jwt.decode(token, jwt.PyJWK((await document(bench, "/jwks"))["keys"][0]), algorithms=[other])


@every
def test_the_document_of_the_secret_comes_back(alg: str) -> None:
    key = made(alg)
    [back] = decode_signing_keys(encode_signing_keys((key,)))
    assert (back.kid, back.alg, back.sign_from) == (key.kid, alg, NOW - HOUR)
    assert back.private_key.public_key() == key.private_key.public_key()
