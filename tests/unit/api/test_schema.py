"""The transformer: what becomes of a struct's fields in a structural schema."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from mintls.api.schema import NotStructural, object_schema
from mintls.api.v1alpha1 import ObjectMeta
from mintls.api.v1alpha1.meta import KubeStruct, Time
from mintls.api.v1alpha1.rules import Rule, cel


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(KubeStruct, frozen=True, kw_only=True):
    """The type's own words."""

    name: Annotated[str, Meta(description="A name.")] = "default"


class Empty(KubeStruct, frozen=True, kw_only=True):
    """Nothing observed."""


def schema_of(field_type: Any, default: Any = msgspec.NODEFAULT, *, under: str = "spec") -> dict[str, Any]:
    """The schema of one field of that type, in ``spec`` or ``status``."""
    part = msgspec.defstruct(
        "Part",
        [("a_field", field_type, msgspec.field(default=default))],
        bases=(KubeStruct,),
        frozen=True,
        kw_only=True,
    )
    parts = {"spec": Empty, "status": Empty} | {under: part}
    fields = [(name, Annotated[of, Meta(description=f"Its {name}.")]) for name, of in parts.items()]
    whole = msgspec.defstruct("Whole", [("metadata", ObjectMeta), *fields], frozen=True, kw_only=True)
    schema: dict[str, Any] = object_schema(whole)["properties"][under]
    return schema


def field_of(field_type: Any, default: Any = msgspec.NODEFAULT, *, under: str = "spec") -> dict[str, Any]:
    field: dict[str, Any] = schema_of(field_type, default, under=under)["properties"]["aField"]
    return field


def test_metadata_is_no_more_than_an_object_and_the_envelope_is_described() -> None:
    whole = msgspec.defstruct("Whole", [("metadata", ObjectMeta), ("status", Annotated[Empty, Meta(description="x")])])
    schema = object_schema(whole)
    assert schema["properties"]["metadata"] == {"type": "object"}
    assert list(schema["properties"])[:3] == ["apiVersion", "kind", "metadata"]
    assert schema["required"] == ["status"]


@pytest.mark.parametrize(
    ("field_type", "default", "expected"),
    [
        (str, "x", {"type": "string", "default": "x"}),
        (bool, False, {"type": "boolean", "default": False}),
        (int, msgspec.NODEFAULT, {"type": "integer", "format": "int64"}),
        (str | None, None, {"type": "string"}),
        (Time, msgspec.NODEFAULT, {"type": "string", "format": "date-time"}),
        (Literal["b", "a"], "b", {"type": "string", "enum": ["a", "b"], "default": "b"}),
        (Literal[1, 2], 1, {"type": "integer", "format": "int64", "enum": [1, 2], "default": 1}),
        (Color, msgspec.NODEFAULT, {"type": "string", "enum": ["blue", "red"]}),
        (tuple[str, ...], (), {"type": "array", "items": {"type": "string"}}),
        (tuple[str, ...], ("x",), {"type": "array", "items": {"type": "string"}, "default": ["x"]}),
        (dict[str, str], msgspec.NODEFAULT, {"type": "object", "additionalProperties": {"type": "string"}}),
    ],
)
def test_a_field_keeps_its_type_and_a_default_that_says_something(
    field_type: Any, default: Any, expected: dict[str, Any]
) -> None:
    described = Annotated[field_type, Meta(description="What it is.")]
    field = field_of(described, default)
    assert field.pop("description").startswith("What it is.")
    assert field == expected


@pytest.mark.parametrize(
    ("field_type", "default", "words"),
    [
        (str, "24h", " Defaults to `24h`."),
        (bool, False, " Defaults to `false`."),
        (tuple[str, ...], ("x",), ' Defaults to `["x"]`.'),
        (tuple[str, ...], (), ""),
        (Inner, Inner(), ""),
        (str | None, None, ""),
    ],
)
@pytest.mark.parametrize("under", ["spec", "status"])
def test_the_description_says_the_default_of_a_spec_because_kubectl_explain_does_not_show_it(
    field_type: Any, default: Any, words: str, under: str
) -> None:
    described = Annotated[field_type, Meta(description="What it is.")]
    field = field_of(described, default, under=under)
    assert field["description"] == "What it is." + (words if under == "spec" else "")


