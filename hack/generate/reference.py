"""The API reference, from the CustomResourceDefinitions: what the API server enforces is what is documented."""

from collections.abc import Callable, Iterator
from typing import Any

type Schema = dict[str, Any]

_INTRODUCTION = """\
# API reference

Group `{group}`, version `{version}`. `kubectl explain` shows the same, for example
`kubectl explain clientcertificate.spec.renewBefore`. An object that breaks a rule is refused by the API server with
the message quoted below.
"""


def reference(definitions: list[dict[str, Any]]) -> str:
    """Markdown with a chapter per kind and a section per field."""
    spec = definitions[0]["spec"]
    introduction = _INTRODUCTION.format(group=spec["group"], version=spec["versions"][0]["name"])
    contents = "\n".join(_entry(definition["spec"]) for definition in definitions)
    chapters = [_chapter(definition["spec"]) for definition in definitions]
    return "\n".join([introduction, contents, "", *chapters]).rstrip("\n") + "\n"


def _entry(spec: dict[str, Any]) -> str:
    name = spec["names"]["kind"]
    return f"- [{name}](#{name.lower()}): {spec['versions'][0]['schema']['openAPIV3Schema']['description']}"


def _chapter(spec: dict[str, Any]) -> str:
    names, version = spec["names"], spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [
        f"## {names['kind']}",
        "",
        schema["description"],
        "",
        f"- Scope: {spec['scope'].lower()}",
        f"- For `kubectl`: {_quoted([names['plural'], names['singular'], *names['shortNames']])}"
        + (f", in the category {_quoted(names['categories'])}" if "categories" in names else ""),
        f"- `kubectl get` shows: {_columns(version, wide=False)}"
        + (f"; with `-o wide` also {wide}" if (wide := _columns(version, wide=True)) else ""),
        *_rules(schema),
        "",
    ]
    for name in (name for name in ("spec", "status") if name in schema["properties"]):
        required = name in schema.get("required", ())
        lines += _sections(schema["properties"][name], f"{names['singular']}.{name}", required=required)
    return "\n".join(lines)


def _columns(version: dict[str, Any], *, wide: bool) -> str:
    return ", ".join(
        column["name"] for column in version["additionalPrinterColumns"] if bool(column.get("priority")) is wide
    )


def _sections(schema: Schema, path: str, *, required: bool) -> Iterator[str]:
    """A section for the field, then one for each field below it."""
    yield f"### `{path}`"
    yield ""
    yield f"*{_type(schema)}{', required' if required else ''}*"
    yield ""
    yield schema["description"]
    if rules := _rules(schema):
        yield ""
        yield from rules
    yield ""
    below = schema.get("items", schema)
    if "properties" in below:
        for name, field in below["properties"].items():
            inside = f"{path}[].{name}" if "items" in schema else f"{path}.{name}"
            yield from _sections(field, inside, required=name in below.get("required", ()))


def _type(schema: Schema) -> str:
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}s"
    if "additionalProperties" in schema:
        return f"map of {_type(schema['additionalProperties'])}s"
    return "time (RFC 3339)" if schema.get("format") == "date-time" else str(schema["type"])


def _rules(schema: Schema) -> list[str]:
    """What the API server refuses, and the words in which it does."""
    items = schema.get("items", {})
    return [
        *_limits(schema),
        *(f"- Each item: {limit.removeprefix('- ')}" for limit in _limits(items)),
        *(f'- Rule: "{rule["message"]}"' for rule in schema.get("x-kubernetes-validations", ())),
        *(f'- Rule for each item: "{rule["message"]}"' for rule in items.get("x-kubernetes-validations", ())),
    ]


def _limits(schema: Schema) -> list[str]:
    stated = (text(schema[keyword]) for keyword, text in _LIMITS.items() if keyword in schema)
    return [f"- {limit}" for limit in stated if limit]


def _quoted(values: list[str]) -> str:
    return ", ".join(f"`{value}`" for value in values)


_LIMITS: dict[str, Callable[[Any], str]] = {
    "enum": lambda values: f"one of {_quoted(values)}",
    "minimum": lambda value: f"at least {value}",
    "maximum": lambda value: f"at most {value}",
    "minLength": lambda value: f"at least {value} characters",
    "maxLength": lambda value: f"at most {value} characters",
    "pattern": lambda value: f"matches `{value}`",
    "minItems": lambda value: f"at least {value} item{'' if value == 1 else 's'}",
    "maxItems": lambda value: f"at most {value} items",
    "maxProperties": lambda value: f"at most {value} entries",
    "x-kubernetes-list-type": lambda value: "no item twice" if value == "set" else "",
    "x-kubernetes-list-map-keys": lambda keys: f"no two items with the same {_quoted(keys)}",
}
