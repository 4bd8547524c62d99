"""Decoded JSON: what is left out of it, and whether two values are the same."""

from collections.abc import Mapping
from typing import Any


def without_nulls(value: Any) -> Any:
    """A JSON value without the members of its objects that are null; arrays stay as they are."""
    if isinstance(value, Mapping):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return value


def same_json(one: Any, other: Any) -> bool:
    """Whether two decoded JSON values are the same value: in Python alone ``True == 1``."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same_json(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same_json, one, other))
    return bool(one == other)
