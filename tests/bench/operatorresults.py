"""Figures of a run of the operator, and the targets of the project."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bench.burst import Outcome
from bench.results import Spread, Target, table

OURS, PEER, BASE = "mintls", "cert-manager", "base"
_FIGURES = ("rate", "writes", "cpu_ms", "rss_mib")


@dataclass
class OperatorResults:
    """All of a run. ``bursts[scenario][program]`` has an outcome for each round, in their order."""

    machine: Mapping[str, str]
    bursts: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    single: dict[str, float] = field(default_factory=dict)

    def add(self, scenario: str, program: str, outcome: Outcome) -> None:
        """Keep the outcome of one round."""
        self.bursts.setdefault(scenario, {}).setdefault(program, []).append(outcome)

    def spread(self, scenario: str, program: str, figure: str) -> Spread:
        """A figure of an ``Outcome`` over the rounds."""
        return Spread.of(getattr(outcome, figure) for outcome in self.bursts[scenario][program])

    def ratio(self, figure: str, other: str = PEER) -> Spread:
        """How many times the figure of another program ours is, round by round."""
        pairs = zip(self.bursts["beside"][OURS], self.bursts["beside"][other], strict=True)
        return Spread.of(getattr(ours, figure) / getattr(peer, figure) for ours, peer in pairs)

    @classmethod
    def read(cls, path: Path) -> "OperatorResults":
        """What ``save`` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {"machine": dict(self.machine), "bursts": msgspec.to_builtins(self.bursts), "single": self.single}
        path.write_text(json.dumps(whole, indent=1) + "\n")

    def text(self) -> str:
        """The tables of the run."""
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        head = ("burst", "program", "certificates", "certificates/s", "writes each", "CPU ms each", "MiB")
        singles = [(name, f"{value:,.2f}") for name, value in self.single.items()]
        targets = [target.row() for target in self.targets()]
        return "\n\n".join(
            [
                f"{machine}. Median (smallest to largest).",
                table(head, self._bursts()),
                table(("once", "figure"), singles),
                table(("target", "measured", "wanted", "met"), targets),
            ]
        )

    def _bursts(self) -> Iterator[tuple[str, ...]]:
        for scenario, programs in self.bursts.items():
            for program, outcomes in programs.items():
                spreads = (str(self.spread(scenario, program, figure)) for figure in _FIGURES)
                yield scenario, program, f"{len(outcomes)} times {outcomes[0].count:,}", *spreads
        for other in sorted(self.bursts["beside"].keys() - {OURS}):
            yield "beside", f"{OURS} / {other}", "", *(str(self.ratio(figure, other)) for figure in _FIGURES)

    def targets(self) -> Iterator[Target]:
        """The targets, with what this run says of them."""
        many = self.bursts["many"][OURS]
        yield Target("certificates/s of the peer's", self.ratio("rate"), 1)
        yield Target("certificates/s in the great burst", Spread.of(one.rate for one in many), 150)
        for name, bound, unit in _AT_MOST:
            yield Target(name, Spread.of([self.single[name]]), bound, unit, at_most=True)


_AT_MOST = (
    ("writes for each of them: Secret, status, event", 3, ""),
    ("writes at rest", 0, ""),
    ("% of a core at rest", 1, "%"),
    ("MiB of the operator with many", 120, "MiB"),
    ("s from start until everything was looked at", 6, "s"),
    ("writes of a restart, but for that object's", 0, ""),
    ("s until a new object is Ready after an outage", 1, "s"),
    ("s until a new object is Ready beside renewals", 0.5, "s"),
    ("failed token requests meanwhile", 0, ""),
    ("failed token requests by another intermediate", 0, ""),
)
"""Two writes for a certificate and at most one event: three."""
