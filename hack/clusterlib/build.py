"""The control plane's binaries, built once from Go modules and kept in the cache.

The cache folder's name is a hash of everything that decides what comes out, so a changed go.sum or another Go
builds anew, and the binaries under a running cluster are never replaced.
"""

import hashlib
import os
import platform
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from clusterlib.errors import BuildError
from clusterlib.files import locked, tail
from clusterlib.golang import Go, find_go
from clusterlib.paths import MODULE_DIR, cache_root
from clusterlib.progress import Progress

TARGETS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
"""Binary to package. The order is the order of building: the small one first, so that a broken set-up shows soon."""

type _Show = Callable[[Path, float], None]

_FLAGS = ("-trimpath", "-buildvcs=false")
_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True)
class Binaries:
    """Where the built programs are, and which releases they are."""

    folder: Path
    kubernetes: str
    etcd: str

    def path(self, name: str) -> Path:
        """The program *name*, one of ``TARGETS``."""
        return self.folder / name


def ensure_binaries(progress: Progress, module: Path = MODULE_DIR) -> Binaries:
    """The binaries of *module*, from the cache or built now (minutes, the first time).

    Raises BuildError. Two processes that want the same build do it once: the other waits.
    """
    go = find_go(progress)
    machine = f"{platform.system()}/{platform.machine()}"
    folder = cache_root() / "kubernetes" / cache_key(module_files(module), go.version, machine)
    binaries = Binaries(folder, module_version(module, "k8s.io/kubernetes"), module_version(module, TARGETS["etcd"]))
    if not missing(binaries):
        return binaries
    lock = folder.with_name(f"{folder.name}.lock")
    with locked(lock, lambda: progress.say("another process builds; waiting for it")):
        wanted = missing(binaries)
        if wanted:
            progress.say(f"building {', '.join(wanted)} with {go.version}: 5 to 10 minutes on 2 cores, this once")
        for number, name in enumerate(TARGETS, start=1):
            if name in wanted:
                flags = link_flags(binaries.kubernetes)
                label = f"[{number}/{len(TARGETS)}] {name}"
                GoBuild(go, module, binaries.path(name), TARGETS[name], flags, label, progress).run()
    return binaries


def missing(binaries: Binaries) -> list[str]:
    """The names of the binaries that are still to be built."""
    return [name for name in TARGETS if not binaries.path(name).is_file()]


def cache_key(module_files: Iterable[bytes], *settings: str) -> str:
    """A folder name that changes with the module's files, with the Go version and with the flags of the build."""
    digest = hashlib.sha256()
    for part in [*module_files, *(text.encode() for text in (*settings, *_FLAGS, *TARGETS.values()))]:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:16]


def module_files(module: Path) -> list[bytes]:
    """What decides which sources are built."""
    return [(module / name).read_bytes() for name in ("go.mod", "go.sum")]


def module_version(module: Path, path: str) -> str:
    """The version of *path* that the go.mod in *module* requires, such as ``v1.35.4``; raises BuildError."""
    found = re.search(rf"^\s*(?:require )?{re.escape(path)} (v\S+)", (module / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise BuildError(f"{module / 'go.mod'} requires no version of {path}: add it, then `go mod tidy` there.")
    return found[1]


def link_flags(version: str) -> str:
    """What the linker is told for Kubernetes *version*: without the stamps, clients see a v0.0.0.

    -s -w: no symbol tables, which nobody debugs here; the binaries are a third smaller and linked sooner.
    """
    major, minor, *_ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = [f"-X {package}.{name}={value}" for package in _STAMPED for name, value in values.items()]
    return " ".join(["-s -w", *stamps])


@dataclass
class GoBuild:
    """One binary's way from packages to a file.

    Attributes:
        go: Builds it.
        module: Folder of the Go module that requires it.
        target: The file.
        package: Its main package.
        link_flags: For the linker.
        label: How progress is told.
        progress: Who is told.
    """

    go: Go
    module: Path
    target: Path
    package: str
    link_flags: str
    label: str
    progress: Progress

    def run(self) -> None:
        """Build it; raises BuildError. The file appears whole."""
        began = time.monotonic()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        stale = self._packages_to_build()
        half_done = self.target.with_name(f".{self.target.name}.new")
        command = ["build", "-v", *_FLAGS, "-ldflags", self.link_flags, "-o", str(half_done)]

        def show(log: Path, seconds: float) -> None:
            done = _count_packages(log)
            doing = f"compiled {done} of {stale} packages" if done < stale else f"{stale} packages compiled, linking"
            self.progress.step(f"{self.label}: {doing}, {seconds:.0f} s")

        self._go([*command, self.package], show)
        half_done.rename(self.target)
        self.progress.say(f"{self.label}: built in {time.monotonic() - began:.0f} s")

    def _packages_to_build(self) -> int:
        """How many packages are not in Go's own cache yet; fetches the modules as a side effect."""

        def show(log: Path, seconds: float) -> None:
            fetched = sum(line.startswith("go: downloading") for line in _lines(log))
            self.progress.step(f"{self.label}: fetching modules, {fetched} so far, {seconds:.0f} s")

        template = "{{if .Stale}}{{.ImportPath}}{{end}}"
        log = self._go(["list", "-deps", *_FLAGS, "-f", template, self.package], show)
        return _count_packages(log)

    def _go(self, arguments: list[str], show: _Show) -> Path:
        """Run go with its output in a log file; raises BuildError with the log's end."""
        log = self.target.with_name(f"{self.target.name}.{arguments[0]}.log")
        began = time.monotonic()
        with log.open("wb") as output:
            # A session of its own: go's compilers are stopped with it, whoever's Ctrl-C it was.
            process = subprocess.Popen(
                [self.go.program, *arguments],
                cwd=self.module,
                env=self.go.environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while process.poll() is None:
                show(log, time.monotonic() - began)
                time.sleep(0.1)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        if process.returncode:
            raise BuildError(self._explain(arguments[0], process.returncode, log))
        return log

    def _explain(self, verb: str, status: int, log: Path) -> str:
        lines = "\n".join(f"  | {line}" for line in tail(log))
        return (
            f"{self.target.name} was not built: `go {verb}` ({self.go.version}) ended with status {status}.\n"
            f"The end of {log}:\n{lines}\n"
            "If a module could not be fetched, check `go env GOPROXY` and the network, then run it again: what is "
            "built so far is kept. Or choose a provider that needs no build (--provider kind, --provider existing)."
        )


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()


def _count_packages(log: Path) -> int:
    # `go build -v` and `go list` write one import path a line; go's own messages have blanks in them.
    return sum(bool(line) and " " not in line for line in _lines(log))
