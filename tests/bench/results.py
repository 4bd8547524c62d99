"""Figures of many rounds, the ratios between them, and the targets of the project."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.load import Outcome

OURS, PEER, FLOOR, BASE = "mintls", "oidc-provider", "empty 200", "base"
"""What is measured: Mintls' issuer, the peer, an empty answer of Mintls' server, and the issuer of another commit."""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of several rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Of at least one value."""
        found = list(values)
        return cls(median(found), min(found), max(found))

    def __str__(self) -> str:
        digits = 0 if self.median >= 100 else 1 if self.median >= 10 else 2
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f} to {self.high:,.{digits}f})"


@dataclass(frozen=True)
class Target:
    """What was aimed at. ``bound`` is a lower one, or an upper one where ``at_most``."""

    name: str
    measured: Spread
    bound: float
    unit: str = ""
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether the median keeps to it."""
        return self.measured.median <= self.bound if self.at_most else self.measured.median >= self.bound

    def row(self) -> tuple[str, str, str, str]:
        """Name, figure, target, and whether it is met."""
        sign = "at most" if self.at_most else "at least"
        unit = f" {self.unit}" if self.unit else ""
        return self.name, f"{self.measured}{unit}", f"{sign} {self.bound:g}{unit}", "yes" if self.met else "no"


@dataclass
class Results:
    """All of a run. ``rounds[scenario][server]`` has an outcome for each round, in their order."""

    machine: Mapping[str, str]
    rounds: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    single: dict[str, float] = field(default_factory=dict)

    def add(self, scenario: str, server: str, outcome: Outcome) -> None:
        """Keep the outcome of one round."""
        self.rounds.setdefault(scenario, {}).setdefault(server, []).append(outcome)

    def spread(self, scenario: str, server: str, figure: str) -> Spread:
        """A figure of an ``Outcome`` over the rounds."""
        return Spread.of(getattr(outcome, figure) for outcome in self.rounds[scenario][server])

    def ratio(self, scenario: str, ours: str, other: str, figure: str = "rate", other_scenario: str = "") -> Spread:
        """How many times the other's figure ours is, round by round: what slowed both in one round falls out."""
        mine, theirs = self.rounds[scenario][ours], self.rounds[other_scenario or scenario][other]
        return Spread.of(getattr(a, figure) / getattr(b, figure) for a, b in zip(mine, theirs, strict=True))

    @classmethod
    def read(cls, path: Path) -> "Results":
        """What ``save`` wrote."""
        whole = json.loads(path.read_text())
        found = cls(whole["machine"], single=whole["single"])
        for scenario, servers in whole["rounds"].items():
            for server, outcomes in servers.items():
                for one in outcomes:
                    found.add(scenario, server, Outcome(answers=0, requests=0, seconds=0, errors={}, sample="", **one))
        return found

    def save(self, path: Path) -> None:
        """Write everything as JSON, without the tokens that came."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rounds = {
            scenario: {server: [_figures(outcome) for outcome in outcomes] for server, outcomes in by_server.items()}
            for scenario, by_server in self.rounds.items()
        }
        whole = {"machine": dict(self.machine), "rounds": rounds, "single": self.single}
        path.write_text(json.dumps(whole, indent=1) + "\n")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table with columns of even width, which a terminal shows as well."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    printed = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([printed[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *printed[1:]])


def _figures(outcome: Outcome) -> dict[str, float]:
    return {name: getattr(outcome, name) for name in ("rate", "per_cpu", "p50_ms", "p99_ms", "max_ms")}
