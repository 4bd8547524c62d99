"""One call of the load generator, which is a Go program: it must not be what the servers are waited for."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from bench.machine import LOAD_CORE, CannotMeasure, cpu_seconds, pinned
from clusterlib.golang import find_go, run_go
from clusterlib.progress import Progress

_MODULE = Path(__file__).parent / "load"


class Outcome(msgspec.Struct, frozen=True):
    """What the generator says of one call; times in milliseconds.

    ``per_cpu`` is added to it: answers for each second of processor time of the server. On a busy machine it is worth
    more than ``rate``: what others take of the core falls out.
    """

    answers: int
    requests: int
    seconds: float
    rate: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    errors: dict[str, int]
    sample: str
    per_cpu: float = 0.0

    def __repr__(self) -> str:
        return f"Outcome(rate={self.rate:.0f}, p99_ms={self.p99_ms:g})"  # the sample holds a token


@dataclass(frozen=True)
class Caller:
    """A client with its certificate and key, PEM."""

    id: str
    uri: str
    cert: str
    key: str


@dataclass(frozen=True)
class Shape:
    """How an endpoint is asked.

    Attributes:
        connections: How many at a time.
        each: Requests over one connection, before the next client connects; 0 for no end.
        seconds: How long is measured.
    """

    connections: int
    each: int = 0
    seconds: float = 3.0


def build(folder: Path) -> Path:
    """Compile the generator; raises BuildError."""
    program = folder / "load"
    run_go(find_go(Progress()), _MODULE, "build", "-o", str(program), ".")
    return program


def save(callers: Sequence[Caller], path: Path) -> Path:
    """Write callers where the generator reads them."""
    path.touch(mode=0o600)
    path.write_text(json.dumps([asdict(caller) for caller in callers]))
    return path


def ask(program: Path, shape: Shape, *, pid: int, port: int, path: str, form: str, callers: Path, ca: Path) -> Outcome:
    """Ask for a while.

    Args:
        program: The generator.
        shape: How.
        pid: Process id of the server, whose processor time is read before and after.
        port: Where it listens.
        path: The endpoint.
        form: The body, but for the client's id.
        callers: Who asks, see ``save``.
        ca: Who vouches for the server.

    Raises:
        CannotMeasure: Something else than 200 came back, or nothing: then no figure means anything.
    """
    command = [
        *(str(program), "-address", f"127.0.0.1:{port}", "-path", path, "-form", form),
        *("-clients", str(callers), "-ca", str(ca), "-seconds", str(shape.seconds)),
        *("-connections", str(shape.connections), "-each", str(shape.each)),
    ]
    environment = os.environ | {"GOMAXPROCS": "1"}
    before = cpu_seconds(pid)
    done = subprocess.run(
        pinned(LOAD_CORE, command), capture_output=True, text=True, check=False, env=environment, timeout=120
    )
    if done.returncode:
        raise CannotMeasure(f"the load generator failed: {done.stderr.strip()}")
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    if outcome.errors or not outcome.requests:
        raise CannotMeasure(f"{path} at port {port} with {shape}: {outcome.requests} answers, errors {outcome.errors}")
    return msgspec.structs.replace(outcome, per_cpu=outcome.answers / max(cpu_seconds(pid) - before, 0.01))
