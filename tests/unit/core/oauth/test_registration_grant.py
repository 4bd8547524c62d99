"""Who may register clients, as a Secret says it."""

import pytest

from mintls.core.oauth.registration_grant import GrantNotUsable, RegistrationGrant, grant_of, read_grant, token_hash

TOKEN = "initial-access-token-of-the-team-shop"


def read(**data: str) -> RegistrationGrant:
    return read_grant("shop", "shop", {"token": TOKEN.encode()} | {key: value.encode() for key, value in data.items()})


def test_a_token_alone_is_a_grant_of_very_little() -> None:
    assert read() == RegistrationGrant(
        name="shop",
        namespace="shop",
        token_hash=token_hash(TOKEN),
        methods=("tls_client_auth",),
        scopes=(),
        audiences=(),
        authorities=("default",),
        max_clients=100,
    )


def test_lists_are_words_and_line_feeds_do_no_harm() -> None:
    grant = read(
        token=TOKEN + "\n",
        methods="private_key_jwt tls_client_auth",
        scopes="a  b a\n",
        audiences="https://a https://b",
        authorities="eu us",
        maxClients="7\n",
    )
    assert grant.token_hash == token_hash(TOKEN)
    assert (grant.methods[0], grant.scopes, grant.max_clients) == ("private_key_jwt", ("a", "b"), 7)
    assert (grant.audiences, grant.authorities) == (("https://a", "https://b"), ("eu", "us"))


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("token", "", "openssl rand"),
        ("token", "x" * 31, "32 to 512"),
        ("token", "x" * 40 + " y", "32 to 512"),
        ("token", "é" * 40, "ASCII"),
        ("methods", "client_secret_basic", "tls_client_auth"),
        ("scopes", 'a "b"', "RFC 6749"),
        ("audiences", "orders", "absolute URIs"),
        ("authorities", "Default", "CertificateAuthorities"),
        ("maxClients", "0", "1 to 99999"),
        ("maxClients", "many", "1 to 99999"),
        ("scope", "a", "audiences, authorities, maxClients, methods, scopes, token"),
    ],
)
def test_what_is_wrong_names_the_key_and_shows_no_value(key: str, value: str, right: str) -> None:
    with pytest.raises(GrantNotUsable) as caught:
        read(**{key: value})
    message = str(caught.value)
    assert message.startswith(key)
    assert right in message
    assert len(value) < 3 or value not in message


def test_the_token_finds_its_grant_and_no_other_does() -> None:
    shop, bank = read(), read(token="x" * 32)
    assert grant_of((shop, bank), "x" * 32) == bank
    assert grant_of((shop, bank), TOKEN) == shop
    for wrong in ("", TOKEN[:-1], TOKEN + "=", TOKEN.upper()):
        assert grant_of((shop, bank), wrong) is None


def test_no_token_is_shown() -> None:
    assert TOKEN not in repr(read())
    assert "token_hash" not in repr(read())
