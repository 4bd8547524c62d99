"""What is generated of the chart: the README, whose table is made of the comments in values.yaml."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = "charts/mintls"
CRDS = f"{CHART}/files/crds"
README = f"{CHART}/README.md"

_INTRODUCTION = """\
# The chart mintls

Operator and issuer, their rights, and the kinds of `mintls.dev`. [docs/install.md](../../docs/install.md) says how
to install, upgrade and uninstall; [docs/gitops.md](../../docs/gitops.md) how with Argo CD and Flux. There is one
installation per cluster, and its objects are called `mintls-operator` and `mintls-issuer` whatever the release is.

## Values

Values that cannot be right are refused by `values.schema.json` and by the templates, before anything is applied.

| Value | Default | Meaning |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class DocumentedValue:
    """A value of the chart.

    Attributes:
        path: Its keys from the top, joined by dots.
        default: As values.yaml has it.
        meaning: The comment above it.
    """

    path: str
    default: Any
    meaning: str


class UndocumentedValueError(Exception):
    """A value has no comment above it."""


def readme(values: Path) -> str:
    """The chart's README.

    Raises:
        UndocumentedValueError: A value has no comment above it.
    """
    rows = [
        f"| `{one.path}` | `{json.dumps(one.default)}` | {one.meaning.replace('|', chr(92) + '|')} |"
        for one in documented_values(values.read_text())
    ]
    return "\n".join([_INTRODUCTION.rstrip("\n"), *rows]) + "\n"


def documented_values(text: str) -> list[DocumentedValue]:
    """Every value, in the file's order. A mapping in which no key has a comment is one value.

    Raises:
        UndocumentedValueError: A value has no comment above it.
    """
    comments = _comments(yaml.compose(text, Loader=yaml.SafeLoader), text.splitlines())
    return list(_walk(yaml.safe_load(text), "", comments))


def _comments(node: yaml.Node | None, lines: list[str], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        return found
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        found[path] = _comment_above(lines, key.start_mark.line)
        found |= _comments(value, lines, f"{path}.")
    return found


def _comment_above(lines: list[str], number: int) -> str:
    above: list[str] = []
    while number and lines[number - 1].lstrip().startswith("#"):
        number -= 1
        above.insert(0, lines[number].lstrip().removeprefix("#").strip())
    return " ".join(above)


def _walk(values: dict[str, Any], prefix: str, comments: dict[str, str]) -> Iterator[DocumentedValue]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if any(comment for below, comment in comments.items() if below.startswith(f"{path}.")):
            yield from _walk(value, f"{path}.", comments)
        elif comments[path]:
            yield DocumentedValue(path, value, comments[path])
        else:
            raise UndocumentedValueError(f"{path} in {CHART}/values.yaml has no comment above it: say what it means")
