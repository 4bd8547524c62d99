"""Flux's source-controller and kustomize-controller, built once from their Go modules and kept in the cache."""

import platform
from dataclasses import dataclass
from pathlib import Path

from clusterlib.build import Order, cache_key, ensure_built, module_files
from clusterlib.golang import find_go, module_source
from clusterlib.paths import FLUX_MODULES_DIR, cache_root
from clusterlib.progress import Progress

CONTROLLERS = ("source-controller", "kustomize-controller")


@dataclass(frozen=True)
class Flux:
    """Where the programs and their CustomResourceDefinitions are."""

    folder: Path

    def program(self, controller: str) -> Path:
        """One of ``CONTROLLERS``."""
        return self.folder / controller

    def kinds(self, controller: str) -> Path:
        """The folder of the CustomResourceDefinitions of a controller."""
        return (self.folder / f"{controller}-crds").resolve()


def ensure_flux(progress: Progress, modules: Path = FLUX_MODULES_DIR) -> Flux:
    """The programs, from the cache or built now (minutes, the first time); raises BuildError."""
    go = find_go(progress)
    machine = f"{platform.system()}/{platform.machine()}"
    of_controller = {controller: modules / controller.partition("-")[0] for controller in CONTROLLERS}
    files = [content for module in of_controller.values() for content in module_files(module)]
    flux = Flux(cache_root() / "flux" / cache_key(files, go.version, machine))
    orders = [
        Order(flux.program(controller), module, _package(controller), "-s -w")
        for controller, module in of_controller.items()
    ]
    ensure_built(orders, go, "5 to 8 minutes on 2 cores", progress)
    for controller, module in of_controller.items():
        link = flux.folder / f"{controller}-crds"
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(module_source(go, module, _package(controller)) / "config" / "crd" / "bases")
    return flux


def _package(controller: str) -> str:
    return f"github.com/fluxcd/{controller}"
