"""What people see, kept in the documents and compared with what they would see now.

Names that are random and times differ from run to run; all else has to be as the document says.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from builders.world import REPOSITORY
from clusterlib.cluster import Cluster

DOCUMENT = REPOSITORY / "docs" / "transcript.md"
WRITES = "MINTLS_WRITE_TRANSCRIPT"

_HEAD = """\
# What one sees

Commands and their output on a real node, in the order of the story that `make e2e` plays. `make e2e TRANSCRIPT=1`
writes this page; every other run compares it with what is printed now, but for times, hashes and random names.
"""

_VARYING = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b20\d{12}\b", "STAMP"),
    (r"(?<![\w-])[\w-]{43}(?![\w-])", "HASH"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UID"),
    (r"\b[0-9a-f]{16,64}\b", "HEX"),
    (r"\b(mintls-(operator|issuer))-[0-9a-z]{8,10}-[0-9a-z]{5}(_[0-9a-f]{8})?\b", r"\1-POD"),
    (r"\b\d+ (d|h|min|s)\b", "AGE"),
    (r"\b\d+(ms|s|m\d+s|m|h\d+m|h|d)\b", "AGE"),
    (r"\b(\d{1,3}\.){3}\d{1,3}\b", "ADDRESS"),
    (r'"jti":"[^"]+","expires":\d+', '"jti":"JTI","expires":N'),
    (r"(Resource Version: +)\d+", r"\1N"),
    (r"(?m)^(ok +jti +)\S+", r"\1JTI"),
    (r"[ \t]+", " "),
    # A rotation's progress: which of its steps are seen depends on how fast they follow one another.
    (r"(?m)^(not begun yet|Preparing: .*|Reissuing: .*)\n", ""),
    (r"\b\d+ of (\d+) certificates", r"N of \1 certificates"),
)


@dataclass
class Transcript:
    """Commands, run by a shell as a person would, and what they printed."""

    cluster: Cluster
    folder: Path
    """Where ``kubectl`` is put on the PATH."""
    parts: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """A sentence between commands."""
        self.parts.append(f"\n{text}\n")

    def show(self, command: str) -> str:
        """Run *command*; returns what it printed. A command that ends with an error is shown with what it said."""
        plugin = Path(sys.executable).with_name("kubectl-mintls")
        for link, target in (("kubectl", self.cluster.kubectl_path), ("kubectl-mintls", plugin)):
            if not (self.folder / link).exists():
                (self.folder / link).symlink_to(target)
        path = os.pathsep.join([str(self.folder), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-c", command],
            env=self.cluster.environment() | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            cwd=REPOSITORY,
        )
        lines = "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())
        self.parts.append(f"\n```console\n$ {command}\n{lines}\n```\n")
        return done.stdout

    def text(self) -> str:
        """The page."""
        return _HEAD + "".join(self.parts)


def masked(text: str) -> list[str]:
    """The lines of a page without what varies."""
    for pattern, name in _VARYING:
        text = re.sub(pattern, name, text)
    return [line.strip() for line in text.splitlines()]
