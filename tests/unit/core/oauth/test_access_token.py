"""Tokens: what they say, and that only the issuer's own are read."""

import base64
import json
import secrets
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.issuer import registration, signing_key_made
from builders.pki import NOW, authority
from builders.witness import BUSY, decode, header
from mintls.core.oauth.access_token import (
    AccessTokenClaims,
    access_token_claims,
    read_access_token,
    sign_access_token,
)
from mintls.core.oauth.client import prepare
from mintls.core.oauth.confirmation import Confirmation, confirmation
from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.pki.certificate import CertificateFacts

KEY = signing_key_made()
ISSUER = "https://issuer.example"
LEAF = authority().client()
SECOND = timedelta(seconds=1)


def claims(**changes: Any) -> AccessTokenClaims:
    client = prepare(registration(), ISSUER)
    arguments: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": "https://a.example",
        "scope": "a b",
        "confirmation": Confirmation("thumb"),
        "jti": "id",
        "now": NOW,
    }
    return access_token_claims(client, **arguments | changes)


def test_the_claims_are_those_of_rfc_9068() -> None:
    payload = json.loads(decode(sign_access_token(claims(), KEY).split(".")[1]))
    issued = int(NOW.timestamp())
    assert payload == {
        "iss": ISSUER,
        "sub": "shop:billing",
        "aud": "https://a.example",
        "exp": issued + 600,
        "iat": issued,
        "jti": "id",
        "client_id": "shop:billing",
        "scope": "a b",
        "cnf": {"x5t#S256": "thumb"},
    }


def test_the_header_is_that_of_rfc_9068() -> None:
    assert header(sign_access_token(claims(), KEY)) == {"alg": "ES256", "typ": "at+jwt", "kid": KEY.kid}


def test_what_is_empty_is_left_out() -> None:
    payload = json.loads(decode(sign_access_token(claims(scope="", confirmation=None), KEY).split(".")[1]))
    assert not {"scope", "cnf"} & payload.keys()


def test_several_audiences_are_an_array() -> None:
    payload = json.loads(decode(sign_access_token(claims(audience=("a", "b")), KEY).split(".")[1]))
    assert payload["aud"] == ["a", "b"]
    read = read_access_token(sign_access_token(claims(audience=("a", "b")), KEY), [KEY])
    assert read is not None
    assert read.audiences == {"a", "b"}


def test_times_are_whole_seconds() -> None:
    value = claims(now=NOW.replace(microsecond=999_999))
    assert value.iat == int(NOW.timestamp())


def test_cnf_is_the_thumbprint_unless_tokens_are_not_bound() -> None:
    bound, unbound = (prepare(registration(certificate_bound=value), ISSUER) for value in (True, False))
    assert confirmation(bound, LEAF.facts, NOW) == Confirmation(LEAF.thumbprint)
    assert confirmation(unbound, LEAF.facts, NOW) is None
    assert confirmation(unbound, None, NOW) is None


@pytest.mark.parametrize(
    ("certificate", "now"),
    [(None, NOW), (LEAF.facts, LEAF.facts.not_after + SECOND), (LEAF.facts, LEAF.facts.not_before - SECOND)],
)
def test_with_nothing_to_bind_to_it_is_an_error_and_no_bearer_token(
    certificate: CertificateFacts | None, now: datetime
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        confirmation(prepare(registration(), ISSUER), certificate, now)
    assert refused.value.reason is Reason.CERTIFICATE_NEEDED


def test_a_token_is_read_by_the_key_that_signed_it() -> None:
    other = signing_key_made()
    assert read_access_token(sign_access_token(claims(), KEY), [other, KEY]) == claims()
    assert read_access_token(sign_access_token(claims(), KEY), [other]) is None


def test_signatures_with_leading_zeros_verify_elsewhere() -> None:
    """RFC 7518 section 3.4: R and S have 32 octets each, however small they are."""
    for _ in range(200):
        token = sign_access_token(claims(jti=secrets.token_hex(4)), KEY)
        assert len(decode(token.split(".")[2])) == 64
        jwt.decode(token, KEY.private_key.public_key(), algorithms=["ES256"], audience="https://a.example", leeway=BUSY)


def forged(key: Any, **head: Any) -> str:
    payload = {"iss": ISSUER, "sub": "a", "aud": "a", "exp": 9, "iat": 1, "jti": "x", "client_id": "a"}
    headers = {"typ": "at+jwt", "kid": KEY.kid} | head
    return jwt.encode(payload, key, algorithm=head.get("alg", "ES256"), headers=headers)


def test_the_forging_itself_works() -> None:
    assert read_access_token(forged(KEY.private_key), [KEY]) is not None


@pytest.mark.parametrize(
    "token",
    [
        forged(signing_key_made().private_key),
        forged(KEY.private_key, typ="JWT"),
        forged(KEY.private_key, kid="other"),
        forged("x" * 32, alg="HS256"),
        forged(None, alg="none"),
        jwt.encode({"iss": ISSUER}, KEY.private_key, algorithm="ES256", headers={"typ": "at+jwt", "kid": KEY.kid}),
        sign_access_token(claims(), KEY) + "A",
        sign_access_token(claims(), KEY).rpartition(".")[0] + ".",
        "",
        "..",
        "\u20ac.\u20ac.\u20ac",
    ],
)
def test_anything_else_is_nothing(token: str) -> None:
    assert read_access_token(token, [KEY]) is None


def test_a_header_that_is_nested_too_deep_is_nothing() -> None:
    nested = base64.urlsafe_b64encode(b'{"kid": ' + b"[" * 20_000).decode()
    assert read_access_token(f"{nested}.e30.x", (KEY,)) is None


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,40}\.[A-Za-z0-9_-]{0,90}", fullmatch=True))
def test_no_text_makes_reading_fail(token: str) -> None:
    assert read_access_token(token, [KEY]) is None


@given(st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_no_header_makes_reading_fail(head: dict[str, Any]) -> None:
    encoded = base64.urlsafe_b64encode(json.dumps(head | {"kid": KEY.kid, "typ": "at+jwt"}).encode()).decode()
    assert read_access_token(encoded.rstrip("=") + ".e30.AAAA", [KEY]) is None
