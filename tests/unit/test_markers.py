"""Each test runs in one of ``make check``, ``make integration`` and ``make e2e``, whatever it is marked with."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PYTEST = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
MARKERS = {line.partition(":")[0] for line in PYTEST["markers"]}


def test_check_has_what_integration_and_e2e_have_not() -> None:
    selected = re.findall(r'pytest (\S+) -m ("[^"]+"|\S+)', MAKEFILE)
    assert selected == [("tests", '"not ($(APART) or e2e)"'), ("tests", '"$(APART)"'), ("tests/e2e", "e2e")]


def test_each_marker_is_apart_or_e2e() -> None:
    [apart] = re.findall(r"^APART = (.+)$", MAKEFILE, re.MULTILINE)
    assert {*apart.split(" or "), "e2e"} == MARKERS


def test_each_is_told_to_contributors() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    assert {marker for marker in MARKERS if f"`{marker}`" in page} == MARKERS
