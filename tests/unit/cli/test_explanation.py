"""What is said of an access token."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mintls.cli.people.credential import Finding
from mintls.cli.people.explanation import explain

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ISSUER = "https://issuer.example"
KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = {"keys": [jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True) | {"kid": "k1", "alg": "ES256"}]}
CLAIMS = {
    "iss": ISSUER,
    "sub": "shop:billing",
    "client_id": "shop:billing",
    "aud": ["https://orders.shop.svc"],
    "iat": int(NOW.timestamp()),
    "exp": int((NOW + timedelta(minutes=5)).timestamp()),
    "cnf": {"x5t#S256": "thumb"},
    "tenant": {"id": 7},
}


def findings(
    *, key: Any = KEY, kid: str = "k1", typ: str = "at+jwt", now: datetime = NOW, **changed: Any
) -> list[Finding]:
    claims = {name: value for name, value in (CLAIMS | changed).items() if value is not None}
    return explain(jwt.encode(claims, key, "ES256", {"kid": kid, "typ": typ}), JWKS, ISSUER, "thumb", now)


def test_all_is_well_with_what_the_issuer_mints() -> None:
    found = findings()
    assert [one for one in found if not one.well] == []
    assert {one.what: one.text for one in found} == {
        "typ": "at+jwt",
        "signature": "ES256 of the issuer's key k1",
        "iss": ISSUER,
        "sub": "shop:billing",
        "client_id": "shop:billing",
        "aud": '["https://orders.shop.svc"]',
        "tenant": '{"id": 7}',
        "exp": "2026-01-01T00:05:00Z, ends in 5 min",
        "cnf": "bound to this certificate, x5t#S256 thumb",
    }


@pytest.mark.parametrize(
    ("changed", "what", "text"),
    [
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "signature", "it is not of the key k1 (ES256)"),
        ({"kid": "k2"}, "signature", "the issuer's /jwks has no key k2"),
        ({"typ": "JWT"}, "typ", "JWT"),
        ({"iss": "https://other.example"}, "iss", "https://other.example"),
        ({"iss": None}, "iss", "null"),
        ({"exp": None}, "exp", "none: RFC 9068 section 2.2 requires it"),
        ({"now": NOW + timedelta(hours=1)}, "exp", "2026-01-01T00:05:00Z, ended 55 min ago"),
        ({"cnf": {"x5t#S256": "other"}}, "cnf", "bound to another certificate, x5t#S256 other"),
    ],
)
def test_what_does_not_fit_is_named(changed: dict[str, Any], what: str, text: str) -> None:
    wrong = [(one.what, one.text) for one in findings(**changed) if not one.well]
    assert wrong == [(what, text)]


@pytest.mark.parametrize(
    ("cnf", "text"),
    [
        (None, "none: whoever has the token can use it"),
        ({"jkt": "abc"}, 'bound otherwise than to a certificate: {"jkt": "abc"}'),
    ],
)
def test_a_token_that_is_not_bound_to_a_certificate_says_so(cnf: Any, text: str) -> None:
    [found] = [one for one in findings(cnf=cnf) if one.what == "cnf"]
    assert (found.well, found.text) == (True, text)


def test_a_token_that_is_no_jwt_is_said_to_be_none() -> None:
    [found] = explain("opaque", JWKS, ISSUER, "thumb", NOW)
    assert (found.well, found.text) == (False, "it is no JWT: only /introspect knows what it says")
