import json
from datetime import UTC, datetime
from pathlib import Path

from bench import load
from bench.burst import Outcome
from bench.issuer import FEW
from bench.operatorplot import draw
from bench.operatorresults import BASE, OURS, PEER, OperatorResults
from bench.report import targets
from bench.results import FLOOR, Results, Spread
from bench.results import PEER as ISSUER_PEER
from bench.spread import fullest_minute

SINGLE = {
    "writes for each of them: Secret, status, event": 3.0,
    "writes at rest": 0.0,
    "% of a core at rest": 0.5,
    "MiB of the operator with many": 121.0,
    "s from start until everything was looked at": 5.0,
    "writes of a restart, but for that object's": 0.0,
    "s until a new object is Ready after an outage": 0.5,
    "s until a new object is Ready beside renewals": 0.5,
    "failed token requests meanwhile": 1.0,
    "failed token requests by another intermediate": 0.0,
}
ANSWERS = load.Outcome(
    answers=1, requests=1, seconds=1.0, rate=1.0, per_cpu=1.0, p50_ms=1.0, p99_ms=2.0, max_ms=3.0, errors={}, sample=""
)


def outcome(rate: float) -> Outcome:
    return Outcome(count=10, seconds=10 / rate, rate=rate, writes=3.0, cpu_ms=2.0, rss_mib=90.0)


def results(*rates: tuple[float, float]) -> OperatorResults:
    value = OperatorResults({"cpu": "a processor", "commit": "0123456789ab"}, single=dict(SINGLE))
    for ours, peer in rates:
        value.add("beside", OURS, outcome(ours))
        value.add("beside", PEER, outcome(peer))
    value.add("many", OURS, outcome(200))
    return value


def test_a_ratio_is_of_the_same_round() -> None:
    assert results((300, 100), (30, 10)).ratio("rate") == Spread(3, 3, 3)


def test_another_commit_is_shown_where_it_was_measured() -> None:
    value = results((300, 100))
    assert "| beside | mintls / base " not in value.text()
    value.add("beside", BASE, outcome(150))

    assert value.ratio("rate", BASE) == Spread(2, 2, 2)
    assert "| beside | mintls / base " in value.text()


def test_each_target_is_judged_by_its_own_figure() -> None:
    judged = {target.name: target.met for target in results((300, 100)).targets()}

    assert [name for name, met in judged.items() if not met] == [
        "MiB of the operator with many",
        "failed token requests meanwhile",
    ]
    assert len(judged) == 2 + len(SINGLE)


def test_what_was_measured_is_printed_and_saved(tmp_path: Path) -> None:
    value = results((300, 100))
    value.save(tmp_path / "r.json")

    assert json.loads((tmp_path / "r.json").read_text())["bursts"]["beside"][PEER][0]["rate"] == 100
    assert OperatorResults.read(tmp_path / "r.json") == value
    assert "| beside | mintls / cert-manager |" in value.text()
    assert "| writes at rest" in value.text()


def test_the_fullest_minute_is_the_one_of_most() -> None:
    times = [
        datetime(2026, 1, 1, 0, minute, second, tzinfo=UTC) for minute, second in ((0, 59), (1, 0), (1, 59), (2, 0))
    ]

    assert fullest_minute(times) == 2


def test_equal_results_draw_equal_pictures(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        draw(results((300, 100)), tmp_path / name)

    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "cert-manager, 10 at once" in (tmp_path / "one.svg").read_text()


def test_the_targets_of_both_parts_are_in_one_table_at_the_end() -> None:
    issuer = Results({"cpu": "a processor", "commit": "0123456789ab"})
    for scenario in (*FEW, "one client, 20 requests a connection", "all clients, 20 requests a connection"):
        for server in (OURS, ISSUER_PEER, FLOOR):
            issuer.add(scenario, server, ANSWERS)

    rows = targets(issuer, results((300, 100))).splitlines()

    assert rows[2].startswith("| issuer ")
    assert rows[-3].startswith("| operator ")
    judged = [row.split("|")[-2].strip() for row in rows[2:-2]]
    assert {*judged} == {"yes", "no"}
    assert rows[-1] == f"{judged.count('yes')} of {len(judged)} are met."
