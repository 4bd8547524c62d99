"""What Argo CD and Flux think of objects, by their own libraries: a program, built once and kept in the cache."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusterlib.build import Order, cache_key, ensure_built, module_files
from clusterlib.golang import find_go, module_source
from clusterlib.paths import GITOPS_MODULE_DIR, cache_root
from clusterlib.progress import Progress

PACKAGE = "mintls.dev/hack/gitops/health"


@dataclass(frozen=True)
class Opinion:
    """What both think of an object."""

    kstatus: str
    """``InProgress``, ``Failed``, ``Current``, ``Terminating``, ``NotFound`` or ``Unknown``."""
    kstatus_message: str
    argocd: str
    """``Healthy``, ``Progressing``, ``Degraded``, ``Suspended``, ``Missing``, ``Unknown``; empty: no opinion."""
    argocd_message: str


def ensure_health(progress: Progress, module: Path = GITOPS_MODULE_DIR) -> Path:
    """The program, from the cache or built now (minutes, the first time); raises BuildError."""
    go = find_go(progress)
    machine = f"{platform.system()}/{platform.machine()}"
    folder = cache_root() / "gitops" / cache_key(module_files(module), go.version, machine, PACKAGE)
    ensure_built([Order(folder / "health", module, PACKAGE, "-s -w")], go, "3 to 4 minutes on 2 cores", progress)
    return folder / "health"


def argocd_kinds(progress: Progress, module: Path = GITOPS_MODULE_DIR) -> Path:
    """The folder of Argo CD's CustomResourceDefinitions; raises BuildError."""
    return module_source(find_go(progress), module, "github.com/argoproj/argo-cd/v3") / "manifests" / "crds"


def opinions(program: Path, objects: Sequence[Mapping[str, Any]], scripts: Mapping[str, str]) -> list[Opinion]:
    """Ask for each of *objects*, with Argo CD's health *scripts* by ``GROUP/KIND``; raises CalledProcessError."""
    asked = json.dumps({"objects": objects, "scripts": scripts})
    done = subprocess.run([program], input=asked, capture_output=True, text=True, check=True)
    return [
        Opinion(one["kstatus"], one["kstatusMessage"], one["argocd"], one["argocdMessage"])
        for one in json.loads(done.stdout)
    ]
