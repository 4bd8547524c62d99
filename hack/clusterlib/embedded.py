"""The embedded provider: etcd, kube-apiserver and kube-controller-manager as processes on the loopback interface."""

import dataclasses
import datetime as dt
import os
import shutil
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clusterlib import pki, processes, record
from clusterlib.build import ensure_binaries, ensure_node_programs
from clusterlib.cluster import Brought, Cluster, PartStatus, State, Status
from clusterlib.components import AUDIT_POLICY, Component, Plan
from clusterlib.errors import BadRequestError, ImageError, NotRunningError
from clusterlib.files import write_private
from clusterlib.launch import Launcher, components_of, identities, plan_of, stop_all, surviving
from clusterlib.node import images, leftovers, machine, network, settings
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.processes import Identity
from clusterlib.progress import Progress
from clusterlib.record import Node, Owner, Record

NAME = "embedded"


@dataclass(frozen=True)
class Embedded:
    """Needs nothing but Go, and that only for the first start."""

    progress: Progress
    name: str = NAME

    def up(self, name: str, options: Options, *, owned: bool) -> Brought:
        """Have the cluster running; heals one that lost a part, keeping its data, ports and credentials.

        Raises BadRequestError for options that a running cluster does not have, BuildError, StartError.
        """
        folder = ClusterDir.of(name)
        with record.exclusively(folder, self.progress):
            known = record.load(folder)
            parts = inspect(folder, known) if known else ()
            if known and judge(known, parts) is State.RUNNING:
                _insist_on_same(known, options)
                return Brought(_as_cluster(folder, known), known.kubernetes, fresh=False)
            started = self._start(folder, known, options, owned=owned)
            return Brought(_as_cluster(folder, started), started.kubernetes, fresh=True)

    def down(self, name: str) -> bool:
        """Stop the cluster's processes and delete its folder; False where there was none. Raises StopError."""
        folder = ClusterDir.of(name)
        if not folder.root.exists() and not leftovers.exist(folder):
            return False
        with record.exclusively(folder, self.progress):
            known = record.load(folder)
            if known:
                stop_all(folder, known)
            _clear(folder)
        return True

    def load(self, name: str, archive: Path) -> list[str]:
        """Bring the images of *archive* to the node; returns their names. Raises ImageError, NotRunningError."""
        folder = ClusterDir.of(name)
        known = record.load(folder)
        if known is None or not known.ready:
            raise NotRunningError(f"cluster {name} is not up: run `hack/cluster up --node --name {name}`.")
        plan = plan_of(folder, known)
        if not known.node:
            raise ImageError(
                f"cluster {name} has no node to load an image into: run `hack/cluster down --name {name}`, then "
                f"`hack/cluster up --node --name {name}`."
            )
        return images.load(settings.containerd_socket(plan), archive)

    def status(self, name: str) -> Status:
        """How the cluster is; takes no lock, so it answers while another command works."""
        folder = ClusterDir.of(name)
        known = record.load(folder)
        if known is None:
            return Status(name, NAME, State.ABSENT)
        parts = inspect(folder, known)
        state = judge(known, parts)
        return Status(
            name,
            NAME,
            state,
            version=known.kubernetes,
            kubeconfig=folder.kubeconfig,
            audit_log=folder.audit_log if known.options.audit_log else None,
            uptime=time.time() - known.started if state is State.RUNNING else None,
            parts=parts,
            advice=_advise(known, state),
        )

    def find(self, name: str) -> Cluster:
        """The cluster if it was brought up; raises NotRunningError."""
        folder = ClusterDir.of(name)
        known = record.load(folder)
        if known is None or not known.ready:
            raise NotRunningError(f"cluster {name} is not up: run `hack/cluster up --name {name}`.")
        return _as_cluster(folder, known)

    def _start(self, folder: ClusterDir, known: Record | None, options: Options, *, owned: bool) -> Record:
        heals = known is not None and known.ready
        before = known if known and heals else Record(folder.name, NAME)
        wanted = options or before.options
        if heals and wanted.node != before.options.node:
            _insist_on_same(before, wanted, state="exists")
        if wanted.node:
            machine.ensure(self.progress)
        binaries = ensure_binaries(self.progress, node=wanted.node)
        programs = str(ensure_node_programs(self.progress)) if wanted.node else ""
        kept = surviving(folder, known) if known and heals and known.binaries == str(binaries.folder) else {}
        if known:
            stop_all(folder, known, keep=kept)
        node = before.node
        if not heals:
            _clear(folder)
            node = _choose_node(folder, programs) if wanted.node else None
            _lay_out(folder, node)
        starting = dataclasses.replace(
            before,
            options=wanted,
            node=dataclasses.replace(node, programs=programs) if node else None,
            # A healed cluster counts as ready all the time: were this start to fail, its data would be thrown away.
            kubernetes=binaries.kubernetes,
            etcd=binaries.etcd,
            binaries=str(binaries.folder),
            pids=kept,
            owner=Owner(os.getpid(), processes.started_at(os.getpid())) if owned else before.owner,
        )
        if heals:
            self.progress.say(f"cluster {folder.name}: not all of it ran; starting it again with the data it had")
        return self._launch(folder, starting, keep=heals)

    def _launch(self, folder: ClusterDir, starting: Record, *, keep: bool) -> Record:
        if starting.options.audit_log:
            write_private(folder.audit_policy, AUDIT_POLICY)
        record.save(folder, starting)
        launcher = Launcher(folder, starting, self.progress)
        try:
            if starting.node:
                leftovers.keep_sysctls()
                # A cable that is there has containers at its end: those of a healed cluster run on.
                if not network.exists(folder):
                    network.lay(folder, starting.node.gateway, starting.node.address)
            launcher.start()
        except BaseException as error:
            if not keep:
                with processes.uninterrupted():
                    leftovers.remove(folder)
                    if isinstance(error, KeyboardInterrupt):
                        shutil.rmtree(folder.root, ignore_errors=True)
            raise
        return launcher.record


