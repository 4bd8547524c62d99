"""The binaries of a cluster, built once from Go modules and kept in the cache.

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clusterlib.errors import BuildError
from clusterlib.files import locked, tail
from clusterlib.golang import Go, find_go
from clusterlib.paths import MODULE_DIR, NODE_MODULE_DIR, cache_root
from clusterlib.progress import Progress

TARGETS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
"""Binary to package. The order is the order of building: the small one first, so that a broken set-up shows soon."""

NODE_TARGETS = {
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
}
"""What a cluster with a node has in addition; of the same module, so it is compiled in a minute."""

NODE_PROGRAMS = {name: f"mintls.dev/hack/node/{name}" for name in ("pause", "hello", "coredns")}
"""What a node needs beside Kubernetes, and what its tests run in pods; of a module of their own: CoreDNS wants other
versions of the same libraries."""

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


@dataclass(frozen=True)
class Order:
    """One program that is wanted."""

    target: Path
    """The file."""
    module: Path
    """Folder of the Go module that requires it."""
    package: str
    """Its main package."""
    link_flags: str
    """For the linker."""


def ensure_binaries(progress: Progress, module: Path = MODULE_DIR, *, node: bool = False) -> Binaries:
    """The binaries of *module*, with *node* those of a node too, from the cache or built now (minutes, the first time).

    Raises BuildError. Two processes that want the same build do it once: the other waits.
    """
    go = find_go(progress)
    folder = _folder("kubernetes", module, go, TARGETS | NODE_TARGETS)
    binaries = Binaries(folder, module_version(module, "k8s.io/kubernetes"), module_version(module, TARGETS["etcd"]))
    flags = link_flags(binaries.kubernetes)
    targets = TARGETS | NODE_TARGETS if node else TARGETS
    orders = [Order(binaries.path(name), module, package, flags) for name, package in targets.items()]
    ensure_built(orders, go, "5 to 10 minutes on 2 cores", progress)
    return binaries


def ensure_node_programs(progress: Progress, module: Path = NODE_MODULE_DIR) -> Path:
    """The folder of ``NODE_PROGRAMS``, from the cache or built now; raises BuildError."""
    go = find_go(progress)
    folder = _folder("node", module, go, NODE_PROGRAMS)
    version = module_version(module, "github.com/coredns/coredns")
    orders = [
        Order(folder / name, module, package, f"-s -w -X github.com/coredns/coredns/coremain.GitCommit={version}")
        for name, package in NODE_PROGRAMS.items()
    ]
    ensure_built(orders, go, "1 to 2 minutes on 2 cores", progress)
    return folder


def ensure_built(orders: Sequence[Order], go: Go, duration: str, progress: Progress) -> None:
    """Build those of *orders* (for one folder) that are not there yet; *duration* is what people are told to expect.

    Raises BuildError.
    """
    if not _missing(orders):
        return
    folder = orders[0].target.parent
    lock = folder.with_name(f"{folder.name}.lock")
    with locked(lock, lambda: progress.say(f"another process builds {orders[0].target.name}; waiting for it")):
        wanted = _missing(orders)
        if wanted:
            names = ", ".join(order.target.name for order in wanted)
            progress.say(f"building {names} with {go.version}: {duration}, this once")
        for number, order in enumerate(orders, start=1):
            if order in wanted:
                GoBuild(go, order, f"[{number}/{len(orders)}] {order.target.name}", progress).run()


def _missing(orders: Sequence[Order]) -> list[Order]:
    return [order for order in orders if not order.target.is_file()]


def _folder(name: str, module: Path, go: Go, packages: Mapping[str, str]) -> Path:
    machine = f"{platform.system()}/{platform.machine()}"
    return cache_root() / name / cache_key(module_files(module), go.version, machine, *packages.values())


def cache_key(module_files: Iterable[bytes], *settings: str) -> str:
    """A folder name that changes with the module's files, with the Go version and with the flags of the build."""
    digest = hashlib.sha256()
    for part in [*module_files, *(text.encode() for text in (*settings, *_FLAGS))]:
        digest.update(len(part).to_bytes(8) + part)
    return digest.hexdigest()[:16]


def module_files(module: Path) -> list[bytes]:
    """What decides which sources are built."""
    own = sorted(module.glob("*/*.go"))
    return [path.read_bytes() for path in (module / "go.mod", module / "go.sum", *own)]


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
        order: What is built.
        label: How progress is told.
        progress: Who is told.
    """

    go: Go
    order: Order
    label: str
    progress: Progress

    def run(self) -> None:
        """Build it; raises BuildError. The file appears whole."""
        began = time.monotonic()
        self.order.target.parent.mkdir(parents=True, exist_ok=True)
        stale = self._packages_to_build()
        half_done = self.order.target.with_name(f".{self.order.target.name}.new")
        command = ["build", "-v", *_FLAGS, "-ldflags", self.order.link_flags, "-o", str(half_done)]

        def show(log: Path, seconds: float) -> None:
            done = _count_packages(log)
            doing = f"compiled {done} of {stale} packages" if done < stale else f"{stale} packages compiled, linking"
            self.progress.step(f"{self.label}: {doing}, {seconds:.0f} s")

        self._go([*command, self.order.package], show)
        half_done.rename(self.order.target)
        self.progress.say(f"{self.label}: built in {time.monotonic() - began:.0f} s")

    def _packages_to_build(self) -> int:
        """How many packages are not in Go's own cache yet; fetches the modules as a side effect."""

        def show(log: Path, seconds: float) -> None:
            fetched = sum(line.startswith("go: downloading") for line in _lines(log))
            self.progress.step(f"{self.label}: fetching modules, {fetched} so far, {seconds:.0f} s")

        template = "{{if .Stale}}{{.ImportPath}}{{end}}"
        log = self._go(["list", "-deps", *_FLAGS, "-f", template, self.order.package], show)
        return _count_packages(log)

    def _go(self, arguments: list[str], show: _Show) -> Path:
        """Run go with its output in a log file; raises BuildError with the log's end."""
        log = self.order.target.with_name(f"{self.order.target.name}.{arguments[0]}.log")
        began = time.monotonic()
        with log.open("wb") as output:
            # A session of its own: go's compilers are stopped with it, whoever's Ctrl-C it was.
            process = subprocess.Popen(
                [self.go.program, *arguments],
                cwd=self.order.module,
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
            f"{self.order.target.name} was not built: `go {verb}` ({self.go.version}) ended with status {status}.\n"
            f"The end of {log}:\n{lines}\n"
            "If a module could not be fetched, check `go env GOPROXY` and the network, then run it again: what is "
            "built so far is kept. Or choose a provider that needs no build (--provider kind, --provider existing)."
        )


def _lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()


def _count_packages(log: Path) -> int:
    # `go build -v` and `go list` write one import path a line; go's own messages have blanks in them.
    return sum(bool(line) and " " not in line for line in _lines(log))
