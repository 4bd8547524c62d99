"""The command ``hack/demo``.

Exit status: 0 everything came out as expected, 1 something did not, 2 a wrong command line, 130 or 143 interrupted.
"""

import argparse
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from clusterlib import providers
from clusterlib.errors import ClusterError
from demolib.console import Console
from demolib.demo import Demo, Wishes, take_down
from demolib.errors import DemoError
from demolib.place import NAME, ROOT, Place


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    console = Console()
    _turn_signals_into_interrupts()
    try:
        place = Place(options.name, options.folder)
        return {"up": _up, "down": _down}[options.command](options, place, console)
    except (DemoError, ClusterError) as error:
        console.failed(f"hack/demo: {error}")
        return 1
    except KeyboardInterrupt as interrupt:
        console.say("hack/demo: interrupted; what had been started is ended")
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/demo", description="The whole chain on a real Kubernetes API.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--name", default=NAME, help=f"the demo's own cluster (default: {NAME})")
    where.add_argument("--folder", type=Path, default=ROOT / ".demo", help="for its files (default: .demo)")
    up = commands.add_parser("up", parents=[where], help="show everything, then end everything")
    up.add_argument("--keep", action="store_true", help="leave it running; `hack/demo down` ends it")
    up.add_argument("--tour", action="store_true", help="then go through the scripts of docs/examples")
    up.add_argument("--provider", choices=providers.CHOICES, help="where the cluster comes from (see docs/cluster.md)")
    up.add_argument(
        "--token-within",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long the first token may take after `kubectl apply` (default: 10)",
    )
    commands.add_parser("down", parents=[where], help="end a demo that was kept")
    return parser


def _turn_signals_into_interrupts() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
        # Only the first: what it sets off, ending everything, is not to be interrupted by an impatient second.
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    # A terminal that closes and a CI job that is cancelled clean up as Ctrl-C does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _up(options: argparse.Namespace, place: Place, console: Console) -> int:
    wishes = Wishes(
        provider=options.provider or None, keep=options.keep, tour=options.tour, token_within=options.token_within
    )
    Demo(place, wishes, console).run()
    return 0


def _down(options: argparse.Namespace, place: Place, console: Console) -> int:  # noqa: ARG001 - as the other command
    console.say("" if take_down(place, console) else "no demo is running; nothing to end")
    return 0
