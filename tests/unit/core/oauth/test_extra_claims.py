"""Claims of the registration in a token: beside the issuer's own, never instead of them."""

from datetime import timedelta

import jwt
import pytest

from builders.issuer import registration, signing_key_made
from builders.pki import NOW
from mintls.core.oauth.access_token import (
    AccessTokenClaims,
    access_token_claims,
    read_access_token,
    sign_access_token,
)
from mintls.core.oauth.client import prepare
from mintls.core.oauth.extra_claims import OWN_PREFIX, RESERVED, ClaimNotAllowed, check_claims
from mintls.core.oauth.introspection import introspect

KEY = signing_key_made()
ISSUER = "https://issuer.example"


def claims_with(*extra: tuple[str, str]) -> AccessTokenClaims:
    client = prepare(registration(extra_claims=extra), ISSUER)
    return access_token_claims(client, issuer=ISSUER, audience=ISSUER, scope="a", confirmation=None, jti="1", now=NOW)


def on_the_wire(claims: AccessTokenClaims) -> dict[str, object]:
    payload: dict[str, object] = jwt.decode(sign_access_token(claims, KEY), options={"verify_signature": False})
    return payload


def test_they_stand_beside_the_issuers_own() -> None:
    plain = on_the_wire(claims_with())
    assert on_the_wire(claims_with(("tenant", "shop"), ("x", ""))) == {**plain, "tenant": "shop", "x": ""}


def test_they_are_read_back() -> None:
    claims = claims_with(("tenant", "shop"))
    assert read_access_token(sign_access_token(claims, KEY), [KEY]) == claims


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "exp", "scope", "client_id"])
def test_even_one_that_slipped_in_changes_none_of_the_issuers_own(name: str) -> None:
    assert on_the_wire(claims_with((name, "evil"))) == on_the_wire(claims_with())


def test_whoever_may_introspect_the_token_sees_them_and_they_change_nothing() -> None:
    client = prepare(registration(extra_claims=(("tenant", "shop"), ("active", "no"))), ISSUER)
    claims = access_token_claims(client, issuer=ISSUER, audience=ISSUER, scope="a", confirmation=None, jti="1", now=NOW)
    answer = introspect(claims, caller=client, subject=client, revoked=False, issuer=ISSUER, now=NOW)
    assert (answer["tenant"], answer["active"]) == ("shop", True)


@pytest.mark.parametrize("name", sorted(RESERVED | set(AccessTokenClaims.__struct_encode_fields__)))
def test_no_name_that_the_issuer_uses_can_be_registered(name: str) -> None:
    with pytest.raises(ClaimNotAllowed, match=f"claims has '{name}', which the issuer alone says"):
        check_claims({"tenant": "shop", name: "x"}, "claims")


@pytest.mark.parametrize("name", [f"{OWN_PREFIX}extra", "", "a b", "1", "ü", "a\n", "a" * 129])
def test_what_is_no_name_cannot_be_registered(name: str) -> None:
    with pytest.raises(ClaimNotAllowed):
        check_claims({name: "x"}, "claims")


@pytest.mark.parametrize("name", ["tenant", "roles", "https://example.org/tenant", "a" * 128])
def test_any_other_can(name: str) -> None:
    check_claims({name: "x"}, "claims")


@pytest.mark.parametrize(
    ("left", "ends", "lifetime"),
    [
        (timedelta(days=1), True, 600),
        (timedelta(seconds=599), True, 600),
        (timedelta(seconds=598), True, 599),
        (timedelta(0), True, 1),
        (timedelta(0), False, 600),
    ],
)
def test_a_token_ends_with_the_last_second_of_the_certificate(left: timedelta, lifetime: int, *, ends: bool) -> None:
    client = prepare(registration(ends_with_certificate=ends), ISSUER)
    claims = access_token_claims(
        *(client,),
        issuer=ISSUER,
        audience=ISSUER,
        scope="",
        confirmation=None,
        certificate_end=NOW + left,
        jti="1",
        now=NOW,
    )
    assert claims.exp - claims.iat == lifetime
