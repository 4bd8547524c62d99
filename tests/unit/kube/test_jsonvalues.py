import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.kube.jsonvalues import same_json, without_nulls

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def test_nulls_of_objects_are_left_out_and_arrays_stay() -> None:
    assert without_nulls({"a": None, "b": {"c": None, "d": 1}, "e": [None]}) == {"b": {"d": 1}, "e": [None]}


@given(values)
def test_what_has_no_nulls_loses_none(value: Any) -> None:
    once = without_nulls(value)
    assert same_json(without_nulls(once), once)


@given(values, values)
def test_values_are_the_same_exactly_when_their_json_is(one: Any, other: Any) -> None:
    assert same_json(one, other) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), ([True], [1]), ({"a": 0}, {"a": False})])
def test_a_boolean_is_not_a_number(one: Any, other: Any) -> None:
    assert not same_json(one, other)
