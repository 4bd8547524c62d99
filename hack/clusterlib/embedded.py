"""The embedded provider: etcd, kube-apiserver and kube-controller-manager as processes on the loopback interface."""

import dataclasses
import datetime as dt
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from clusterlib import pki, processes, record
from clusterlib.build import ensure_binaries
from clusterlib.cluster import Brought, Cluster, PartStatus, State, Status
from clusterlib.components import AUDIT_POLICY, COMPONENTS, Component, Plan
from clusterlib.errors import BadRequestError, NotRunningError
from clusterlib.files import write_private
from clusterlib.launch import Launcher, identities, stop_all
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.processes import Identity
from clusterlib.progress import Progress
from clusterlib.record import Owner, Record

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
        if not folder.root.exists():
            return False
        with record.exclusively(folder, self.progress):
            known = record.load(folder)
            if known:
                stop_all(folder, known)
            shutil.rmtree(folder.root, ignore_errors=True)
        return True

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
        binaries = ensure_binaries(self.progress)
        heals = known is not None and known.ready
        if known:
            stop_all(folder, known)
        if not heals:
            _lay_out(folder)
        before = known if known and heals else Record(folder.name, NAME)
        starting = dataclasses.replace(
            before,
            options=options or before.options,
            # A healed cluster counts as ready all the time: were this start to fail, its data would be thrown away.
            kubernetes=binaries.kubernetes,
            etcd=binaries.etcd,
            binaries=str(binaries.folder),
            pids={},
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
            launcher.start()
        except KeyboardInterrupt:
            if not keep:
                shutil.rmtree(folder.root, ignore_errors=True)
            raise
        return launcher.record


def inspect(folder: ClusterDir, known: Record) -> tuple[PartStatus, ...]:
    """Every part of a cluster as it is now: does its process live, does it answer."""
    plan = Plan(folder, known.ports, known.options)
    running = identities(folder, known)
    # At the same time: of a cluster without etcd, most answers are a time-out.
    with ThreadPoolExecutor() as pool:
        parts = pool.map(lambda component: _part(component, known, plan, running.get(component.name)), COMPONENTS)
        return tuple(parts)


def _part(component: Component, known: Record, plan: Plan, process: Identity | None) -> PartStatus:
    version = known.etcd if component.name == "etcd" else known.kubernetes
    address = f"127.0.0.1:{known.ports[component.name]}" if component.name in known.ports else ""
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


def _insist_on_same(known: Record, options: Options) -> None:
    if options and options != known.options:
        raise BadRequestError(
            f"cluster {known.name} runs already, with other options ({known.options.describe()} instead of "
            f"{options.describe()}). Run `hack/cluster down --name {known.name}` first, or use another --name."
        )


def _lay_out(folder: ClusterDir) -> None:
    shutil.rmtree(folder.root, ignore_errors=True)
    folder.root.mkdir(parents=True, mode=0o700)
    pki.create_pki(folder.pki, dt.datetime.now(dt.UTC))


def _as_cluster(folder: ClusterDir, known: Record) -> Cluster:
    return Cluster(
        name=folder.name,
        provider=NAME,
        kubeconfig=folder.kubeconfig,
        kubectl_path=Path(known.binaries) / "kubectl",
        audit_log=folder.audit_log if known.options.audit_log else None,
        kubectl_cache=folder.root / "kubectl-cache",
    )
