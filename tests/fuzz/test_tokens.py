"""Whatever comes as a JWT, signed or not, is read or refused: assertions, proofs, access tokens and subject tokens."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from builders.fuzz import (
    JSON_VALUES,
    as_aiohttp_has_it,
    changed_object,
    changed_text,
    check_refusal,
    compact,
    fuzzed,
    header_values,
    json_octets,
)
from builders.issuer import ISSUER_URL, signing_key_made
from builders.pki import NOW, ec_key
from mintls.core.oauth.access_token import AccessTokenClaims, key_id_of, read_access_token
from mintls.core.oauth.client_assertion import claimed_subject, keys_of_jwks, verify_assertion
from mintls.core.oauth.dpop import read_proof
from mintls.core.oauth.errors import InvalidClient, InvalidDpopProof
from mintls.core.oauth.jwk import public_members
from mintls.core.oauth.self_signed import Jwk
from mintls.core.oauth.token_exchange import expiry_of

pytestmark = pytest.mark.fuzz

T = int(NOW.timestamp())
KEY = ec_key()
JWK = public_members(KEY.public_key())
REGISTERED = keys_of_jwks([Jwk(JWK, ())], "jwks.keys")
URL = "https://localhost:9443/token"

ASSERTION = {"iss": "shop:batch", "sub": "shop:batch", "aud": ISSUER_URL, "jti": "1", "exp": T + 60}
PROOF = {"jti": "1", "htm": "POST", "htu": URL, "iat": T}
SIGNING = signing_key_made()
ACCESS = {"iss": ISSUER_URL, "sub": "a", "aud": ["b"], "exp": T + 60, "iat": T, "jti": "1", "client_id": "a"}


def jwts(
    header: dict[str, Any],
    payload: dict[str, Any],
    key: ec.EllipticCurvePrivateKey,
    *names: str,
    **members: st.SearchStrategy[Any],
) -> st.SearchStrategy[str]:
    """Signed ones of nearly the right content, and others that are not even signed."""
    headers = changed_object(header, names=("crit", "b64", "zip", "kid", "x5c"), **members)
    payloads = changed_object(payload, names=("nbf", "iat", "exp", "nonce", "ath", *names))
    parts = st.one_of(
        st.tuples(st.just(json.dumps(header).encode()), json_octets(payloads)),
        st.tuples(json_octets(headers), st.just(json.dumps(payload).encode())),
        st.tuples(json_octets(headers | JSON_VALUES), json_octets(payloads | JSON_VALUES)),
    )
    whole = compact(json.dumps(header).encode(), json.dumps(payload).encode(), key)
    signed = parts.map(lambda both: compact(*both, key))
    return st.one_of(signed, signed, signed, changed_text(whole), header_values(whole.encode()).map(as_aiohttp_has_it))


@fuzzed(200)
@given(jwts({"alg": "ES256", "typ": "client-authentication+jwt"}, ASSERTION, KEY, "sub", "aud"))
def test_an_assertion(assertion: str) -> None:
    assert isinstance(claimed_subject(assertion), str)
    try:
        spent = verify_assertion(assertion, client_id="shop:batch", keys=REGISTERED, issuer=ISSUER_URL, now=NOW)
    except InvalidClient as refused:
        check_refusal(refused)
    else:
        assert spent.expires > NOW
        assert spent.name


PROOF_HEADER = {"alg": "ES256", "typ": "dpop+jwt", "jwk": JWK}


PROOFS = jwts(PROOF_HEADER, PROOF, KEY, jwk=changed_object(JWK, names=("use", "kid", "alg", "d", "x5c")) | JSON_VALUES)


@fuzzed(200)
@given(st.lists(PROOFS, min_size=1, max_size=1) | st.lists(PROOFS, max_size=2))
def test_a_proof(lines: list[str]) -> None:
    for token in (None, "abc"):
        try:
            proof = read_proof(tuple(lines), method="POST", urls={URL}, now=NOW, access_token=token)
        except InvalidDpopProof as refused:
            check_refusal(refused)
        else:
            assert proof.expires > NOW
            assert proof.jti


@fuzzed(200)
@given(header_values(b"POST").map(as_aiohttp_has_it))
def test_a_proof_for_a_request_of_any_method(method: str) -> None:
    proof = compact(json.dumps(PROOF_HEADER).encode(), json.dumps(PROOF).encode(), KEY)
    try:
        read_proof((proof,), method=method, urls={URL}, now=NOW)
    except InvalidDpopProof as refused:
        check_refusal(refused)


@fuzzed(200)
@given(jwts({"alg": "ES256", "typ": "at+jwt", "kid": SIGNING.kid}, ACCESS, SIGNING.private_key, "scope", "cnf", "act"))
def test_an_access_token(token: str) -> None:
    assert isinstance(key_id_of(token), str)
    assert isinstance(expiry_of(token), int)
    claims = read_access_token(token, (SIGNING,))
    assert claims is None or isinstance(claims, AccessTokenClaims)


@fuzzed(200)
@given(st.binary(max_size=60) | json_octets(JSON_VALUES))
def test_a_header_that_is_no_header(octets: bytes) -> None:
    token = base64.urlsafe_b64encode(octets).decode() + ".e30.x"
    assert isinstance(key_id_of(token), str)
    assert read_access_token(token, (SIGNING,)) is None
