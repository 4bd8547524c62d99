"""What a proxy sends, whatever it is: a demand, a token, or an error in OAuth's words."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintls.core.oauth.errors import InvalidRequest, InvalidToken
from mintls.core.oauth.form import parse_query
from mintls.core.oauth.resource import Possession, Wanted, access_token, wanted

AUDIENCE = "https://orders.shop.svc"


@pytest.mark.parametrize(
    ("query", "demand"),
    [
        (f"audience={AUDIENCE}", Wanted(AUDIENCE, "", Possession.STRICT)),
        (f"audience={AUDIENCE}&scope=a+b", Wanted(AUDIENCE, "a b", Possession.STRICT)),
        (f"scope=a%20b&possession=optional&audience={AUDIENCE}", Wanted(AUDIENCE, "a b", Possession.OPTIONAL)),
        ("audience=https%3A%2F%2Forders.shop.svc%3Fa%3Db", Wanted(f"{AUDIENCE}?a=b", "", Possession.STRICT)),
    ],
)
def test_a_demand(query: str, demand: Wanted) -> None:
    assert wanted(parse_query(query)) == demand


_PIECES = [
    "audience=a",
    "scope=b",
    "scope",
    "=",
    "&",
    "possession=strict",
    "possession=OPTIONAL",
    "%",
    "%zz",
    "%ff",
    "+",
]


@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=8).map("".join))
@example("audience=a&scope=b+")
@example("audience=%ff")
def test_whatever_a_query_is_it_is_a_demand_or_an_error(query: str) -> None:
    try:
        demand = wanted(parse_query(query))
    except InvalidRequest:
        return
    assert demand.audience
    assert bool(demand.scopes) == any(pair.startswith("scope=") for pair in query.split("&")), (
        "no scope that is asked for gets lost"
    )


@given(st.lists(st.text(max_size=20) | st.sampled_from(["Bearer a", "DPoP b", "Bearer  ", "bearer\ta"]), max_size=2))
def test_whatever_authorization_is_it_is_a_token_or_an_error(lines: list[str]) -> None:
    try:
        token = access_token(tuple(lines))
    except InvalidToken:
        return
    assert (len(lines), token.scheme in {"bearer", "dpop"}) == (1, True)
    assert token.value in lines[0]
    assert repr(token) == f"AccessToken(scheme={token.scheme!r})"
