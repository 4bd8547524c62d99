"""Who owns which fields of an object (``metadata.managedFields``), and how to change from POST to server-side apply.

What a POST wrote belongs to its manager under the operation Update. A later apply under the same name owns the same
fields once more, under the operation Apply; a field that then leaves the applied set stays, because the entry of the
POST still owns it. The entry has to become one of Apply before that.

Source: Kubernetes documentation, "Server-Side Apply", "Upgrading from client-side apply to server-side apply".
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

type Entry = dict[str, Any]
type Field = tuple[str, str]


def was_posted(entries: Iterable[Mapping[str, Any]], manager: str) -> bool:
    """Whether the manager owns fields under the operation Update."""
    return any(_is_update(entry, manager) for entry in entries)


def last_written(entries: Iterable[Mapping[str, Any]], manager: str) -> datetime | None:
    """When the manager last changed the object, to the second; None if it never did."""
    times = [entry["time"] for entry in entries if _is_of(entry, manager) and entry.get("time")]
    return max(map(datetime.fromisoformat, times), default=None)


def last_other(entries: Iterable[Mapping[str, Any]], manager: str) -> str:
    """The manager who changed the object last, beside this one; "" if nobody else owns anything of it."""
    others = [entry for entry in entries if entry.get("manager") != manager and not entry.get("subresource")]
    return str(max(others, key=lambda entry: entry.get("time") or "", default={}).get("manager", ""))


def posted_fields(entries: Iterable[Mapping[str, Any]], manager: str) -> frozenset[Field]:
    """Labels, annotations and data that the manager owns under Update, as ``("labels", "team")``."""
    return frozenset(
        field for entry in entries if _is_update(entry, manager) for field in _fields(entry.get("fieldsV1", {}))
    )


def stated_fields(manifest: Mapping[str, Any]) -> frozenset[Field]:
    """Labels, annotations and data that a manifest states."""
    metadata = manifest["metadata"]
    parts = {"labels": metadata.get("labels"), "annotations": metadata.get("annotations"), "data": manifest.get("data")}
    return frozenset((part, name) for part, names in parts.items() for name in names or ())


def handed_over(entries: Iterable[Mapping[str, Any]], manager: str) -> list[Entry]:
    """The entries, with what the manager owned under Update in its entry of Apply instead."""
    rest = [dict(entry) for entry in entries]
    updates = [entry for entry in rest if _is_update(entry, manager)]
    others = [entry for entry in rest if not _is_update(entry, manager)]
    applied = next((entry for entry in others if _is_apply(entry, manager)), None)
    if applied is None and updates:
        applied = {**updates[0], "operation": "Apply"}
        others.append(applied)
    for update in updates:
        if applied is not None:
            applied["fieldsV1"] = _union(applied.get("fieldsV1", {}), update.get("fieldsV1", {}))
    return others


def _is_update(entry: Mapping[str, Any], manager: str) -> bool:
    return _is_of(entry, manager) and entry.get("operation") == "Update"


def _is_apply(entry: Mapping[str, Any], manager: str) -> bool:
    return _is_of(entry, manager) and entry.get("operation") == "Apply"


def _is_of(entry: Mapping[str, Any], manager: str) -> bool:
    return entry.get("manager") == manager and not entry.get("subresource")


def _fields(fields: Mapping[str, Any]) -> Iterable[Field]:
    metadata = fields.get("f:metadata", {})
    parts = {
        "labels": metadata.get("f:labels", {}),
        "annotations": metadata.get("f:annotations", {}),
        "data": fields.get("f:data", {}),
    }
    for part, names in parts.items():
        yield from ((part, name.removeprefix("f:")) for name in names if name != ".")


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of fields (FieldsV1: a tree in which each owned field is a member)."""
    return {name: _union(one.get(name, {}), other.get(name, {})) for name in {**one, **other}}
