"""``python -m bench issuer|operator``: see the Makefile's targets that begin with bench."""

import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
import uvloop

from bench import issuer as issuer_bench
from bench import load, machine, profiling, report
from bench import operator as operator_bench
from bench.cluster import kubernetes
from bench.installation import installed
from bench.operatorplot import draw as draw_operator
from bench.operatorresults import OperatorResults
from bench.plot import draw
from bench.results import Results
from builders.world import REPOSITORY
from clusterlib.errors import BuildError

_OUTPUT = REPOSITORY / "dist" / "bench"


@click.group()
def main() -> None:
    """Measure Mintls beside a peer, in the same run on the same machine."""


@main.command()
@click.option("--smoke", is_flag=True, help="A second per scenario: shows that the harness works, and nothing else.")
@click.option("--base", metavar="COMMIT", help="Measure this commit's issuer, too: so a regression is seen.")
@click.option("--output", type=click.Path(path_type=Path), default=_OUTPUT, show_default=True)
def issuer(*, smoke: bool, base: str | None, output: Path) -> None:
    """The token issuer beside node's oidc-provider."""
    size = issuer_bench.SMOKE if smoke else issuer_bench.FULL
    results = Results(machine.described())

    async def run(folder: Path) -> None:
        source = machine.checked_out(base, folder / "base") / "operator" if base else None
        async with installed(folder) as installation:
            program = load.build(folder)
            await issuer_bench.measure(installation, program, results, size, source=source)

    _measured(run, "taskset", "node", "npm", "openssl")
    name = "issuer-smoke" if smoke else "issuer"
    results.save(output / f"{name}.json")
    draw(results, output / f"{name}.svg")
    click.echo(report.issuer(results))


@main.command()
@click.option("--smoke", is_flag=True, help="A few objects: shows that the harness works, and nothing else.")
@click.option(
    "--base", metavar="COMMIT", help="Measure bursts of this commit's operator, too: so a regression is seen."
)
@click.option("--output", type=click.Path(path_type=Path), default=_OUTPUT, show_default=True)
def operator(*, smoke: bool, base: str | None, output: Path) -> None:
    """The operator beside cert-manager, and with many objects."""
    results = OperatorResults(machine.described())
    size = operator_bench.SMOKE if smoke else operator_bench.FULL

    async def run(folder: Path) -> None:
        source = machine.checked_out(base, folder / "base") / "operator" if base else None
        async with kubernetes(folder) as world:
            await operator_bench.measure(world, folder, results, size, source)

    _measured(run)
    name = "operator-smoke" if smoke else "operator"
    results.save(output / f"{name}.json")
    draw_operator(results, output / f"{name}.svg")
    click.echo(results.text())


@main.command()
@click.option("--output", type=click.Path(path_type=Path), default=_OUTPUT, show_default=True)
def targets(*, output: Path) -> None:
    """The targets of both, as the last runs have met them."""
    found = Results.read(output / "issuer.json"), OperatorResults.read(output / "operator.json")
    click.echo(report.targets(*found))


@main.command()
@click.option("--output", type=click.Path(path_type=Path), default=_OUTPUT, show_default=True)
def profile(*, output: Path) -> None:
    """Where the issuer's time goes under load."""

    async def run(folder: Path) -> str:
        async with installed(folder) as installation:
            return await profiling.profile(installation, load.build(folder))

    text = _measured(run, "taskset")
    output.mkdir(parents=True, exist_ok=True)
    (output / "issuer-profile.txt").write_text(text)
    click.echo(text)


def _measured[T](run: Callable[[Path], Coroutine[Any, Any, T]], *programs: str) -> T:
    """What a run gives, which needs these programs and has a folder of its own; the process ends if it cannot be."""
    try:
        machine.require(*programs)
        with tempfile.TemporaryDirectory(prefix="mintls-bench-") as folder:
            return uvloop.run(run(Path(folder)))
    except (machine.CannotMeasure, BuildError) as error:
        sys.exit(f"bench: {error}")


if __name__ == "__main__":
    main()
