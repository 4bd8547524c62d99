"""Starting and stopping the parts of an embedded cluster.

Whatever is started is written into the record before anything else happens, so that a launcher that is killed
leaves nothing behind that ``down`` does not find.
"""

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

from clusterlib import kubeconfig, ports, processes, record
from clusterlib.components import ADDRESS_IN_USE, CONTROL_PLANE, Component, Plan
from clusterlib.errors import StartError, StopError
from clusterlib.files import tail, write_private
from clusterlib.node import network
from clusterlib.node.machine import search_path
from clusterlib.node.parts import NODE_PARTS, NODE_USERS
from clusterlib.paths import ClusterDir
from clusterlib.processes import Identity
from clusterlib.progress import Progress
from clusterlib.record import Record

_ATTEMPTS = 4
"""How often another port is tried; each failure needs a stranger to take a random port within milliseconds."""

_GRACE = 5.0
"""Seconds between asking and killing."""


class _PortTakenError(Exception):
    """Somebody was quicker."""


@dataclasses.dataclass
class Launcher:
    """One start of one cluster. *record* follows what is running."""

    folder: ClusterDir
    record: Record
    progress: Progress
    components: tuple[Component, ...] = ()

    def __post_init__(self) -> None:
        """Without *components*, those that the record asks for."""
        self.components = self.components or components_of(self.record)

    def start(self) -> None:
        """Start all parts, one after the other, and wait for each; raises StartError, and then nothing runs."""
        try:
            for component in self.components:
                self._start(component)
            self._update(self.record.became_ready())
        except BaseException:
            self.progress.say(f"cluster {self.folder.name}: stopping what was started")
            with processes.uninterrupted():
                stop_all(self.folder, self.record)
            raise

    def _start(self, component: Component) -> None:
        if component.name in self.record.pids:
            # A survivor of a cluster that is healed.
            self._wait_until_ready(component, time.monotonic(), _size(self.folder, component.name))
            return
        for _ in range(_ATTEMPTS):
            self._choose_port(component)
            began = time.monotonic()
            log_before = _size(self.folder, component.name)
            self._spawn(component)
            try:
                self._wait_until_ready(component, began, log_before)
            except _PortTakenError:
                self._forget_port(component.name)
                continue
            return
        raise StartError(
            f"cluster {self.folder.name}: {component.name} found no free port on {ports.LOOPBACK} in {_ATTEMPTS} "
            "attempts. Look with `ss -ltn` whether something takes them all, then run it again."
        )

    def _choose_port(self, component: Component) -> None:
        # A healed cluster keeps its ports if it can: kubeconfigs in other hands stay good.
        port = component.port if self.record.node else self.record.ports.get(component.name, 0)
        if not self.record.node and (not port or not ports.is_free(port)):
            port = ports.free_port()
        self._update(dataclasses.replace(self.record, ports=self.record.ports | {component.name: port}))
        if component.name == "kube-apiserver":
            write_kubeconfigs(self.folder, self._plan().url("kube-apiserver"), node=self.record.node is not None)

    def _forget_port(self, name: str) -> None:
        kept = {other: port for other, port in self.record.ports.items() if other != name}
        self._update(dataclasses.replace(self.record, ports=kept))

    def _spawn(self, component: Component) -> None:
        plan = self._plan()
        within = network.enter(self.folder.label) if self.record.node else []
        argv = [*within, component.path(plan), *component.arguments(plan)]
        try:
            component.prepare(plan)
            with processes.uninterrupted():
                pid = processes.spawn(argv, self.folder.log(component.name), _environment())
                self._update(dataclasses.replace(self.record, pids=self.record.pids | {component.name: pid}))
        except OSError as error:
            raise StartError(
                f"cluster {self.folder.name}: {component.name} cannot be run: {error}. "
                f"Delete {Path(component.path(plan)).parent} to have it built again."
            ) from error

    def _wait_until_ready(self, component: Component, began: float, log_before: int) -> None:
        pid = self.record.pids[component.name]
        plan = self._plan()
        while not component.is_ready(plan):
            seconds = time.monotonic() - began
            status = processes.exit_status(pid)
            if status is not None:
                self._explain_exit(component, status, seconds, log_before)
            if seconds > component.patience:
                raise StartError(self._explain(component, f"it was not ready after {seconds:.0f} s"))
            if seconds > 1:
                self.progress.step(f"cluster {self.folder.name}: waiting for {component.name}, {seconds:.0f} s")
            time.sleep(0.05)

    def _explain_exit(self, component: Component, status: int, seconds: float, log_before: int) -> None:
        written = self.folder.log(component.name).read_bytes()[log_before:]
        if ADDRESS_IN_USE.encode() in written:
            raise _PortTakenError
        how = f"with status {status}" if status >= 0 else f"by {signal.Signals(-status).name}"
        raise StartError(self._explain(component, f"it ended {how} after {seconds:.1f} s"))

    def _explain(self, component: Component, what: str) -> str:
        log = self.folder.log(component.name)
        lines = "\n".join(f"  | {line[:400]}" for line in tail(log)) or "  | (it wrote nothing)"
        given = " ".join(self.record.options.apiserver_args)
        hint = f"Check --apiserver-arg ({given}) first. " if given and component.name == "kube-apiserver" else ""
        return (
            f"cluster {self.folder.name}: {component.name} did not start: {what}.\n"
            f"The end of {log}:\n{lines}\n"
            f"{hint}Nothing of this cluster was left running; run `hack/cluster up` again once the cause is gone."
        )

    def _plan(self) -> Plan:
        return plan_of(self.folder, self.record)

    def _update(self, changed: Record) -> None:
        self.record = changed
        record.save(self.folder, changed)


