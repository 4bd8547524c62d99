"""What a proxy demands, in front of whatever path a client asks for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mintls.core.oauth.demand import DEMAND_HEADER, IN_HEADER, demanded, split_prefix
from mintls.core.oauth.errors import InvalidRequest
from mintls.core.oauth.resource import Possession, Wanted, wanted

OWN = "audience=https:%2F%2Forders.shop.svc&scope=orders.read"
DEMAND = Wanted("https://orders.shop.svc", "orders.read", Possession.STRICT)


@given(st.text().map("/{}".format), st.sampled_from(["/verify", "/base/verify"]))
@example("/;audience=b/verify;audience=c/", "/verify")
@example("/verify;audience=b/", "/verify")
@example("/?audience=b", "/verify")
def test_nothing_in_a_clients_path_becomes_part_of_it(path: str, own: str) -> None:
    text, rest = split_prefix(f"{own};{OWN}{path}", own)
    assert (wanted(demanded(text, lambda _name: ("audience=b",))), rest) == (DEMAND, path)


@pytest.mark.parametrize(
    "path", ["", "/", "/verify", "/verify/", "/verify;", "/verify;audience=b", "/other;a=b/", ";a/"]
)
def test_a_path_that_is_made_in_another_way(path: str) -> None:
    with pytest.raises(InvalidRequest):
        split_prefix(path, "/verify")


@pytest.mark.parametrize("lines", [(), ("audience=b", "audience=b"), ("",), ("audience",)])
def test_a_header_that_holds_no_demand(lines: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest):
        wanted(demanded(IN_HEADER, {DEMAND_HEADER: lines}.__getitem__))
