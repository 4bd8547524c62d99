"""The token issuer beside a peer and beside its floors: same machine, same run, alternating rounds."""

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.installation import AUDIENCE, SCOPE, Installation, Process
from bench.load import Caller, Outcome, Shape, ask, save
from bench.machine import LOAD_CORE, SERVER_CORE, CannotMeasure, pinned, rss_mib, running
from bench.results import BASE, FLOOR, OURS, PEER, Results
from builders.world import free_port
from clusterlib.progress import Progress

_HERE = Path(__file__).parent
_TOKEN = f"grant_type=client_credentials&scope={SCOPE.replace(' ', '+')}"
_START_SECONDS = 30
TOKEN = f"{_TOKEN}&resource={AUDIENCE}"


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: Rounds of each scenario.
        seconds: Length of one.
        clients: Registered clients, one count after the other; the first is for the scenarios of one client.
    """

    rounds: int
    seconds: float
    clients: tuple[int, ...]


FULL = Size(rounds=5, seconds=3.0, clients=(1, 10_000, 20_000))
SMOKE = Size(rounds=1, seconds=1.0, clients=(1, 20))

FEW = {
    "keep-alive, 1 connection": Shape(1),
    "keep-alive, 32 connections": Shape(32),
    "keep-alive, 256 connections": Shape(256),
    "a handshake per request": Shape(32, each=1),
}
"""Scenarios of one client; the floor takes part."""
CHURN = Shape(256, each=20)
"""Connections of many clients, each gone after some requests; or the same of one client."""


@dataclass(frozen=True)
class Server:
    """Something that is measured."""

    name: str
    port: int
    pid: int
    introspection: str = "/introspect"
    introspected: str = TOKEN
    """The form of a token that it can introspect."""


@dataclass(frozen=True)
class Bench:
    """What all measurements need."""

    installation: Installation
    program: Path
    results: Results
    size: Size
    tls: Path

    def ask(self, server: Server, shape: Shape, callers: Path, path: str = "/token", form: str = TOKEN) -> Outcome:
        """One call of the load generator."""
        sized = replace(shape, seconds=self.size.seconds)
        ca = self.tls / "ca.crt"
        return ask(self.program, sized, pid=server.pid, port=server.port, path=path, form=form, callers=callers, ca=ca)

    def in_turn(self, servers: list[Server]) -> Iterator[Server]:
        """The servers of all rounds; every second round in reverse order, so that none is always the first."""
        for number in range(self.size.rounds):
            yield from servers if number % 2 == 0 else reversed(servers)

    def alternate(self, scenario: str, servers: list[Server], shape: Shape, callers: Path) -> None:
        """A scenario in rounds."""
        Progress().say(f"{scenario}: {self.size.rounds} rounds")
        for server in self.in_turn(servers):
            self.results.add(scenario, server.name, self.ask(server, shape, callers))


async def measure(
    installation: Installation, program: Path, results: Results, size: Size, *, source: Path | None = None
) -> None:
    """All scenarios, with few clients and with many.

    Args:
        installation: Where nothing runs yet.
        program: The load generator.
        results: Get what comes out.
        size: How much is measured.
        source: Another commit's ``operator`` folder, whose issuer is measured with few clients, too.
    """
    first, *more = size.clients
    await installation.grow(first)
    bench = Bench(installation, program, results, size, installation.server_files())
    await _with_few(bench, source)
    for count in more:
        Progress().say(f"registering clients, until there are {count:,}")
        await installation.grow(count)
        await _with_many(bench, measured=count == more[0])
    _openssl(bench)


async def _with_few(bench: Bench, source: Path | None) -> None:
    callers = bench.installation.callers
    one = save(callers[:1], bench.installation.folder / "one.json")
    async with bench.installation.issuer() as process, _base(bench, source) as base:
        with _peer(bench, callers) as peer, _floor(bench) as floor:
            servers = [Server(OURS, process.port, process.pid), peer, *base]
            _until_answers(bench, peer, one)
            for scenario, shape in FEW.items():
                bench.alternate(scenario, [*servers, floor], shape, one)
            for server in bench.in_turn(servers):
                bench.results.add("introspection", server.name, _introspect(bench, server, one))
            _memory(bench, process, peer.pid, len(callers))


@contextlib.asynccontextmanager
async def _base(bench: Bench, source: Path | None) -> AsyncIterator[list[Server]]:
    if source is None:
        yield []
        return
    async with bench.installation.issuer(source=source) as process:
        yield [Server(BASE, process.port, process.pid)]


async def _with_many(bench: Bench, *, measured: bool) -> None:
    callers = bench.installation.callers
    one = save(callers[:1], bench.installation.folder / "one.json")
    every = save(callers, bench.installation.folder / "all.json")
    async with bench.installation.issuer() as process:
        with _peer(bench, callers) as peer:
            ours = Server(OURS, process.port, process.pid)
            _until_answers(bench, peer, one)
            _memory(bench, process, peer.pid, len(callers))
            if measured:
                bench.alternate("one client, 20 requests a connection", [ours, peer], CHURN, one)
                bench.alternate("all clients, 20 requests a connection", [ours, peer], CHURN, every)
                bench.alternate("all clients, a handshake per request", [ours, peer], Shape(32, each=1), every)
                bench.results.single["MiB of mintls after load by all clients"] = rss_mib(process.pid)


def _memory(bench: Bench, process: Process, peer: int, clients: int) -> None:
    single = bench.results.single
    single[f"MiB of mintls with {clients:,} clients"] = rss_mib(process.pid)
    single[f"MiB of oidc-provider with {clients:,} clients"] = rss_mib(peer)
    single[f"seconds until mintls was ready with {clients:,} clients"] = process.ready_after
    single[f"seconds of processor time of that with {clients:,} clients"] = process.ready_cpu


def _introspect(bench: Bench, server: Server, callers: Path) -> Outcome:
    issued = bench.ask(server, Shape(1, each=1), callers, form=server.introspected)
    token = json.loads(issued.sample)["access_token"]
    outcome = bench.ask(server, Shape(32), callers, path=server.introspection, form=f"token={token}")
    if not json.loads(outcome.sample)["active"]:
        raise CannotMeasure(f"{server.name} says that its own token is not active")
    return outcome


def _until_answers(bench: Bench, server: Server, callers: Path) -> None:
    """Wait until a server issues what is asked for; raises CannotMeasure with what it said last."""
    quick = replace(bench, size=replace(bench.size, seconds=0.2))
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            issued = json.loads(quick.ask(server, Shape(1), callers).sample)
            break
        except CannotMeasure:
            if time.monotonic() > deadline:
                raise
    if issued["scope"] != SCOPE:
        raise CannotMeasure(f"{server.name} grants {issued['scope']!r}, not {SCOPE!r}")


@contextlib.contextmanager
def _peer(bench: Bench, callers: list[Caller]) -> Iterator[Server]:
    port, folder = free_port(), _HERE / "peer"
    _install(folder)
    registrations = [{"id": caller.id, "uri": caller.uri} for caller in callers]
    (bench.tls / "registrations.json").write_text(json.dumps(registrations))
    command = ["node", str(folder / "server.mjs"), str(port), str(bench.tls)]
    with running(pinned(SERVER_CORE, command), bench.installation.folder / "peer.log") as pid:
        # It introspects none of the JWTs that it issues, so it is asked about a token of its own form.
        yield Server(PEER, port, pid, "/token/introspection", _TOKEN)


def _install(folder: Path) -> None:
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotMeasure(f"npm ci in {folder} failed: {done.stderr.strip()}")


@contextlib.contextmanager
def _floor(bench: Bench) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "bench.floor", str(port), str(bench.tls)]
    with running(pinned(SERVER_CORE, command), bench.installation.folder / "floor.log") as pid:
        _until_listening(port)
        yield Server(FLOOR, port, pid)


def _openssl(bench: Bench) -> None:
    """What the cryptography alone would allow on one core."""
    seconds = max(1, round(bench.size.seconds))
    said = _run(pinned(SERVER_CORE, ["openssl", "speed", "-seconds", str(seconds), "ecdsap256"]))
    signs, verifies = re.findall(r"256 bits ecdsa .* ([0-9.]+) +([0-9.]+)\s*$", said, re.MULTILINE)[0]
    bench.results.single["signatures a second (openssl speed)"] = float(signs)
    bench.results.single["verifications a second (openssl speed)"] = float(verifies)
    bench.results.single["mTLS handshakes a second (openssl s_server)"] = _handshakes(bench, seconds)


def _handshakes(bench: Bench, seconds: int) -> float:
    port, tls, folder = free_port(), bench.tls, bench.installation.folder
    [caller] = json.loads((folder / "one.json").read_text())
    for name in ("cert", "key"):
        (folder / f"{name}.pem").write_text(caller[name])
    server = ["openssl", "s_server", "-accept", str(port), "-cert", f"{tls}/tls.crt", "-key", f"{tls}/tls.key"]
    server += [
        "-cert_chain",
        f"{tls}/tls.crt",
        "-CAfile",
        f"{tls}/ca.crt",
        "-Verify",
        "3",
        "-num_tickets",
        "0",
        "-quiet",
    ]
    client = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(seconds)]
    client += ["-cert", f"{folder}/chain.pem", "-key", f"{folder}/key.pem", "-CAfile", f"{tls}/ca.crt"]
    (folder / "chain.pem").write_text(caller["cert"])
    with running(pinned(SERVER_CORE, server), folder / "s_server.log"):
        _until_listening(port)
        said = _run(pinned(LOAD_CORE, client))
    connections, real = re.findall(r"(\d+) connections in (\d+) real seconds", said)[0]
    return int(connections) / int(real)


def _until_listening(port: int) -> None:
    for _ in range(400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout + done.stderr
