"""What a client may have of what it asks for."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.issuer import registration
from mintls.core.oauth.client import Client, prepare
from mintls.core.oauth.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    Reason,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from mintls.core.oauth.form import Form, parse_form
from mintls.core.oauth.token_request import (
    TokenRequest,
    claimed_client_id,
    grant_audience,
    grant_scope,
    parse_token_request,
    permit_grant,
)

ISSUER = "https://issuer.example"
A, B = "https://a.example", "https://b.example/x"


def client(**changes: Any) -> Client:
    return prepare(registration(**changes), ISSUER)


def form(body: bytes) -> Form:
    return parse_form("application/x-www-form-urlencoded", body)


def parse(body: bytes) -> TokenRequest:
    return parse_token_request(form(body))


def test_a_whole_request() -> None:
    body = b"grant_type=client_credentials&client_id=a%3Ab&scope=x+y&resource=r1&resource=r2"
    assert parse(body) == TokenRequest("client_credentials", "x y", ("r1", "r2"))
    assert claimed_client_id(form(body)) == "a:b"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"grant_type=client_credentials", Reason.MISSING_CLIENT_ID),
        (b"grant_type=x&client_id=a&client_secret=s", Reason.SEVERAL_CREDENTIALS),
        (b"grant_type=x&client_id=a&client_assertion=s", Reason.ASSERTION_TYPE),
        (b"grant_type=x&client_assertion_type=s", Reason.ASSERTION_TYPE),
        (b"grant_type=x&client_id=a&client_assertion=s&client_assertion_type=saml2", Reason.ASSERTION_TYPE),
    ],
)
def test_who_asks_is_not_said_or_said_in_two_ways(body: bytes, reason: Reason) -> None:
    with pytest.raises(InvalidRequest) as refused:
        claimed_client_id(form(body))
    assert refused.value.reason is reason


def test_a_request_that_lacks_its_grant() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(b"client_id=a")
    assert refused.value.reason is Reason.MISSING_GRANT_TYPE


def test_a_refused_secret_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as refused:
        claimed_client_id(form(b"grant_type=x&client_id=a&client_secret=hunter2"))
    assert "hunter2" not in repr(refused.value) + refused.value.detail + refused.value.description


def test_the_grants_that_are_on() -> None:
    permit_grant(client(), "client_credentials")
    with pytest.raises(UnsupportedGrantType):
        permit_grant(client(), "authorization_code")
    with pytest.raises(UnauthorizedClient):
        permit_grant(client(grant_types=()), "client_credentials")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "d"),
        ("a", "a"),
        ("b a", "b a"),
        ("a a b a", "a b"),
    ],
)
def test_scope_that_is_granted(asked: str | None, granted: str) -> None:
    assert grant_scope(client(scopes=("a", "b", "d"), default_scopes=("d",)), asked) == granted


def test_without_default_scopes_there_is_no_scope() -> None:
    assert grant_scope(client(scopes=("a",), default_scopes=()), None) == ""


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("c", Reason.UNREGISTERED_SCOPE),
        ("a c", Reason.UNREGISTERED_SCOPE),
        ("A", Reason.UNREGISTERED_SCOPE),
        ("a  b", Reason.MALFORMED_SCOPE),
        (" a", Reason.MALFORMED_SCOPE),
        ("a ", Reason.MALFORMED_SCOPE),
        ("a\tb", Reason.MALFORMED_SCOPE),
        ("a\n", Reason.MALFORMED_SCOPE),
        ('a"', Reason.MALFORMED_SCOPE),
        ("a\\", Reason.MALFORMED_SCOPE),
        ("\u00e4", Reason.MALFORMED_SCOPE),
    ],
)
def test_scope_that_is_refused(asked: str, reason: Reason) -> None:
    with pytest.raises(InvalidScope) as refused:
        grant_scope(client(scopes=("a", "b")), asked)
    assert refused.value.reason is reason


@given(st.text(min_size=1))
def test_no_scope_beyond_the_registered_ones_is_ever_granted(asked: str) -> None:
    value = client(scopes=("a", "b"))
    try:
        granted = grant_scope(value, asked)
    except InvalidScope:
        return
    assert set(granted.split(" ")) <= {"a", "b"}


@pytest.mark.parametrize(
    ("registered", "asked", "granted"),
    [
        ((A, B), (), (A, B)),
        ((A,), (), A),
        ((), (), ISSUER),
        ((), (ISSUER,), ISSUER),
        ((A, B), (B,), B),
        ((A, B), (B, A), (B, A)),
        ((A, B), (A, A), A),
    ],
)
def test_audience_that_is_granted(
    registered: tuple[str, ...], asked: tuple[str, ...], granted: str | tuple[str, ...]
) -> None:
    assert grant_audience(client(audiences=registered), asked) == granted


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ((ISSUER,), Reason.UNREGISTERED_RESOURCE),
        ((A, "https://c.example"), Reason.UNREGISTERED_RESOURCE),
        ((A + "/",), Reason.UNREGISTERED_RESOURCE),
        ((A.upper(),), Reason.UNREGISTERED_RESOURCE),
        ((A + "#f",), Reason.MALFORMED_RESOURCE),
        (("a.example",), Reason.MALFORMED_RESOURCE),
        (("https:",), Reason.MALFORMED_RESOURCE),
        ((A + " ",), Reason.MALFORMED_RESOURCE),
        (("\x00",), Reason.MALFORMED_RESOURCE),
    ],
)
def test_audience_that_is_refused(asked: tuple[str, ...], reason: Reason) -> None:
    with pytest.raises(InvalidTarget) as refused:
        grant_audience(client(audiences=(A, B)), asked)
    assert refused.value.reason is reason


def test_a_prepared_client_follows_its_registration() -> None:
    value = prepare(replace(registration(), scopes=("x",), default_scopes=("x",)), ISSUER)
    assert (value.default_scope, value.lifetime, value.default_audience) == ("x", 600, "https://orders.shop.svc")
