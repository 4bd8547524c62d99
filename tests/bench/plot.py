"""The picture of a run: rates beside each other, with their spread, as SVG."""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.results import FLOOR, OURS, PEER, Results

_COLOURS = {OURS: "#1f6f5c", PEER: "#c98a2b", FLOOR: "#b9c0c7"}


def draw(results: Results, path: Path) -> None:
    """Write the picture; equal results give equal bytes."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "mintls"
    mpl.rcParams["svg.fonttype"] = "none"
    figure, (rates, times) = plt.subplots(1, 2, figsize=(11, 0.62 * len(results.rounds) + 1.4), sharey=True)
    _bars(rates, results, "per_cpu", "answers for each second of the server's processor time")
    _bars(times, results, "p99_ms", "99th percentile, milliseconds")
    times.set_xscale("log")
    rates.legend(loc="lower right", frameon=False)
    rates.invert_yaxis()
    figure.suptitle(f"Token issuer on one core, {results.machine['cpu']}, commit {results.machine['commit']}")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def _bars(axes: Axes, results: Results, figure: str, title: str) -> None:
    height = 0.26
    for place, server in enumerate((OURS, PEER, FLOOR)):
        there = [(row, scenario) for row, scenario in enumerate(results.rounds) if server in results.rounds[scenario]]
        spreads = [results.spread(scenario, server, figure) for _, scenario in there]
        axes.barh(
            [row + (place - 1) * height for row, _ in there],
            [spread.median for spread in spreads],
            height,
            label=server,
            color=_COLOURS[server],
            xerr=[[one.median - one.low for one in spreads], [one.high - one.median for one in spreads]],
            error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": "#333333"},
        )
    axes.set_yticks(range(len(results.rounds)), list(results.rounds))
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
