from datetime import datetime

import pytest

from builders.issuer import ISSUER_URL, registration, signing_key_made
from builders.pki import HOUR, NOW
from mintls.core.oauth.access_token import AccessTokenClaims, access_token_claims, sign_access_token
from mintls.core.oauth.client import prepare
from mintls.core.oauth.signing_keys import SigningKey
from mintls.issuer import tokens as tokens_module
from mintls.issuer.directory import Directory
from mintls.issuer.tokens import Tokens


def issued(key: SigningKey, jti: str = "one") -> str:
    client = prepare(registration(), ISSUER_URL)
    claims = access_token_claims(client, issuer=ISSUER_URL, audience="a", scope="", confirmation=None, jti=jti, now=NOW)
    return sign_access_token(claims, key)


def with_keys(*keys: SigningKey) -> tuple[Directory, Tokens]:
    directory = Directory(ISSUER_URL)
    directory.put_signing_keys(keys)
    return directory, Tokens(directory)


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    real = tokens_module.read_access_token

    def read(token: str, keys: tuple[SigningKey, ...]) -> AccessTokenClaims | None:
        seen.append(token)
        return real(token, keys)

    monkeypatch.setattr(tokens_module, "read_access_token", read)
    return seen


def jti_of(tokens: Tokens, token: str, now: datetime = NOW) -> str | None:
    claims = tokens.read(token, now)
    return claims.jti if claims else None


def test_a_token_is_verified_once(verified: list[str]) -> None:
    key = signing_key_made()
    _, tokens = with_keys(key)
    token = issued(key)

    assert [jti_of(tokens, token) for _ in range(3)] == ["one"] * 3
    assert verified == [token]


def test_each_token_is_its_own() -> None:
    key = signing_key_made()
    _, tokens = with_keys(key)

    assert [jti_of(tokens, issued(key, jti)) for jti in ("one", "two", "one")] == ["one", "two", "one"]


def test_a_changed_signature_is_refused_after_the_right_one_was_seen() -> None:
    key = signing_key_made()
    _, tokens = with_keys(key)
    token = issued(key)
    body, _, _ = token.rpartition(".")
    _, _, another = issued(key, "two").rpartition(".")

    assert jti_of(tokens, token) == "one"
    assert jti_of(tokens, f"{body}.{another}") is None


def test_what_a_removed_key_signed_is_refused_although_it_was_seen_before() -> None:
    key, other = signing_key_made(), signing_key_made()
    directory, tokens = with_keys(key, other)
    token = issued(key)

    assert jti_of(tokens, token) == "one"
    directory.put_signing_keys((other,))
    assert jti_of(tokens, token) is None


def test_what_a_retired_key_signed_is_refused_from_that_moment() -> None:
    key = signing_key_made(retire_at=NOW + HOUR)
    _, tokens = with_keys(key)
    token = issued(key)

    assert jti_of(tokens, token) == "one"
    assert jti_of(tokens, token, NOW + HOUR) is None


def test_what_was_refused_is_looked_at_again() -> None:
    key = signing_key_made()
    directory, tokens = with_keys()
    token = issued(key)

    assert jti_of(tokens, token) is None
    directory.put_signing_keys((key,))
    assert jti_of(tokens, token) == "one"


def test_what_is_no_text_is_no_token() -> None:
    """aiohttp hands on what is no UTF-8 in a header as lone surrogates."""
    _, tokens = with_keys(signing_key_made())

    assert jti_of(tokens, "\udcff.\udcff.x") is None
