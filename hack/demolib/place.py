"""Where the demo keeps what."""

from dataclasses import dataclass
from pathlib import Path

from clusterlib.paths import ClusterDir, clusters_root

ROOT = Path(__file__).resolve().parent.parent.parent
"""The source tree."""

NAME = "mintls-demo"
"""The demo's own cluster; nothing else uses it."""


@dataclass(frozen=True, slots=True)
class Place:
    """The places of one demo.

    Attributes:
        name: Name of its cluster.
        folder: What a person looks at: ``env``, credentials, logs. Absolute.
    """

    name: str = NAME
    folder: Path = ROOT / ".demo"

    def __post_init__(self) -> None:
        ClusterDir.of(self.name)  # raises BadRequestError for what is no name
        object.__setattr__(self, "folder", self.folder.absolute())

    @property
    def record(self) -> Path:
        """What runs. Outside of the source tree, so that ``git clean`` cannot orphan a running process."""
        return clusters_root().parent / "demos" / f"{self.name}.json"

    @property
    def env(self) -> Path:
        """Shell file to be sourced."""
        return self.folder / "env"

    @property
    def mintls(self) -> Path:
        """The program."""
        return ROOT / ".venv" / "bin" / "mintls"

    def kubeconfig(self, part: str) -> Path:
        """Kubeconfig of operator or issuer, with the token of its service account."""
        return self.folder / f"{part}.kubeconfig"

    def log(self, part: str) -> Path:
        """What operator or issuer wrote."""
        return self.folder / f"{part}.log"
