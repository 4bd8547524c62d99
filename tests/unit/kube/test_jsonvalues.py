from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.kube.statuspatch import merge_patch, same_json, without_nulls

scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def apply_patch(target: Any, patch: Any) -> Any:
    """MergePatch of RFC 7386 section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = apply_patch(result.get(name), value)
    return result


@pytest.mark.parametrize(
    ("original", "patch", "result"),
    # RFC 7386 appendix A: the witness for this file's own apply_patch.
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_reference_applies_patches_as_the_rfc_says(original: Any, patch: Any, result: Any) -> None:
    assert apply_patch(original, patch) == result


@given(old=objects, new=objects)
def test_the_patch_makes_new_of_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(old, new)
    patched = apply_patch(old, patch) if patch is not None else old
    assert same_json(without_nulls(patched), without_nulls(new))


@given(old=objects, new=objects)
def test_there_is_a_patch_exactly_when_something_differs(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert (merge_patch(old, new) is None) == same_json(without_nulls(old), without_nulls(new))


@given(old=objects, new=objects)
def test_after_the_patch_there_is_none(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_patch(old, new)
    assert merge_patch(apply_patch(old, patch or {}), new) is None


def test_nulls_of_objects_are_left_out_and_arrays_stay() -> None:
    assert without_nulls({"a": None, "b": {"c": None, "d": 1}, "e": [None]}) == {"b": {"d": 1}, "e": [None]}


def test_only_what_differs_is_sent() -> None:
    old = {"conditions": [{"type": "Ready"}], "clientID": "shop:billing", "keys": {"a": 1, "b": 2}, "gone": "x"}
    new = {"conditions": [{"type": "Ready"}], "clientID": "shop:billing", "keys": {"a": 1, "b": 3}}
    assert merge_patch(old, new) == {"keys": {"b": 3}, "gone": None}


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), ([True], [1]), ({"a": 0}, {"a": False})])
def test_a_boolean_is_not_a_number(one: Any, other: Any) -> None:
    assert not same_json(one, other)
    assert merge_patch({"v": one}, {"v": other}) == {"v": other}
