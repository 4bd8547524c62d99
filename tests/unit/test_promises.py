"""Every promise of ``docs/promises.md`` has tests, and each test that it names is there."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "promises.md").read_text()
PROMISES = dict(re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", PAGE, re.MULTILINE | re.DOTALL))
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def functions_of(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}


def test_there_are_twelve() -> None:
    assert list(PROMISES) == [str(number) for number in range(1, 13)]


@pytest.mark.parametrize("number", PROMISES)
def test_each_has_tests_that_are_there(number: str) -> None:
    named = TEST.findall(PROMISES[number])
    assert len(named) >= 2
    missing = [f"{file}::{name}" for file, name in named if name not in functions_of(REPOSITORY / file)]
    assert not missing, f"promise {number} names tests that are gone: write them again, or name what took their place"


def test_every_line_names_a_test() -> None:
    """One that is misspelt so that it is not read would not be missed."""
    lines = [line for line in PAGE.splitlines() if re.match(r"\s+- ", line)]
    assert all(TEST.search(line) for line in lines)
    assert len(lines) >= 40
