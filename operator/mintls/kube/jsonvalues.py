"""The difference of two JSON objects as a JSON merge patch (RFC 7386)."""

from collections.abc import Mapping
from typing import Any


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """The merge patch that makes ``new`` of ``old``; None when there is nothing to change.

    A merge patch cannot set a member to null (RFC 7386 section 1: null means removal), so a null member counts as
    absent in ``old`` and ``new``. Arrays are replaced as a whole.

    Args:
        old: What the API server has.
        new: What it should have.

    Returns:
        A patch such that applying it to ``old`` gives ``new``, or None.
    """
    patch: dict[str, Any] = {}
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if after is None:
            if before is not None:
                patch[key] = None
        elif isinstance(after, Mapping):
            part = merge_patch(before if isinstance(before, Mapping) else {}, after)
            if part is not None or not isinstance(before, Mapping):
                patch[key] = part or {}
        elif not same_json(before, after):
            patch[key] = after
    return patch or None


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
