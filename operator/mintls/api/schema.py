"""From typed structs to the structural schemas of CustomResourceDefinitions.

msgspec writes JSON Schema 2020-12. The API server takes OpenAPI v3 without references, null types, alternatives of
types and closed objects, and wants a type at every node.

Source: Kubernetes documentation, "CustomResourceDefinitions", "Specifying a structural schema" and "Defaulting".
"""

import json
from typing import Any

import msgspec

type Schema = dict[str, Any]

# Kubernetes API conventions, "Types (Kinds)": what every object has. The API server knows metadata's schema itself and
# allows no more than its type here.
_ENVELOPE: Schema = {
    "apiVersion": {"description": "Group and version of this schema of the object.", "type": "string"},
    "kind": {"description": "The kind of the object.", "type": "string"},
    "metadata": {"type": "object"},
}
_EMPTY: tuple[Any, ...] = (None, (), [])
_TYPE_OF = {str: "string", int: "integer"}
# The order in which a reader wants a schema's keywords.
_ORDER = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "required",
    "properties",
    "maxProperties",
    "additionalProperties",
    "items",
    "x-kubernetes-validations",
)


class NotStructural(TypeError):  # noqa: N818 - reads as the sentence that it stands for
    """A type that no structural schema can describe. The message names the keyword and where it stands."""


def object_schema(kind: type[msgspec.Struct]) -> Schema:
    """The schema of a whole object.

    Args:
        kind: A struct with ``metadata``, ``spec`` and, if anything observes it, ``status``.

    Returns:
        A structural schema in which every field has a description. ``status`` has no defaults: it says what was
        observed, and an API server that filled it in would claim an observation that nobody made.

    Raises:
        NotStructural: A field is of a type that cannot be described, or has no description.
    """
    (root,), definitions = msgspec.json.schema_components([kind])
    own = _inlined(root, definitions)
    own["properties"] = _without(own["properties"], "metadata")
    own["required"] = [name for name in own["required"] if name != "metadata"]
    schema = _structural(own, definitions, kind.__name__)
    fields = _ENVELOPE | schema["properties"]
    if "status" in fields:
        fields["status"] = _without_defaults(fields["status"])
    return schema | {"properties": fields}


def _structural(schema: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    flat = _single_type(_inlined(schema, definitions), definitions, path)
    result = _without(flat, "title", "properties", "items", "additionalProperties", "required")
    if "enum" in flat and "type" not in flat:
        result["type"] = _type_of_enum(flat["enum"], path)
    if result.get("type") == "integer":
        result["format"] = "int64"
    if "properties" in flat:
        result["properties"] = {
            name: _field(field, definitions, f"{path}.{name}") for name, field in flat["properties"].items()
        }
    if "items" in flat:
        result["items"] = _structural(flat["items"], definitions, f"{path}[]")
    if flat.get("additionalProperties"):
        result["additionalProperties"] = _structural(flat["additionalProperties"], definitions, f"{path}[*]")
    if flat.get("required"):
        result["required"] = flat["required"]
    if "type" not in result:
        raise NotStructural(f"{path}: {sorted(flat)} say no single type; use a struct, a list, a map or a scalar")
    return _ordered(result, path)


def _field(schema: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """A property: it has a description, and a default only if that says something."""
    result = _structural(schema, definitions, path)
    if "description" not in result:
        raise NotStructural(f"{path}: no description; add one with msgspec.Meta, kubectl explain shows it")
    default = result.get("default")
    if default in _EMPTY:
        # Left out and null, and left out and empty list, mean the same to the struct: nothing to fill in.
        return _without(result, "default")
    if default == {} and "additionalProperties" in result:
        return _without(result, "default")  # so do left out and empty map; an empty object takes defaults of its fields
    if isinstance(default, list | tuple):
        default = [_filled(item, result["items"]) for item in default]
    return result | {"default": default, "description": result["description"] + _spoken(default)}


def _spoken(default: Any) -> str:
    """A default in words: kubectl explain does not show the keyword. An object's is that of its fields."""
    if isinstance(default, dict):
        return ""
    return f" Defaults to `{default if isinstance(default, str) else json.dumps(default)}`."


def _filled(value: Any, schema: Schema) -> Any:
    """An item of a default list, with what the API server would fill in: a reader sees the list in effect."""
    if not isinstance(value, dict):
        return value
    defaults = {name: field["default"] for name, field in schema["properties"].items() if "default" in field}
    return defaults | value


def _inlined(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    """``$ref`` replaced by what it names; what stands beside it prevails, rules of both hold."""
    if "$ref" not in schema:
        return schema
    return _merged(definitions[schema["$ref"].removeprefix("#/$defs/")], _without(schema, "$ref"))


def _single_type(schema: Schema, definitions: dict[str, Schema], path: str) -> Schema:
    """``anyOf`` with null is an optional field; any other has no single type."""
    if "anyOf" not in schema:
        return schema
    options = [option for option in schema["anyOf"] if option != {"type": "null"}]
    if len(options) != 1:
        raise NotStructural(f"{path}: a union of {len(options)} types; a structural schema has one")
    return _merged(_inlined(options[0], definitions), _without(schema, "anyOf"))


def _merged(inner: Schema, outer: Schema) -> Schema:
    rules = inner.get("x-kubernetes-validations", []) + outer.get("x-kubernetes-validations", [])
    return inner | outer | ({"x-kubernetes-validations": rules} if rules else {})


def _type_of_enum(values: list[Any], path: str) -> str:
    types = {type(value) for value in values}
    if len(types) != 1 or not types <= _TYPE_OF.keys():
        raise NotStructural(f"{path}: an enum of {values}; all of its values must be strings, or all integers")
    return _TYPE_OF[types.pop()]


def _without_defaults(schema: Schema) -> Schema:
    result = _without(schema, "default")
    if "default" in schema:
        result["description"] = schema["description"].removesuffix(_spoken(schema["default"]))
    if "properties" in result:
        result["properties"] = {name: _without_defaults(field) for name, field in result["properties"].items()}
    if "items" in result:
        result["items"] = _without_defaults(result["items"])
    return result


def _without(schema: Schema, *keywords: str) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword not in keywords}


def _ordered(schema: Schema, path: str) -> Schema:
    if unknown := schema.keys() - set(_ORDER):
        raise NotStructural(f"{path}: {sorted(unknown)} have no place in a structural schema; say it with a CEL rule")
    return {keyword: schema[keyword] for keyword in sorted(schema, key=_ORDER.index)}
