"""Operator and issuer as processes on this machine."""

import shlex
import socket
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from clusterlib import ports, processes
from clusterlib.files import tail
from clusterlib.processes import Identity
from demolib.console import Console
from demolib.errors import NotReadyError
from demolib.place import Place

PARTS = ("issuer", "operator")

_GRACE = 15.0
"""Seconds between asking and killing: the issuer drains for 3 seconds, and a loaded machine takes its time."""

_PREFERRED = {"issuer": 8443, "mtls": 9443, "probes": 8081, "health": 8080}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Which port of the loopback interface is for what."""

    issuer: int
    mtls: int
    probes: int
    health: int

    @property
    def issuer_url(self) -> str:
        """The issuer's identifier."""
        return f"https://localhost:{self.issuer}"

    @property
    def mtls_url(self) -> str:
        """Base of the endpoints that do mTLS."""
        return f"https://localhost:{self.mtls}"

    def readiness(self, part: str) -> str:
        """Where to ask whether operator or issuer is ready."""
        port = {"issuer": self.probes, "operator": self.health}[part]
        return f"http://127.0.0.1:{port}/readyz"


def free_addresses() -> Addresses:
    """Ports that nobody listens on: those of a real installation where they are free."""
    return Addresses(**{purpose: _free(port) for purpose, port in _PREFERRED.items()})


def _free(preferred: int) -> int:
    return preferred if ports.is_free(preferred) and not _answers(preferred) else ports.free_port()


def _answers(port: int) -> bool:
    # `localhost` may be ::1 first, where a stranger may listen although 127.0.0.1 is free.
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


_FOR_THE_TOUR = (
    *("--registration", "registration-tour=tour"),
    *("--proxy", "tour/gateway=client-cert"),
    *("--proxy", "tour/edge=escaped-pem"),
)
"""What the issuer is told for the scripts of docs/examples."""


def command_of(part: str, place: Place, addresses: Addresses, *, tour: bool = False) -> list[str]:
    """The command line of operator or issuer."""
    loopback = ports.LOOPBACK
    shared = [
        *("--kubeconfig", str(place.kubeconfig(part))),
        *("--issuer-url", addresses.issuer_url),
        *("--mtls-url", addresses.mtls_url),
    ]
    own = {
        "issuer": [
            *("--address", f"{loopback}:{addresses.issuer}"),
            *("--mtls-address", f"{loopback}:{addresses.mtls}"),
            *("--probe-address", f"{loopback}:{addresses.probes}"),
            *(_FOR_THE_TOUR if tour else ()),
        ],
        "operator": [
            *("--issuer-replica", f"{loopback}:{addresses.mtls}"),
            *("--health-address", f"{loopback}:{addresses.health}"),
        ],
    }
    return [str(place.mintls), part, *shared, *own[part]]


def start(part: str, command: list[str], place: Place, environment: Mapping[str, str], console: Console) -> int:
    """Start operator or issuer by its ``command_of``; returns its process id, within ``processes.uninterrupted``.

    Raises:
        OSError: The program is not there.
    """
    console.command(_typed(command, place.log(part).name), f"The {part}.")
    pid = processes.spawn(command, place.log(part), environment)
    console.passed(f"process {pid}")
    return pid


def _typed(command: list[str], log: str) -> str:
    text = shlex.join([command[0].rpartition("/")[2], *command[1:]])
    lines = textwrap.wrap(f"{text} >>{log} 2>&1 &", 110, break_long_words=False, break_on_hyphens=False)
    return " \\\n  ".join(lines)


def require_alive(part: str, process: Identity, place: Place) -> None:
    """Make sure that operator or issuer still runs.

    Raises:
        NotReadyError: It has ended; the text has the end of its log.
    """
    if not process.is_alive():
        log = "\n".join(f"  {line}" for line in tail(place.log(part)))
        raise NotReadyError(f"the {part} has ended; the end of {place.log(part)}:\n{log}")


def stop(running: tuple[Identity, ...]) -> list[Identity]:
    """End operator and issuer; returns those that outlived even their kill."""
    return processes.stop(running, _GRACE)
