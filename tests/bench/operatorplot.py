"""The picture of a run of the operator: what a certificate takes of each program, with its spread, as SVG."""

from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

from bench.operatorresults import BASE, OURS, PEER, OperatorResults

_COLOURS = {OURS: "#1f6f5c", PEER: "#c98a2b", BASE: "#7a8a99"}
_PANELS = (
    ("rate", "certificates a second"),
    ("writes", "writes for each certificate"),
    ("cpu_ms", "processor time for each certificate, ms"),
)


def draw(results: OperatorResults, path: Path) -> None:
    """Write the picture; equal results give equal bytes."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "mintls"
    mpl.rcParams["svg.fonttype"] = "none"
    rows = [
        (f"{program}, {outcomes[0].count:,} at once", program, scenario)
        for scenario, programs in results.bursts.items()
        for program, outcomes in programs.items()
    ]
    figure, panels = plt.subplots(1, len(_PANELS), figsize=(11, 0.5 * len(rows) + 1.4), sharey=True)
    for axes, (figure_name, title) in zip(panels, _PANELS, strict=True):
        spreads = [results.spread(scenario, program, figure_name) for _, program, scenario in rows]
        axes.barh(
            range(len(rows)),
            [spread.median for spread in spreads],
            0.6,
            color=[_COLOURS[program] for _, program, _ in rows],
            xerr=[[one.median - one.low for one in spreads], [one.high - one.median for one in spreads]],
            error_kw={"elinewidth": 0.8, "capsize": 2, "ecolor": "#333333"},
        )
        axes.set_title(title, fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(rows)), [label for label, _, _ in rows])
    panels[0].invert_yaxis()
    figure.suptitle(f"Certificates in a burst, {results.machine['cpu']}, commit {results.machine['commit']}")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
