"""What a run prints: figures by scenario, then the targets."""

from collections.abc import Iterator

from bench.operatorresults import OperatorResults
from bench.results import BASE, FLOOR, OURS, PEER, Results, Spread, Target, table


def targets(issuer_results: Results, operator_results: OperatorResults) -> str:
    """The targets of both parts, met or not."""
    parts = (("issuer", issuer_targets(issuer_results)), ("operator", operator_results.targets()))
    rows = [(part, *target.row()) for part, targets in parts for target in targets]
    met = sum(row[-1] == "yes" for row in rows)
    return "\n\n".join([table(("part", "target", "measured", "wanted", "met"), rows), f"{met} of {len(rows)} are met."])


def issuer(results: Results) -> str:
    """The tables of a run of the issuer."""
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    rounds = len(next(iter(results.rounds.values()))[OURS])
    first = next(iter(results.rounds.values()))
    servers = (OURS, *(server for server in (PEER, FLOOR, BASE) if server in first))
    rates = ("scenario", *servers, *(f"{OURS} / {other}" for other in servers[1:]))
    singles = [(name, f"{value:,.1f}") for name, value in results.single.items()]
    targets = [target.row() for target in issuer_targets(results)]
    return "\n\n".join(
        [
            f"{machine}; {rounds} rounds. Median (smallest to largest); a ratio is of the same round.",
            "Answers for each second of the server's processor time: what it does on one core that it has alone.",
            table(rates, (_row(results, scenario, "per_cpu", servers) for scenario in results.rounds)),
            "Answers a second by the clock.",
            table(rates, (_row(results, scenario, "rate", servers) for scenario in results.rounds)),
            "99th percentile in milliseconds by the clock.",
            table(rates, (_row(results, scenario, "p99_ms", servers) for scenario in results.rounds)),
            table(("once", "figure"), singles),
            table(("target", "measured", "wanted", "met"), targets),
        ]
    )


def issuer_targets(results: Results) -> Iterator[Target]:
    """The targets, with what this run says of them."""
    for connections in ("1 connection", "32 connections", "256 connections"):
        scenario = f"keep-alive, {connections}"
        yield Target(f"tokens/s, {scenario}, against the peer", results.ratio(scenario, OURS, PEER, "per_cpu"), 2.5)
        yield Target(f"tokens/s, {scenario}, of the empty 200", results.ratio(scenario, OURS, FLOOR, "per_cpu"), 0.6)
        p99 = results.ratio(scenario, OURS, PEER, "p99_ms")
        yield Target(f"p99, {scenario}, against the peer", p99, 0.5, at_most=True)
    handshakes = results.ratio("a handshake per request", OURS, PEER, "per_cpu")
    yield Target("handshakes/s against the peer", handshakes, 1.5)
    churn = results.ratio(
        "all clients, 20 requests a connection",
        OURS,
        OURS,
        "per_cpu",
        other_scenario="one client, 20 requests a connection",
    )
    yield Target("tokens/s by all clients against one", churn, 0.9)
    yield from _memory_and_start(results.single)


def _memory_and_start(single: dict[str, float]) -> Iterator[Target]:
    many, more = "MiB of mintls with 10,000 clients", "MiB of mintls with 20,000 clients"
    if many in single:
        ready = single["seconds until mintls was ready with 10,000 clients"]
        yield Target("memory with 10,000 clients", Spread.of([single[many]]), 120, "MiB", at_most=True)
        yield Target("ready with 10,000 clients", Spread.of([ready]), 5, "s", at_most=True)
    if more in single:
        each = (single[more] - single[many]) * 1024 / 10_000
        yield Target("memory for a further client", Spread.of([each]), 10, "KiB", at_most=True)


def _row(results: Results, scenario: str, figure: str, servers: tuple[str, ...]) -> tuple[str, ...]:
    there = results.rounds[scenario]
    figures = [str(results.spread(scenario, server, figure)) if server in there else "" for server in servers]
    others = [str(results.ratio(scenario, OURS, other, figure)) if other in there else "" for other in servers[1:]]
    return scenario, *figures, *others
