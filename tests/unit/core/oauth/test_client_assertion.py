"""Keys that verify assertions, and assertions that are none."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from builders.pki import NOW, ec_key, rsa_key
from mintls.core.oauth.client_assertion import KeyNotUsable, claimed_subject, keys_of_jwks, verify_assertion
from mintls.core.oauth.errors import InvalidClient
from mintls.core.oauth.self_signed import Jwk

ISSUER = "https://issuer.example"
GOOD: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(ec_key().public_key(), as_dict=True)
WEAK: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(1024).public_key(), as_dict=True)
P521: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(ec_key(ec.SECP521R1()).public_key(), as_dict=True)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ((GOOD | {"use": "enc"},), "jwks[0].use must be sig"),
        ((GOOD | {"alg": "RS256"},), "jwks[0].alg must be one of ES256"),
        ((GOOD, GOOD | {"y": "AA"}), "jwks[1] is not a public key in JWK"),
        (({"kty": "oct", "k": "AA"},), "jwks[0] is not a public key in JWK"),
        (({},), "jwks[0] is not a public key in JWK"),
        ((WEAK,), "jwks[0] has a key that is too weak"),
        ((P521,), "jwks[0] has a key that is too weak or of an unknown kind"),
        ((GOOD | {"kid": "a"}, GOOD | {"kid": "a"}), "jwks has two keys of one kid"),
    ],
)
def test_a_key_that_cannot_be_registered_says_what_would_be_right(
    members: tuple[dict[str, Any], ...], words: str
) -> None:
    with pytest.raises(KeyNotUsable) as refused:
        keys_of_jwks((Jwk(one, ()) for one in members), "jwks")
    assert words in str(refused.value)


def test_a_private_member_goes_nowhere() -> None:
    private: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(ec_key(), as_dict=True)
    (key,) = keys_of_jwks([Jwk(private | {"kid": "a"}, ())], "jwks")
    assert key.jwk.keys() == {"kty", "crv", "x", "y", "kid"}
    assert private["d"] not in repr(key)


PART = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", max_size=60)


@given(st.one_of(st.text(), st.tuples(PART, PART, PART).map(".".join)))
def test_whatever_is_sent_is_refused_and_nothing_else_is_raised(assertion: str) -> None:
    assert isinstance(claimed_subject(assertion), str)
    with pytest.raises(InvalidClient):
        verify_assertion(assertion, client_id="a", keys=keys_of_jwks([Jwk(GOOD, ())], "jwks"), issuer=ISSUER, now=NOW)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
KEY = ec_key()


@given(st.dictionaries(st.sampled_from(["iss", "sub", "aud", "exp", "jti", "iat", "nbf", "x"]), JSON, max_size=8))
def test_whatever_the_client_signs_is_refused_and_nothing_else_is_raised(claims: dict[str, Any]) -> None:
    signed = jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), KEY, "ES256")
    members: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    assert isinstance(claimed_subject(signed), str)
    with pytest.raises(InvalidClient):
        verify_assertion(signed, client_id="a", keys=keys_of_jwks([Jwk(members, ())], "jwks"), issuer=ISSUER, now=NOW)


@pytest.mark.parametrize("header", [{"crit": ["x"], "x": 1}, {"b64": False, "crit": ["b64"]}, {"typ": 1}, {"kid": "b"}])
def test_a_header_that_is_not_understood(header: dict[str, Any]) -> None:
    seconds = int(NOW.timestamp())
    claims = f'{{"iss":"a","sub":"a","aud":"{ISSUER}","exp":{seconds + 9},"jti":"1"}}'
    members: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "a"}
    keys = keys_of_jwks([Jwk(members, ())], "jwks")
    for extra, good in (({}, True), (header, False)):
        head = {"alg": "ES256", **extra}
        token = _signed(head, claims)
        if good:
            assert verify_assertion(token, client_id="a", keys=keys, issuer=ISSUER, now=NOW).client_id == "a"
        else:
            with pytest.raises(InvalidClient):
                verify_assertion(token, client_id="a", keys=keys, issuer=ISSUER, now=NOW)


def _signed(head: dict[str, Any], payload: str) -> str:
    def text(octets: bytes) -> str:
        return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()

    signing_input = f"{text(json.dumps(head).encode())}.{text(payload.encode())}"
    r, s = decode_dss_signature(KEY.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signing_input}.{text(r.to_bytes(32) + s.to_bytes(32))}"
