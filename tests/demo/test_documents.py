"""The documents are true: their commands run, their links lead somewhere, their tables are those of the code."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from .conftest import KeptDemo
from .documents import DOCUMENTS, REASONS, ROOT, Exchange, blocks, exchanges, links, normalized, reasons_table

_SHOWN = (ROOT / "README.md", ROOT / "docs" / "concepts.md")
_HANDLERS = "operator/mintls/controllers/handlers.py"
_MARK = "@@@ next command"


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_lead_somewhere(document: Path) -> None:
    dead = [target for target in links(document) if not (document.parent / target.partition("#")[0]).exists()]
    assert dead == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_headings_that_are_linked_to_exist(document: Path) -> None:
    for target in links(document):
        path, _, heading = target.partition("#")
        if heading:
            text = ((document.parent / path) if path else document).read_text()
            headings = [
                re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-")
                for one in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            ]
            assert heading in headings, target


def test_the_readme_shows_the_objects_of_the_example() -> None:
    shown = [item for block in blocks(ROOT / "README.md", "yaml") for item in yaml.safe_load_all(block)]
    example = list(yaml.safe_load_all((ROOT / "docs" / "examples" / "quickstart.yaml").read_text()))
    assert shown == [item for item in example if item["kind"] != "Namespace"]


def test_make_has_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        target
        for document in DOCUMENTS
        for line in re.findall(
            r"`make ([a-z][^`]*)`|^(?:\$ )?make ([a-z].*?)(?:#|$)", document.read_text(), re.MULTILINE
        )
        for target in "".join(line).split()
        if re.fullmatch(r"[a-z-]+", target)
    }
    assert {"demo", "test", "demo-down", "check"} <= named
    assert [target for target in sorted(named) if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_the_reasons_in_the_concepts_are_those_of_the_code() -> None:
    expected = reasons_table()
    assert expected.count("| `") > 20
    # To put it right: python tests/demo/documents.py prints the table.
    assert (ROOT / "docs" / "concepts.md").read_text().endswith(expected), f"paste from {REASONS}:\n{expected}"


def test_each_runtime_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=\[]", one)[0] for one in project["dependencies"]}
    table = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text()
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)) == needed


def test_each_setting_of_kopf_has_its_reason() -> None:
    settings = re.findall(r"^    settings\.([a-z_.]+) = ", (ROOT / _HANDLERS).read_text(), re.MULTILINE)
    assert len(settings) > 10
    page = (ROOT / "docs" / "decisions" / "0003-kopf.md").read_text()
    assert [setting for setting in settings if f"`{setting}`" not in page] == []


def test_each_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert len(decisions) >= 6
    assert [path.name for path in decisions if f"decisions/{path.name}" not in index] == []


def test_what_differs_from_run_to_run_is_blanked_and_nothing_else() -> None:
    assert (
        normalized('x   TIME 5s\n{"access_token":"eyJh...","exp":17}')
        == 'x TIME AGE\n{"access_token":"TOKEN","exp":EPOCH}'
    )
    assert normalized("Ready False 3m5s") != normalized("Ready True 7s")
    assert normalized("2026-11-24T02:48:17Z   5s") == normalized("2027-01-01T00:00:00Z 1m2s")


@pytest.mark.cluster
@pytest.mark.parametrize("document", _SHOWN, ids=_name)
def test_what_is_shown_is_what_comes_of_it(document: Path, kept_demo: KeptDemo, tmp_path: Path) -> None:
    (tmp_path / ".demo").symlink_to(kept_demo.folder)
    shown = [one for one in exchanges(document) if not one.command.startswith("make ")]
    assert len(shown) > 4
    script = "\n".join(f"echo '{_MARK}'\n{one.command}" for one in shown)
    # Some commands are shown because they are refused, so a status other than 0 is no failure by itself.
    said = kept_demo.bash(f"set +e +o pipefail\n{script}", cwd=tmp_path).stdout
    outputs = said.split(f"{_MARK}\n")[1:]
    seen = [Exchange(one.command, normalized(output)) for one, output in zip(shown, outputs, strict=True)]
    assert seen == [Exchange(one.command, normalized(one.output)) for one in shown]
