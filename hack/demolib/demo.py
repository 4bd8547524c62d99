"""The demo from its beginning to its end."""

import os
import shlex
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clusterlib import existing as existing_provider
from clusterlib import processes, providers
from clusterlib.cluster import Cluster
from clusterlib.files import tail, write_private
from clusterlib.options import Options
from clusterlib.progress import Progress
from clusterlib.session import remove_abandoned
from demolib import existing, record, servers, story
from demolib.console import Console
from demolib.errors import DemoError, OccupiedError
from demolib.place import ROOT, Place
from demolib.record import Record
from demolib.servers import PARTS, Addresses
from demolib.steps import Runner
from demolib.story import Scene
from demolib.tools import ensure_tools


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked of the demo.

    Attributes:
        provider: Where the cluster comes from; ``None`` for whatever there is.
        keep: Whether it goes on running at the end.
        tour: Whether the scripts of docs/examples are gone through, too.
        token_within: For how many seconds after ``kubectl apply`` the first token may keep people waiting.
    """

    provider: str | None = None
    keep: bool = False
    tour: bool = False
    token_within: float = 10.0


class Demo:
    """One run of the demo."""

    def __init__(self, place: Place, wishes: Wishes, console: Console) -> None:
        """Prepare; nothing is done yet."""
        self._place = place
        self._wishes = wishes
        self._console = console
        self._progress = Progress(console.stream)

    def run(self) -> None:
        """Show everything.

        What was started is ended whatever happens; with ``keep`` only an interrupt ends it, so that a failure can be
        looked at.

        Raises:
            DemoError: It did not come out as expected.
            ClusterError: There is no cluster to be had.
        """
        began = time.monotonic()
        make_way(self._place, self._console)
        ensure_tools(self._console)
        make_folder(self._place)
        try:
            runner = self._play()
        except DemoError:
            self._after_failure()
            raise
        except BaseException:
            take_down(self._place, self._console)
            raise
        if not self._wishes.keep:
            take_down(self._place, self._console)
        for line in runner.measured:
            self._console.passed(line)
        self._console.passed(f"the demo: {runner.done} steps as expected, {time.monotonic() - began:.1f} s in all")

    def _after_failure(self) -> None:
        self._show_logs()
        begun = record.load(self._place.record) is not None
        if begun and self._wishes.keep:
            self._console.say("\nIt is kept as it is; `make demo-down` ends it.")
        else:
            take_down(self._place, self._console, keep_folder=begun)

    def _play(self) -> Runner:
        cluster = self._cluster()
        addresses = servers.free_addresses()
        environment = _environment(cluster, self._place)
        write_private(self._place.env, _env_file(environment, addresses, self._place))
        scene = Scene(
            tree=os.path.relpath(ROOT, self._place.folder),
            issuer_url=addresses.issuer_url,
            mtls_url=addresses.mtls_url,
            token_within=self._wishes.token_within,
        )
        runner = Runner(self._console, self._place.folder, environment, self._require_alive)
        self._console.heading("Mintls: what an administrator installs")
        self._console.say(f"Commands run in {self._place.folder}, after `. ./env`, which names the cluster.")
        runner.run(story.install(scene))
        if self._wishes.tour:
            runner.run(story.install_tour())
        self._start_servers(runner, addresses, environment)
        self._console.heading("Two objects, and a token")
        runner.run(story.quickstart(scene))
        self._console.heading("What the token is")
        runner.run(story.token(scene))
        self._console.heading("Who gets none")
        runner.run(story.refusals(scene))
        self._console.heading("A Secret that is deleted comes back")
        runner.run(story.recovery())
        if self._wishes.tour:
            self._console.heading("The tour: what else clients, proxies and resources do")
            runner.run(story.tour(scene))
        self._console.heading("The end")
        if self._wishes.keep:
            self._tell_what_runs(addresses, environment)
        return runner

    def _cluster(self) -> Cluster:
        """Have a cluster, and write down that there is one before anything is brought to it."""
        self._console.heading("A Kubernetes API")
        name = self._place.name
        # Without KUBECONFIG: what is done to a cluster here is not for whatever it happens to name; it has to be
        # asked for.
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        provider, reason = providers.provider_for(
            name, asked=self._wishes.provider, environment=environment, progress=self._progress
        )
        self._console.command(f"hack/cluster up --name {name} --provider {provider.name}", f"Because {reason}.")
        remove_abandoned(self._progress)
        if provider.name != existing_provider.NAME:
            provider.down(name)  # one that an interrupted demo left
        began = time.monotonic()
        brought = provider.up(name, Options(), owned=not self._wishes.keep)
        cluster = brought.cluster
        if provider.name == existing_provider.NAME:
            existing.require_clear(cluster)
        known = Record(
            provider=provider.name,
            kubeconfig=str(cluster.kubeconfig),
            kubectl=str(cluster.kubectl_path),
            folder=str(self._place.folder),
            kept=self._wishes.keep,
        )
        record.save(self._place.record, known)
        self._console.passed(f"Kubernetes {brought.version} ({time.monotonic() - began:.1f} s)")
        return cluster

    def _start_servers(self, runner: Runner, addresses: Addresses, environment: Mapping[str, str]) -> None:
        self._console.heading("Operator and issuer")
        for part in PARTS:
            runner.run([story.credentials(part, hours=720 if self._wishes.keep else 24)])
            with processes.uninterrupted():
                known = self._known()
                command = servers.command_of(part, self._place, addresses, tour=self._wishes.tour)
                pid = servers.start(part, command, self._place, environment, self._console)
                record.save(self._place.record, known.with_process(part, pid))
        for part in reversed(PARTS):
            runner.run([story.ready(part, addresses.readiness(part))])

    def _known(self) -> Record:
        known = record.load(self._place.record)
        if known is None:
            raise DemoError(f"{self._place.record} is gone: somebody ended this demo")
        return known

    def _require_alive(self) -> None:
        known = self._known()
        for part, process in zip(known.pids, known.identities(), strict=True):
            servers.require_alive(part, process, self._place)

    def _show_logs(self) -> None:
        for part in (*PARTS, "openssl"):
            lines = tail(self._place.log(part), 8)
            if lines:
                self._console.say(f"\nThe end of {self._place.log(part)}:")
                self._console.output("\n".join(lines))

    def _tell_what_runs(self, addresses: Addresses, environment: Mapping[str, str]) -> None:
        self._console.say(
            f"It goes on running until `make demo-down`.\n\n"
            f"  KUBECONFIG  {environment['KUBECONFIG']}\n"
            f"  issuer      {addresses.issuer_url}\n"
            f"  mTLS        {addresses.mtls_url}\n"
            f"  CA file     {self._place.folder / 'billing' / 'ca.crt'}\n\n"
            f"For a shell: . {_shown(self._place.env)}\n"
        )


def make_way(place: Place, console: Console) -> None:
    """End what a demo left that was killed.

    Raises:
        OccupiedError: One is running, or is kept.
    """
    known = record.load(place.record)
    if known is None:
        return
    if known.owner_lives():
        raise OccupiedError(f"process {known.owner} shows the demo already: wait for its end, or end it")
    if known.kept:
        raise OccupiedError("a demo was kept and may still be running: `make demo-down` ends it")
    console.say("an earlier demo was killed; ending what it left")
    take_down(place, console)


def make_folder(place: Place) -> None:
    """Begin with an empty folder that only its owner can read: keys will be in it.

    Raises:
        OccupiedError: There is a folder, and it is not one that a demo made.
    """
    os.umask(0o077)
    if place.folder.exists():
        if any(place.folder.iterdir()) and not place.env.exists():
            raise OccupiedError(f"{place.folder} has files in it that no demo made: name another folder")
        shutil.rmtree(place.folder)
    place.folder.mkdir(parents=True)
    place.env.touch()


def take_down(place: Place, console: Console, *, keep_folder: bool = False) -> bool:
    """End the processes and the cluster, and delete the files; ``False`` where there was nothing.

    Args:
        place: Where the demo is.
        console: Is told.
        keep_folder: Whether the logs are still wanted.

    Raises:
        DemoError: A process outlived its kill, or an existing cluster could not be cleaned.
        ClusterError: The cluster could not be taken down.
    """
    known = record.load(place.record)
    if known is not None:
        console.say("\nending operator, issuer and cluster")
        survivors = servers.stop(known.identities())
        if survivors:
            raise DemoError(f"process {', '.join(str(one.pid) for one in survivors)} outlived its kill: end it by hand")
        if known.provider == existing_provider.NAME:
            existing.remove(known.kubectl, known.kubeconfig, console.say)
        else:
            providers.make(known.provider, Progress(console.stream)).down(place.name)
        place.record.unlink(missing_ok=True)
    folder = Path(known.folder) if known else place.folder
    if not keep_folder and (folder / place.env.name).exists():
        shutil.rmtree(folder)
    return known is not None


def _environment(cluster: Cluster, place: Place) -> dict[str, str]:
    """The environment for commands: the cluster, its kubectl, and this tree's Python."""
    environment = cluster.environment()
    folders = (str(cluster.kubectl_path.parent), str(place.mintls.parent))
    environment["PATH"] = os.pathsep.join([*folders, environment.get("PATH", os.defpath)])
    for name in ("PYTHONPATH", "MINTLS_ISSUER_URL", "MINTLS_MTLS_URL", "MINTLS_TRUST_DOMAIN"):
        environment.pop(name, None)
    return environment


def _env_file(environment: Mapping[str, str], addresses: Addresses, place: Place) -> str:
    folders = environment["PATH"].split(os.pathsep)[:2]
    values = {
        **{name: environment[name] for name in ("KUBECONFIG", "KUBECACHEDIR") if name in environment},
        "ISSUER_URL": addresses.issuer_url,
        "MTLS_URL": addresses.mtls_url,
        "CA_FILE": str(place.folder / "billing" / "ca.crt"),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    path = os.pathsep.join(shlex.quote(folder) for folder in folders)
    return "\n".join([*lines, f"export PATH={path}{os.pathsep}$PATH"]) + "\n"


def _shown(path: Path) -> str:
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
