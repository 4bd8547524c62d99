"""smallstep's step-ca, built once from its Go module and kept in the cache."""

import platform
from pathlib import Path

from clusterlib.build import Order, cache_key, ensure_built, module_files, module_version
from clusterlib.golang import find_go
from clusterlib.paths import STEP_CA_MODULE_DIR, cache_root
from clusterlib.progress import Progress

PACKAGE = "github.com/smallstep/certificates/cmd/step-ca"
_RELEASE = "github.com/smallstep/certificates"


def ensure_step_ca(progress: Progress, module: Path = STEP_CA_MODULE_DIR) -> Path:
    """The program, from the cache or built now (minutes, the first time); raises BuildError."""
    go = find_go(progress)
    flags = f"-s -w -X main.Version={module_version(module, _RELEASE).removeprefix('v')}"
    machine = f"{platform.system()}/{platform.machine()}"
    program = (
        cache_root() / "step-ca" / cache_key(module_files(module), go.version, machine, flags, PACKAGE) / "step-ca"
    )
    ensure_built([Order(program, module, PACKAGE, flags)], go, "2 to 4 minutes on 2 cores", progress)
    return program