def test_the_annotation_may_stand_inside_of_the_union_with_none() -> None:
    assert field_of(Annotated[str, Meta(description="What it is.", max_length=3)] | None, None) == {
        "description": "What it is.",
        "type": "string",
        "maxLength": 3,
    }


def test_a_struct_is_written_out_where_it_is_used_in_the_words_of_the_field() -> None:
    described = Annotated[Inner, Meta(description="What it is here.")]
    assert field_of(described, Inner()) == {
        "description": "What it is here.",
        "type": "object",
        "default": {},
        "properties": {
            "name": {"description": "A name. Defaults to `default`.", "type": "string", "default": "default"}
        },
    }


def test_an_optional_struct_keeps_description_and_rules_of_the_field() -> None:
    rules = cel(Rule("has(self.name)", "say a name"))
    field = field_of(Annotated[Inner | None, Meta(description="What it is.", extra_json_schema=rules)], None)
    assert field["description"] == "What it is."
    assert field["x-kubernetes-validations"] == [{"rule": "has(self.name)", "message": "say a name"}]
    assert "default" not in field


def test_rules_of_the_type_and_of_its_use_both_hold() -> None:
    inner = Annotated[str, Meta(max_length=9, extra_json_schema=cel(Rule("self != 'a'", "not a")))]
    lists = Annotated[tuple[inner, ...], Meta(description="x", extra_json_schema=cel(Rule("self.size() > 1", "two")))]
    field = field_of(lists)
    assert [rule["message"] for rule in field["x-kubernetes-validations"]] == ["two"]
    assert [rule["message"] for rule in field["items"]["x-kubernetes-validations"]] == ["not a"]


def test_a_default_list_shows_what_the_api_server_would_fill_into_its_items() -> None:
    lists = Annotated[tuple[Inner, ...], Meta(description="x")]
    assert field_of(lists, (Inner(), Inner(name="a")))["default"] == [{"name": "default"}, {"name": "a"}]


def test_only_fields_without_a_default_are_required() -> None:
    described = Annotated[str, Meta(description="x")]
    assert schema_of(described)["required"] == ["aField"]
    assert "required" not in schema_of(described, "x")


def test_a_status_has_no_defaults_because_nobody_observed_them() -> None:
    lists = Annotated[tuple[Inner, ...], Meta(description="x")]
    field = field_of(lists, (Inner(),), under="status")
    assert "default" not in field
    assert "default" not in field["items"]["properties"]["name"]


@pytest.mark.parametrize(
    ("field_type", "message"),
    [
        (str, r"Whole\.spec\.aField: no description"),
        (Annotated[int | str, Meta(description="x")], r"Whole\.spec\.aField: a union of 2 types"),
        (Annotated[Any, Meta(description="x")], r"Whole\.spec\.aField: .* no single type"),
        (Annotated[Literal[1, "a"], Meta(description="x")], r"Whole\.spec\.aField: an enum of"),
        (Annotated[int, Meta(description="x", gt=1)], r"Whole\.spec\.aField: \['exclusiveMinimum'\] have no place"),
        (Annotated[tuple[int | str, ...], Meta(description="x")], r"Whole\.spec\.aField\[\]: a union"),
    ],
)
def test_what_has_no_structural_schema_is_refused_by_its_path(field_type: Any, message: str) -> None:
    with pytest.raises(NotStructural, match=message):
        schema_of(field_type)


def test_a_naive_time_is_refused_as_the_api_server_refuses_it() -> None:
    with pytest.raises(msgspec.ValidationError, match="timezone"):
        msgspec.json.decode(b'"2026-01-01T00:00:00"', type=Time)
    assert msgspec.json.decode(b'"2026-01-01T00:00:00Z"', type=Time) == datetime.fromisoformat("2026-01-01T00:00:00Z")
