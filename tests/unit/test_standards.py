"""What ``docs/standards.md`` names is there: pages with their headings, and tests."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "standards.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| What ")]


def anchors_of(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_row_names_a_page_and_a_test() -> None:
    assert len(ROWS) >= 20
    for row in ROWS:
        assert re.search(r"\]\([\w/.-]+\.(md|yaml)", row), row
        assert re.search(r"`tests/[\w/]+\.py`", row), row


def test_all_that_is_named_is_there() -> None:
    for test in re.findall(r"`(tests/[\w/]+\.py)`", PAGE):
        assert (DOCS.parent / test).is_file(), test
    for page, anchor in re.findall(r"\]\(([\w/.-]+\.(?:md|yaml))(?:#([\w-]+))?\)", PAGE):
        assert (DOCS / page).is_file(), page
        assert not anchor or anchor in anchors_of(DOCS / page), f"{page}#{anchor}"