def components_of(known: Record) -> tuple[Component, ...]:
    """The parts of a cluster, in the order of starting."""
    return (*CONTROL_PLANE, *NODE_PARTS) if known.node else CONTROL_PLANE


def plan_of(folder: ClusterDir, known: Record) -> Plan:
    """All that decides how the parts of a cluster are started."""
    return Plan(folder, known.ports, known.options, known.binaries, known.node)


def write_kubeconfigs(folder: ClusterDir, server: str, *, node: bool) -> None:
    """Write the kubeconfigs of the administrator and of the parts for an API server at the URL *server*."""
    paths = {"admin": folder.kubeconfig} | {
        user: folder.kubeconfig_of(user) for user in ("controller-manager", *(NODE_USERS if node else ()))
    }
    for user, path in paths.items():
        content = kubeconfig.render(context=f"mintls-{folder.name}", server=server, user=user, pki_folder=folder.pki)
        write_private(path, content)


def identities(folder: ClusterDir, known: Record) -> dict[str, Identity]:
    """How the processes of a cluster are recognised, by component."""
    # The trailing slash: cluster "a" must not take the processes of cluster "ab" for its own.
    plan = plan_of(folder, known)
    return {
        component.name: Identity(known.pids[component.name], binary=component.path(plan), folder=f"{folder.root}/")
        for component in components_of(known)
        if component.name in known.pids
    }


def surviving(folder: ClusterDir, known: Record) -> dict[str, int]:
    """The node's servers that still run, by process id: they carry pods, which need no restart of theirs."""
    running = identities(folder, known)
    return {
        part.name: running[part.name].pid
        for part in NODE_PARTS
        if part.name in running and running[part.name].is_alive()
    }


def stop_all(folder: ClusterDir, known: Record, keep: Collection[str] = ()) -> None:
    """Stop what runs of a cluster, but for *keep*, and wait until its ports are free; raises StopError.

    The API server before etcd: without its store it lingers until its grace is over, so then it gets none.
    """
    alive = {name: process for name, process in identities(folder, known).items() if process.is_alive()}
    alive = {name: process for name, process in alive.items() if name not in keep}
    grace = _GRACE if "etcd" in alive else 0
    for component in reversed(components_of(known)):
        stubborn = processes.stop([alive[component.name]] if component.name in alive else [], grace)
        if stubborn:
            raise StopError(
                f"cluster {folder.name}: {component.name} (process {stubborn[0].pid}) is still there after SIGKILL. "
                "It may hang in the kernel: look at its state with `ps`, then run `hack/cluster down` again."
            )
    # A port that is held beyond this is a stranger's by now; the next start chooses another.
    if not known.node:
        ports.wait_until_free([port for name, port in known.ports.items() if name in alive], seconds=5)


def _environment() -> dict[str, str]:
    # Not the caller's: ETCD_* would configure etcd, proxy variables would divert the API server's webhook calls.
    kept = {key: os.environ[key] for key in ("HOME", "TMPDIR", "LANG") if key in os.environ}
    return kept | {"PATH": search_path()}


def _size(folder: ClusterDir, component: str) -> int:
    with contextlib.suppress(FileNotFoundError):
        return folder.log(component).stat().st_size
    return 0
