"""Helm, built once from its Go module and kept in the cache."""

import platform
from pathlib import Path

from clusterlib.build import Order, cache_key, ensure_built, module_files, module_version
from clusterlib.golang import find_go
from clusterlib.paths import HELM_MODULE_DIR, MODULE_DIR, cache_root
from clusterlib.progress import Progress

PACKAGE = "helm.sh/helm/v3/cmd/helm"
_RELEASE = "helm.sh/helm/v3"


def ensure_helm(progress: Progress, module: Path = HELM_MODULE_DIR) -> Path:
    """The program, from the cache or built now (a minute or two, the first time); raises BuildError."""
    go = find_go(progress)
    flags = link_flags(module_version(module, _RELEASE), module_version(MODULE_DIR, "k8s.io/kubernetes"))
    machine = f"{platform.system()}/{platform.machine()}"
    program = cache_root() / "helm" / cache_key(module_files(module), go.version, machine, flags, PACKAGE) / "helm"
    ensure_built([Order(program, module, PACKAGE, flags)], go, "a minute or two on 2 cores", progress)
    return program


def link_flags(version: str, kubernetes: str) -> str:
    """What the linker is told (as Helm's own Makefile does): without it, `helm template` is for Kubernetes 1.20."""
    major, minor, *_ = kubernetes.removeprefix("v").split(".")
    stamped = [
        f"-X {_RELEASE}/pkg/{package}.k8sVersion{part}={value}"
        for package in ("chartutil", "lint/rules")
        for part, value in (("Major", major), ("Minor", minor))
    ]
    return " ".join(["-s -w", f"-X {_RELEASE}/internal/version.version={version}", *stamped])
