"""Starting and stopping, with shell scripts in the place of the servers."""

import dataclasses
import datetime as dt
from pathlib import Path

import pytest

from clusterlib import launch, pki, record
from clusterlib.components import CONTROL_PLANE, Component, Plan
from clusterlib.errors import StartError
from clusterlib.launch import Launcher, stop_all
from clusterlib.paths import ClusterDir
from clusterlib.progress import Silent
from clusterlib.record import Record

from .conftest import MakeProgram, processes_naming

SERVES = 'echo started; touch "$1/ready-$(basename "$0")"; while :; do sleep 0.05; done'


def arguments(plan: Plan) -> list[str]:
    return [f"{plan.folder.root}/"]


@pytest.fixture
def launcher(folder: ClusterDir, program: MakeProgram, tmp_path: Path) -> Launcher:
    """A launcher whose three components are scripts that do what they should."""

    def pretended(component: Component) -> Component:
        program(component.name, SERVES)
        ready = folder.root / f"ready-{component.name}"
        return dataclasses.replace(component, arguments=arguments, is_ready=lambda _: ready.exists(), patience=5)

    pki.create_pki(folder.pki, dt.datetime.now(dt.UTC))
    known = Record("here", "embedded", binaries=str(tmp_path / "bin"))
    return Launcher(folder, known, Silent(), tuple(pretended(component) for component in CONTROL_PLANE))


def running(launcher: Launcher) -> list[str]:
    return processes_naming(f"{launcher.folder.root}/")


def test_a_start_writes_down_what_runs(launcher: Launcher) -> None:
    launcher.start()
    known = record.load(launcher.folder)
    assert known is not None
    assert known.ready
    assert set(known.pids) == set(known.ports) == {component.name for component in CONTROL_PLANE}
    # A shell that is about to become another program has the same command line for a moment.
    assert len(set(running(launcher))) == 3
    stop_all(launcher.folder, known)
    assert running(launcher) == []


def test_a_part_that_ends_is_named_with_its_log(launcher: Launcher, program: MakeProgram) -> None:
    program("kube-apiserver", "echo I do not like this; exit 3")
    with pytest.raises(StartError, match=r"(?s)kube-apiserver did not start: it ended with status 3.*do not like this"):
        launcher.start()
    assert running(launcher) == []


def test_a_part_that_is_killed_is_named_with_the_signal(launcher: Launcher, program: MakeProgram) -> None:
    program("etcd", "kill -9 $$")
    with pytest.raises(StartError, match="etcd did not start: it ended by SIGKILL"):
        launcher.start()


def test_a_part_that_is_never_ready_is_named(launcher: Launcher) -> None:
    first, *others = launcher.components
    launcher.components = (dataclasses.replace(first, is_ready=lambda _: False, patience=0.2), *others)
    with pytest.raises(StartError, match="etcd did not start: it was not ready"):
        launcher.start()
    assert running(launcher) == []


def test_a_part_that_is_no_program_is_named(launcher: Launcher, program: MakeProgram) -> None:
    program("kube-controller-manager", "").chmod(0o600)
    with pytest.raises(StartError, match=r"(?s)kube-controller-manager cannot be run.*Delete"):
        launcher.start()
    assert running(launcher) == []


def test_a_taken_port_is_left_for_another(launcher: Launcher, program: MakeProgram, tmp_path: Path) -> None:
    once = f"if [ ! -e {tmp_path}/tried ]; then touch {tmp_path}/tried; echo bind: address already in use; exit 1; fi"
    program("kube-apiserver", f"{once}\n{SERVES}")
    launcher.start()
    assert (tmp_path / "tried").exists()
    assert launcher.record.ready


def test_no_port_at_all_is_an_error_in_the_end(launcher: Launcher, program: MakeProgram) -> None:
    program("etcd", "echo bind: address already in use; exit 1")
    with pytest.raises(StartError, match="etcd found no free port"):
        launcher.start()


def test_a_healed_cluster_keeps_its_ports(launcher: Launcher) -> None:
    launcher.start()
    first = launcher.record
    stop_all(launcher.folder, first)
    launcher.record = dataclasses.replace(first, pids={})
    launcher.start()
    assert launcher.record.ports == first.ports


def test_an_interrupt_stops_what_was_started(launcher: Launcher) -> None:
    def interrupted(_: Plan) -> bool:
        raise KeyboardInterrupt

    first, second, third = launcher.components
    launcher.components = (first, dataclasses.replace(second, is_ready=interrupted), third)
    with pytest.raises(KeyboardInterrupt):
        launcher.start()
    assert running(launcher) == []


def test_servers_do_not_see_the_callers_settings(
    launcher: Launcher, program: MakeProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ETCD_NAME", "surprise")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    program("etcd", f"env\n{SERVES}")
    launcher.start()
    written = launcher.folder.log("etcd").read_text()
    assert "ETCD_NAME" not in written
    assert "HTTPS_PROXY" not in written


def test_a_kubeconfig_for_people_and_one_for_the_controllers(folder: ClusterDir) -> None:
    pki.create_pki(folder.pki, dt.datetime.now(dt.UTC))
    launch.write_kubeconfigs(folder, "https://127.0.0.1:1234", node=False)
    assert "https://127.0.0.1:1234" in folder.kubeconfig.read_text()
    assert folder.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert (folder.root / "controller-manager.kubeconfig").stat().st_mode & 0o777 == 0o600
