"""The command ``hack/cluster``.

Exit status: 0 done (status: it runs), 1 an error, 2 a wrong command line, 3 (status) it is damaged or not there,
130 or 143 interrupted.
"""

import argparse
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType

from clusterlib import providers, record
from clusterlib.build import ensure_binaries
from clusterlib.cluster import Cluster, State, Status
from clusterlib.errors import ClusterError
from clusterlib.node.engines import exported
from clusterlib.options import Options
from clusterlib.paths import ClusterDir, recorded_clusters
from clusterlib.progress import Progress
from clusterlib.session import lives, remove_abandoned

_NOT_RUNNING = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    _turn_signals_into_interrupts()
    command = {
        "up": _up,
        "down": _down,
        "status": _status,
        "kubeconfig": _kubeconfig,
        "kubectl-path": _kubectl_path,
        "load": _load,
        "build": _build,
    }[options.command]
    progress = Progress()
    try:
        return command(options, progress)
    except ClusterError as error:
        progress.say(f"hack/cluster: {error}")
        return 1
    except KeyboardInterrupt as interrupt:
        number = interrupt.args[0] if interrupt.args else signal.SIGINT
        progress.say("hack/cluster: interrupted; what had been started is stopped")
        return 128 + int(number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hack/cluster", description="A real Kubernetes API for tests, the demo, you.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    one = _cluster_options()
    up = commands.add_parser("up", parents=[one], help="have a cluster running; heals one that lost a part")
    up.add_argument("--node", action="store_true", help="have a node that runs pods (embedded: Linux and root)")
    up.add_argument("--audit-log", action="store_true", help="embedded: log the metadata of every request")
    up.add_argument(
        "--apiserver-arg",
        action="append",
        default=[],
        metavar="FLAG",
        help="embedded: a further flag of kube-apiserver, as in --apiserver-arg=--v=4 (repeatable)",
    )
    down = commands.add_parser("down", parents=[one], help="stop it and delete what `up` made")
    down.add_argument(
        "--all", action="store_true", help="every cluster that this launcher made, but for those of running tests"
    )
    status = commands.add_parser("status", parents=[one], help="say what runs")
    status.add_argument("--all", action="store_true", help="every cluster that this launcher made")
    kubeconfig = commands.add_parser("kubeconfig", parents=[one], help="print the path of its kubeconfig")
    kubeconfig.add_argument("--raw", action="store_true", help="print the content instead of the path")
    commands.add_parser("kubectl-path", parents=[one], help="print the path of the kubectl that fits it")
    load = commands.add_parser("load", parents=[one], help="bring an image to its node, for pods to run")
    load.add_argument("image", metavar="IMAGE", help="an archive as `docker save` writes it, or the name of an image")
    commands.add_parser("build", help="build what embedded needs, and print the folder")
    return parser


def _cluster_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--name", default="default", help="which cluster (default: default)")
    parser.add_argument(
        "--provider",
        choices=providers.CHOICES,
        help=f"where it comes from (default: ${providers.VARIABLE}, else auto)",
    )
    return parser


def _turn_signals_into_interrupts() -> None:
    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature is Python's
        raise KeyboardInterrupt(number)

    # A terminal that closes and a CI job that is cancelled clean up as Ctrl-C does.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def _up(arguments: argparse.Namespace, progress: Progress) -> int:
    options = Options(node=arguments.node, audit_log=arguments.audit_log, apiserver_args=tuple(arguments.apiserver_arg))
    provider, reason = providers.provider_for(
        arguments.name, asked=arguments.provider, options=options, progress=progress
    )
    progress.say(f"cluster {arguments.name}: provider {provider.name} ({reason})")
    remove_abandoned(progress)
    began = time.monotonic()
    outcome = provider.up(arguments.name, options, owned=False)
    how = f"is ready, after {time.monotonic() - began:.1f} s" if outcome.fresh else "runs already; nothing to do"
    progress.say(f"cluster {arguments.name}: Kubernetes {outcome.version} {how}")
    print(f"export KUBECONFIG={outcome.cluster.kubeconfig}")
    return 0


def _down(arguments: argparse.Namespace, progress: Progress) -> int:
    def take_down(name: str) -> int:
        user = _running_user(name) if arguments.all else None
        if user:
            progress.say(
                f"cluster {name}: process {user} works with it; left alone (name it to take it down all the same)"
            )
            return 0
        provider, _ = providers.provider_for(name, asked=_asked(arguments), progress=progress)
        done = provider.down(name)
        progress.say(f"cluster {name}: {'stopped and removed' if done else 'nothing to take down'}")
        return 0

    return _for_each(arguments, progress, take_down)


def _running_user(name: str) -> int | None:
    """The process that the cluster is for, if it is for one and that still runs: a test session, mostly."""
    known = record.load(ClusterDir.of(name))
    return known.owner.pid if known and known.owner and lives(known.owner) else None


def _status(arguments: argparse.Namespace, progress: Progress) -> int:
    def tell(name: str) -> int:
        provider, _ = providers.provider_for(name, asked=_asked(arguments), progress=progress)
        return _print_status(provider.status(name))

    return _for_each(arguments, progress, tell)


def _for_each(arguments: argparse.Namespace, progress: Progress, act: Callable[[str], int]) -> int:
    """Act on the one cluster, or with --all on each: there, an error does not keep the others from their turn."""
    if not arguments.all:
        return act(arguments.name)
    worst = 0
    for folder in recorded_clusters():
        try:
            worst = max(worst, act(folder.name))
        except ClusterError as error:
            progress.say(f"hack/cluster: {error}")
            worst = max(worst, 1)
    return worst


def _asked(arguments: argparse.Namespace) -> str | None:
    # --all goes by what each cluster was made with.
    return providers.AUTO if arguments.all else arguments.provider


def _kubeconfig(arguments: argparse.Namespace, progress: Progress) -> int:
    path = _find(arguments, progress).kubeconfig
    print(path.read_text() if arguments.raw else path, end="" if arguments.raw else "\n")
    return 0


def _kubectl_path(arguments: argparse.Namespace, progress: Progress) -> int:
    print(_find(arguments, progress).kubectl_path)
    return 0


def _find(arguments: argparse.Namespace, progress: Progress) -> Cluster:
    provider, _ = providers.provider_for(arguments.name, asked=arguments.provider, progress=progress)
    return provider.find(arguments.name)


def _build(arguments: argparse.Namespace, progress: Progress) -> int:  # noqa: ARG001 - as the other commands
    print(ensure_binaries(progress).folder)
    return 0


def _load(arguments: argparse.Namespace, progress: Progress) -> int:
    provider, _ = providers.provider_for(arguments.name, asked=arguments.provider, progress=progress)
    with exported(arguments.image) as archive:
        for name in provider.load(arguments.name, archive):
            print(name)
    return 0


def _print_status(status: Status) -> int:
    facts = [status.provider, *([f"Kubernetes {status.version}"] if status.version else [])]
    if status.uptime is not None:
        facts.append(f"up {duration(status.uptime)}")
    print(f"cluster {status.name}: {status.state} ({', '.join(facts)})")
    for part in status.parts:
        process = f"process {part.pid}" if part.pid else ""
        print(f"  {part.name:<24} {part.condition:<14} {part.version:<9} {part.address:<21} {process}".rstrip())
    for label, path in (("kubeconfig", status.kubeconfig), ("audit log", status.audit_log)):
        if path:
            print(f"  {label:<24} {path}")
    if status.advice:
        print(f"  {status.advice}")
    return 0 if status.state is State.RUNNING else _NOT_RUNNING


def duration(seconds: float) -> str:
    """*seconds* as a person says it: its largest unit, and the next one.

    >>> duration(42), duration(192), duration(7260)
    ('42 s', '3 min 12 s', '2 h 1 min')
    """
    whole = int(seconds)
    for size, unit, smaller_size, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller_size} {smaller}"
    return f"{whole} s"