def kill(name: str, components: Collection[str]) -> int:
    """End parts of a running cluster without asking them, as a crash does; returns how many it were."""
    folder = ClusterDir.of(name)
    known = record.load(folder)
    parts = identities(folder, known) if known else {}
    return len([each for each in components if each in parts and not processes.stop([parts[each]], grace=0)])


def inspect(folder: ClusterDir, known: Record) -> tuple[PartStatus, ...]:
    """Every part of a cluster as it is now: does its process live, does it answer."""
    plan = plan_of(folder, known)
    running = identities(folder, known)
    # At the same time: of a cluster without etcd, most answers are a time-out.
    with ThreadPoolExecutor() as pool:
        return tuple(
            pool.map(lambda component: _part(component, known, plan, running.get(component.name)), components_of(known))
        )


def _part(component: Component, known: Record, plan: Plan, process: Identity | None) -> PartStatus:
    version = known.etcd if component.name == "etcd" else "" if component.program else known.kubernetes
    port = known.ports.get(component.name)
    address = f"{plan.address}:{port}" if port else ""
    if process is None:
        return PartStatus(component.name, version, None, address, "never started")
    if not process.is_alive():
        return PartStatus(component.name, version, process.pid, address, "gone")
    condition = "ready" if component.is_ready(plan) else "not answering"
    return PartStatus(component.name, version, process.pid, address, condition)


def judge(known: Record, parts: tuple[PartStatus, ...]) -> State:
    """What the conditions of the parts make of the whole."""
    conditions = {part.condition for part in parts}
    if known.ready and conditions == {"ready"}:
        return State.RUNNING
    return State.STOPPED if conditions <= {"gone", "never started"} else State.DAMAGED


def _advise(known: Record, state: State) -> str:
    if state is State.RUNNING:
        return ""
    remove = f"`hack/cluster down --name {known.name}` removes it"
    if not known.ready:
        return f"its start is not finished, or failed: `hack/cluster up --name {known.name}` starts anew, {remove}."
    return f"`hack/cluster up --name {known.name}` starts it again with its data, {remove}."


def _insist_on_same(known: Record, options: Options, state: str = "runs") -> None:
    if options and options != known.options:
        raise BadRequestError(
            f"cluster {known.name} {state} already, with other options ({known.options.describe()} instead of "
            f"{options.describe()}). Run `hack/cluster down --name {known.name}` first, or use another --name."
        )


def _clear(folder: ClusterDir) -> None:
    """Delete all that is there of a cluster whose servers are stopped; raises StopError, and then keeps its folder."""
    if leftovers.exist(folder):
        # Before the folder, or a mount in it is emptied with it.
        leftovers.remove(folder)
    shutil.rmtree(folder.root, ignore_errors=True)


def _choose_node(folder: ClusterDir, programs: str) -> Node:
    gateway, address = network.choose_addresses(folder.mark, network.taken_addresses())
    return Node(address, gateway, programs)


def _lay_out(folder: ClusterDir, node: Node | None) -> None:
    folder.root.mkdir(parents=True, mode=0o700)
    pki.create_pki(folder.pki, dt.datetime.now(dt.UTC), node.address if node else None)


def _as_cluster(folder: ClusterDir, known: Record) -> Cluster:
    return Cluster(
        name=folder.name,
        provider=NAME,
        kubeconfig=folder.kubeconfig,
        kubectl_path=Path(known.binaries) / "kubectl",
        audit_log=folder.audit_log if known.options.audit_log else None,
        kubectl_cache=folder.root / "kubectl-cache",
    )
