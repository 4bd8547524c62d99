"""What is asked of the machine."""

import os
import platform
from pathlib import Path

import pytest

from clusterlib.errors import BadRequestError, ToolMissingError
from clusterlib.node import machine
from clusterlib.progress import Silent

from .conftest import MakeProgram


def test_another_system_than_linux_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(BadRequestError, match=r"needs Linux, and this is Darwin.*Without --node"):
        machine.ensure(Silent())


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BadRequestError, match=r"needs root .*uid 1000"):
        machine.ensure(Silent())


@pytest.mark.usefixtures("programs_only_from", "state_home")
class TestWithPretendedPrograms:
    @pytest.fixture(autouse=True)
    def bare(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """A machine of which nothing is known but what the test puts on it."""
        monkeypatch.setenv("XDG_CACHE_HOME", f"{tmp_path}/cache")
        monkeypatch.setattr(machine, "_SYSTEM_FOLDERS", ())
        monkeypatch.setattr(machine, "CNI_FOLDERS", ())
        monkeypatch.setattr(machine, "unfit", lambda: "")

    def test_without_apt_the_missing_are_named_with_their_packages(self, program: MakeProgram) -> None:
        program("ip", "")
        with pytest.raises(
            ToolMissingError, match=r"containerd, .*runc.*CNI plugins.*containernetworking-plugins"
        ) as e:
            machine.ensure(Silent())
        assert "iproute2" not in str(e.value)

    def test_with_apt_they_are_installed_by_package(self, program: MakeProgram, tmp_path: Path) -> None:
        program("apt-get", f'echo "$@" >> {tmp_path}/calls')
        with pytest.raises(ToolMissingError, match=r"after installing .*there is still no containerd"):
            machine.ensure(Silent())
        update, install = (tmp_path / "calls").read_text().splitlines()
        assert update.endswith(" update")
        assert install.split()[-6:] == sorted(set(machine.PROGRAMS.values()) | {machine.CNI_PACKAGE})[-6:]

    def test_what_apt_says_is_shown(self, program: MakeProgram) -> None:
        program("apt-get", "echo no space left >&2; exit 100")
        with pytest.raises(ToolMissingError, match=r"(?s)`apt-get update` ended with status 100:\nno space left"):
            machine.ensure(Silent())
