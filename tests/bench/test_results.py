import json
from pathlib import Path

import pytest

from bench.load import Outcome
from bench.plot import draw
from bench.results import FLOOR, OURS, PEER, Results, Spread, Target, table

MACHINE = {"cpu": "a processor", "commit": "0123456789ab"}


def outcome(rate: float) -> Outcome:
    return Outcome(
        answers=1, requests=1, seconds=1.0, rate=rate, p50_ms=1.0, p99_ms=2.0, max_ms=3.0, errors={}, sample="a-token"
    )


def results(*rates: tuple[float, float]) -> Results:
    value = Results(MACHINE)
    for ours, other in rates:
        value.add("keep-alive", OURS, outcome(ours))
        value.add("keep-alive", PEER, outcome(other))
    return value


def test_a_spread_is_the_median_and_the_ends() -> None:
    assert Spread.of([3, 1, 200]) == Spread(3, 1, 200)


def test_a_ratio_is_of_the_same_round_so_that_what_slows_both_falls_out() -> None:
    assert results((300, 100), (30, 10), (600, 200)).ratio("keep-alive", OURS, PEER) == Spread(3, 3, 3)


@pytest.mark.parametrize(
    ("value", "at_most", "met"), [(2.5, False, "yes"), (2.4, False, "no"), (2.5, True, "yes"), (2.6, True, "no")]
)
def test_a_target_is_met_at_its_bound_and_on_its_side_of_it(value: float, at_most: bool, met: str) -> None:  # noqa: FBT001 - a column of the table
    assert Target("t", Spread.of([value]), 2.5, at_most=at_most).row()[3] == met


def test_no_token_is_written_down(tmp_path: Path) -> None:
    value = results((300, 100))
    value.save(tmp_path / "r.json")

    assert json.loads((tmp_path / "r.json").read_text())["rounds"]["keep-alive"][OURS][0]["rate"] == 300
    assert "a-token" not in (tmp_path / "r.json").read_text() + repr(value)


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    value = results((300, 100))
    value.save(tmp_path / "r.json")

    assert Results.read(tmp_path / "r.json").ratio("keep-alive", OURS, PEER) == Spread(3, 3, 3)


def test_a_table_has_columns_of_even_width() -> None:
    assert table(("a", "bcd"), [("ef", "g")]).splitlines() == ["| a  | bcd |", "|----|-----|", "| ef | g   |"]


def test_equal_results_draw_equal_pictures(tmp_path: Path) -> None:
    value = results((300, 100))
    value.add("keep-alive", FLOOR, outcome(500))
    for name in ("one.svg", "two.svg"):
        draw(value, tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "0123456789ab" in (tmp_path / "one.svg").read_text()
