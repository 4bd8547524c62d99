"""Whom a token concerns, and when it is good."""

from datetime import timedelta
from typing import Any

import pytest

from builders.issuer import registration
from builders.pki import DAY, NOW
from mintls.core.oauth.access_token import AccessTokenClaims, access_token_claims
from mintls.core.oauth.client import Client, prepare
from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.form import parse_form
from mintls.core.oauth.introspection import INACTIVE, introspect, introspected_token

ISSUER = "https://issuer.example"
ORDERS = "https://orders.shop.svc"
SECOND = timedelta(seconds=1)


def client(name: str = "billing", **changes: Any) -> Client:
    return prepare(registration(name, **changes), ISSUER)


def claims(**changes: Any) -> AccessTokenClaims:
    arguments: dict[str, Any] = {"issuer": ISSUER, "audience": ORDERS, "scope": "", "confirmation": None, "jti": "x"}
    return access_token_claims(client(), **arguments | {"now": NOW} | changes)


@pytest.mark.parametrize(
    ("caller", "concerns"),
    [
        (client(audiences=()), True),
        (client("orders", audiences=(ORDERS,)), True),
        (client("orders", audiences=("https://other", ORDERS)), True),
        (client("orders", audiences=(ORDERS + "/",)), False),
        (client("orders", audiences=()), False),
        (client("billing2", audiences=("https://other",)), False),
    ],
)
def test_a_token_concerns_its_client_and_its_audience(caller: Client, *, concerns: bool) -> None:
    answer = introspect(claims(), caller=caller, subject=client(), revoked=False, issuer=ISSUER, now=NOW)
    assert answer["active"] is concerns
    assert concerns or answer == {"active": False}


def test_a_token_for_the_issuer_alone_is_not_everybodys() -> None:
    """Clients without audiences get tokens for the issuer; that does not make them each other's resources."""
    mine = claims(audience=ISSUER)
    other = client("orders", audiences=())
    assert introspect(mine, caller=other, subject=client(), revoked=False, issuer=ISSUER, now=NOW) == INACTIVE


@pytest.mark.parametrize(
    ("token", "subject", "active"),
    [
        (claims(), client(), True),
        (None, client(), False),
        (claims(), None, False),
        (claims(), client(suspended=True), False),
        (claims(issuer="https://other"), client(), False),
        (claims(now=NOW - timedelta(seconds=600)), client(), False),
        (claims(now=NOW - timedelta(seconds=599)), client(), True),
        (claims(), client(tokens_not_before=NOW), True),
        (claims(), client(tokens_not_before=NOW + SECOND), False),
        (claims(), client(created=NOW), True),
        (claims(), client(created=NOW + SECOND), False),
        (claims(), client(created=NOW - DAY), True),
    ],
)
def test_when_a_token_is_good(token: AccessTokenClaims | None, subject: Client | None, *, active: bool) -> None:
    assert (
        introspect(token, caller=client(), subject=subject, revoked=False, issuer=ISSUER, now=NOW)["active"] is active
    )


def test_a_revoked_token_is_not_good_and_says_nothing_else() -> None:
    answer = introspect(claims(), caller=client(), subject=client(), revoked=True, issuer=ISSUER, now=NOW)
    assert answer == {"active": False}


def test_the_token_is_what_has_to_be_sent() -> None:
    form = "application/x-www-form-urlencoded"
    assert introspected_token(parse_form(form, b"token=x&token_type_hint=refresh_token")) == "x"
    with pytest.raises(InvalidRequest) as refused:
        introspected_token(parse_form(form, b"client_id=x"))
    assert refused.value.reason is Reason.MISSING_TOKEN
