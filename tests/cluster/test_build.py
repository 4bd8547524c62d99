from pathlib import Path

import pytest

from clusterlib import build, pypi
from clusterlib.build import cache_key, link_flags, module_version
from clusterlib.errors import BuildError
from clusterlib.golang import Go, find_go, is_new_enough
from clusterlib.paths import MODULE_DIR
from clusterlib.progress import Silent

from .conftest import MakeProgram

PRETENDED_GO = """
case $1 in
env) echo go1.26;;
build) echo "$@" >> {calls}; while [ "$1" != -o ]; do shift; done; echo > "$2";;
esac
"""


def test_the_cache_key_changes_with_everything_that_decides_the_build() -> None:
    keys = {
        cache_key([b"mod", b"sum"], "go1.26", "Linux"),
        cache_key([b"mod", b"other sum"], "go1.26", "Linux"),
        cache_key([b"other mod", b"sum"], "go1.26", "Linux"),
        cache_key([b"mod", b"sum"], "go1.27", "Linux"),
        cache_key([b"mod", b"sum"], "go1.26", "Darwin"),
        cache_key([b"mods", b"um"], "go1.26", "Linux"),
    }
    assert len(keys) == 6


def test_the_cache_key_is_the_same_for_the_same() -> None:
    assert cache_key([b"mod", b"sum"], "go1.26") == cache_key([b"mod", b"sum"], "go1.26")


def test_the_modules_versions_are_read_from_go_mod() -> None:
    assert module_version(MODULE_DIR, "k8s.io/kubernetes").startswith("v1.")
    assert module_version(MODULE_DIR, build.TARGETS["etcd"]).startswith("v3.")


def test_a_module_that_go_mod_lacks_is_named() -> None:
    with pytest.raises(BuildError, match=r"requires no version of example\.org/x"):
        module_version(MODULE_DIR, "example.org/x")


def test_every_staging_module_is_of_the_release_that_is_built() -> None:
    release = module_version(MODULE_DIR, "k8s.io/kubernetes").removeprefix("v1.")
    replaced = [line.split() for line in (MODULE_DIR / "go.mod").read_text().splitlines() if "=>" in line]
    assert replaced
    assert {line[-1] for line in replaced} == {f"v0.{release}"}


def test_clients_are_told_the_version() -> None:
    flags = link_flags("v1.35.4")
    assert "-X k8s.io/component-base/version.gitVersion=v1.35.4" in flags
    assert "version.gitMajor=1 " in flags
    assert "version.gitMinor=35" in flags


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("go1.25", True),
        ("go1.26.8", True),
        ("go1.24.11", False),
        ("go2.0", True),
        ("devel go1.27-abc", True),
        ("", False),
    ],
)
def test_go_is_new_enough_from_1_25_on(version: str, enough: bool) -> None:  # noqa: FBT001 - a table
    assert is_new_enough(version) is enough


def test_what_the_caller_set_for_other_builds_does_not_reach_this_one() -> None:
    environment = Go(Path("go"), "go1.26").environment({"GOOS": "plan9", "GOFLAGS": "-mod=vendor", "GOPROXY": "kept"})
    assert "GOOS" not in environment
    assert environment["GOFLAGS"] == "-mod=readonly"
    assert environment["GOPROXY"] == "kept"


@pytest.mark.usefixtures("programs_only_from")
class TestWithPretendedPrograms:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return tmp_path / "cache" / "mintls"

    def test_the_machines_go_is_taken_if_it_is_new_enough(self, program: MakeProgram) -> None:
        path = program("go", "echo go1.25.1")
        assert find_go(Silent()) == Go(path, "go1.25.1")

    def test_an_old_go_is_passed_over_for_that_of_pypi(
        self, program: MakeProgram, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program("go", "echo go1.19")
        newer = program("newgo", "echo go1.26.6")
        uv = program(
            "uv", f'while [ "$1" != --target ]; do shift; done; mkdir -p "$2/go/bin"; cp {newer} "$2/go/bin/go"'
        )
        monkeypatch.setattr(pypi, "UV", (str(uv),))
        found = find_go(Silent())
        assert found.version == "go1.26.6"
        assert found.program.is_relative_to(cache)

    def test_without_any_go_the_error_says_what_to_do(
        self, program: MakeProgram, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uv = program("uv", "echo no route to the registry >&2; exit 2")
        monkeypatch.setattr(pypi, "UV", (str(uv),))
        with pytest.raises(BuildError, match=r"(?s)no route to the registry.*Install Go 1\.25 or newer"):
            find_go(Silent())

    def test_a_build_that_fails_shows_the_end_of_its_log(self, program: MakeProgram) -> None:
        program(
            "go", 'case $1 in env) echo go1.26;; list) echo some/package;; build) echo "x.go:1: no" >&2; exit 1;; esac'
        )
        with pytest.raises(BuildError, match=r"(?s)etcd was not built: `go build`.*x\.go:1: no"):
            build.ensure_binaries(Silent())

    def test_a_build_leaves_four_programs_and_is_not_repeated(self, program: MakeProgram, tmp_path: Path) -> None:
        program("go", PRETENDED_GO.format(calls=tmp_path / "calls"))
        first = build.ensure_binaries(Silent())
        assert {path.name for path in first.folder.iterdir() if not path.name.endswith(".log")} == set(build.TARGETS)
        assert build.ensure_binaries(Silent()) == first
        assert len((tmp_path / "calls").read_text().splitlines()) == len(build.TARGETS)
        assert not list(first.folder.parent.glob("*.lock"))

    def test_a_node_adds_to_what_is_built(self, program: MakeProgram, tmp_path: Path) -> None:
        program("go", PRETENDED_GO.format(calls=tmp_path / "calls"))
        first = build.ensure_binaries(Silent())
        assert build.ensure_binaries(Silent(), node=True) == first
        assert all(first.path(name).is_file() for name in build.NODE_TARGETS)
        assert len((tmp_path / "calls").read_text().splitlines()) == len(build.TARGETS | build.NODE_TARGETS)
        folder = build.ensure_node_programs(Silent())
        assert {path.name for path in folder.iterdir() if not path.name.endswith(".log")} == set(build.NODE_PROGRAMS)
