"""cert-manager's controllers, built once from its Go module and kept in the cache, and its kinds."""

import platform
from dataclasses import dataclass
from pathlib import Path

from clusterlib.build import Order, cache_key, ensure_built, module_files
from clusterlib.golang import find_go, module_source
from clusterlib.paths import CERT_MANAGER_MODULE_DIR, cache_root
from clusterlib.progress import Progress

PACKAGE = "mintls.dev/hack/cert-manager/controller"
_RELEASE = "github.com/cert-manager/cert-manager"


@dataclass(frozen=True)
class CertManager:
    """Where the program and the CustomResourceDefinitions are."""

    controller: Path
    kinds: Path


def ensure_cert_manager(progress: Progress, module: Path = CERT_MANAGER_MODULE_DIR) -> CertManager:
    """The program, from the cache or built now (minutes, the first time); raises BuildError."""
    go = find_go(progress)
    machine = f"{platform.system()}/{platform.machine()}"
    folder = cache_root() / "cert-manager" / cache_key(module_files(module), go.version, machine, PACKAGE)
    order = Order(folder / "controller", module, PACKAGE, "-s -w")
    ensure_built([order], go, "3 to 5 minutes on 2 cores", progress)
    return CertManager(order.target, cert_manager_kinds(progress, module))


def cert_manager_kinds(progress: Progress, module: Path = CERT_MANAGER_MODULE_DIR) -> Path:
    """The folder of its CustomResourceDefinitions; raises BuildError."""
    return module_source(find_go(progress), module, _RELEASE) / "deploy" / "crds"
