"""Documents as the tests read them: their blocks, their links, and what parts of them are computed from the code."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
REASONS = ROOT / "operator" / "mintls" / "reconcile" / "reasons.py"


@dataclass(frozen=True)
class Exchange:
    """A command of a console block, and what the document says that comes of it."""

    command: str
    output: str


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)


def exchanges(document: Path) -> list[Exchange]:
    """Every command of the document's console blocks, in order."""
    found = []
    for block in blocks(document, "console"):
        for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = piece.partition("\n")
            found.append(Exchange(command, output))
    return found


def links(document: Path) -> Iterator[str]:
    """Targets of links inside of the tree."""
    prose = re.sub(r"```.*?^```|`[^`\n]*`", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if not re.match(r"[a-z]+:", target):
            yield target


# What differs from run to run, and a word for each. The order matters.
_VARYING = (
    (r'"eyJ[^"]*"', '"TOKEN"'),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r'"(exp|iat)":\d+', r'"\1":EPOCH'),
    (r'"jti":"[^"]+"', '"jti":"JTI"'),
    (r"localhost:\d+", "localhost:PORT"),
    (r"serial [0-9a-f]+", "serial SERIAL"),
    (r"(?<![\w-])[\w-]{43}(?![\w-])", "THUMBPRINT"),
    (r"(?<= )(?:\d+m)?\d+s$", "AGE"),
    (r"(?<= )\d+m$", "AGE"),
    (r" {2,}", " "),
)


def normalized(text: str) -> str:
    """The text without what differs from run to run."""
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text.strip()


def reasons_table() -> str:
    """The reasons of ``reasons.py`` with their explanations, a table for each group, as Markdown."""
    source = REASONS.read_text()
    body = next(node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)).body
    groups = {number: line for number, line in enumerate(source.splitlines(), 1) if line.strip().startswith("# ---")}
    lines: list[str] = []
    for node, explanation in pairwise(body):
        match node, explanation:
            case (
                ast.Assign(value=ast.Constant(value=str(reason))),
                ast.Expr(value=ast.Constant(value=str(meaning))),
            ):
                for number in [one for one in groups if one < node.lineno]:
                    title = groups.pop(number).strip(" #-")
                    lines += ["", f"**{title[0].upper()}{title[1:]}**", "", "| Reason | Meaning |", "|---|---|"]
                lines.append(f"| `{reason}` | {meaning} |")
            case _:
                continue
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    print(reasons_table(), end="")  # noqa: T201 - to be pasted into docs/concepts.md
