"""The operator beside cert-manager, and by itself with many objects: bursts, rest, restart, outage, renewals, roots."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bench import certmanager
from bench.apiserver import percentile, stored_mib, user, writes
from bench.burst import Mintls, at_once, burst, create, ready_of
from bench.cluster import NAMESPACE, OTHER_NAMESPACE, pids
from bench.installation import until_ready
from bench.machine import CannotMeasure, cpu_seconds, is_running, rss_mib
from bench.operatorprocess import Programs
from bench.operatorresults import BASE, OURS, PEER, OperatorResults
from bench.spread import fullest_minute
from bench.tokens import Told, asking, token_after
from builders.world import World, eventually
from clusterlib.progress import Progress
from mintls.api.v1alpha1.certificateauthority import ROTATE_REQUESTED
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

_AUTHORITY = CERTIFICATE_AUTHORITIES.item(None, "default")
_INTERMEDIATE = SECRETS.item("mintls-system", "mintls-authority-default-intermediate")
_ISSUANCE = frozenset({"secrets", "clientcertificates/status", "events"})
"""What is written for a certificate; of a client that is registered only its status is written."""
_LOOK_SECONDS = 0.05
_ASK_SECONDS = 0.25
_QUIET_SECONDS = 5.0
_START_SECONDS = 120

type Object = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        rounds: Rounds of equal bursts of Mintls and the peer.
        beside: Certificates of each of them.
        many: Certificates of the burst after that, beside which the rest is measured.
        pairs: How many new clients are waited for, from ``apply`` to a token.
        due: Renewals that are due at once.
        rest_seconds: How long nothing happens.
        away_seconds: How long the API server is away.
        reissue: ``spec.selfSigned.root.reissueWithin``.
    """

    rounds: int
    beside: int
    many: int
    pairs: int
    due: int
    rest_seconds: float
    away_seconds: float
    reissue: str


FULL = Size(rounds=3, beside=500, many=10_000, pairs=40, due=3_000, rest_seconds=60, away_seconds=15, reissue="2m")
SMOKE = Size(rounds=1, beside=10, many=60, pairs=2, due=30, rest_seconds=2, away_seconds=2, reissue="1s")


@dataclass
class Bench:
    """What all measurements need.

    Attributes:
        world: The cluster.
        programs: Operator and issuer.
        results: Where the figures go.
        size: How much is measured.
        certificates: Names of all ClientCertificates so far.
        base: Another commit's ``operator`` folder, if that is measured, too.
    """

    world: World
    programs: Programs
    results: OperatorResults
    size: Size
    certificates: list[str]
    base: Path | None = None

    def new(self, prefix: str, count: int) -> list[str]:
        """Further names; they count as certificates from now on."""
        names = [f"{prefix}-{number:05}" for number in range(count)]
        self.certificates += names
        return names

    async def writes(self) -> Counter[str]:
        """Of the API server so far."""
        return await asyncio.to_thread(writes, self.world.cluster)


async def measure(world: World, folder: Path, results: OperatorResults, size: Size, base: Path | None = None) -> None:
    """Everything, in an order in which one leaves to the next what it needs.

    Args:
        world: The cluster.
        folder: Of logs and keys.
        results: Where the figures go.
        size: How much is measured.
        base: Another commit's ``operator`` folder, whose bursts are measured beside ours.

    Raises:
        CannotMeasure: Something did not become ready.
        BuildError: cert-manager cannot be built here.
    """
    bench = Bench(world, Programs(world, folder), results, size, [], base)
    await world.api.create(
        CERTIFICATE_AUTHORITIES.collection(),
        {
            "apiVersion": CERTIFICATE_AUTHORITIES.api_version,
            "kind": "CertificateAuthority",
            "metadata": {"name": "default"},
            "spec": {"selfSigned": {"root": {"trustBeforeUse": "1s", "reissueWithin": size.reissue}}},
        },
    )
    await _beside_the_peer(bench)
    with bench.programs.issuer():
        await until_ready(bench.programs.probes, bench.programs.issuer_log)
        with bench.programs.operator() as pid:
            await until_ready(bench.programs.health, bench.programs.operator_log)
            [first] = bench.new("first", 1)
            took = await token_after(bench.world, first, bench.programs.folder, OTHER_NAMESPACE)
            results.single["ms from apply to a token, at once when it leads"] = took * 1000
            await _pairs(bench, "idle", bench.new("idle", size.pairs))
            await _many(bench, pid)
            await _spread(bench)
            await _rest(bench, pid)
            await _outage(bench, pid)
        await _restart(bench)
        await _due_at_once(bench)
        await _another_intermediate(bench)
        await _another_root(bench)


# --- beside the peer ---


async def _beside_the_peer(bench: Bench) -> None:
    certmanager.install(bench.world)
    for number in range(bench.size.rounds):
        order = [_ours, *([_base] if bench.base else []), _peer]
        for one in order if number % 2 == 0 else reversed(order):
            await one(bench, number)


async def _ours(bench: Bench, number: int) -> None:
    await _by(bench, OURS, f"beside-{number}")


async def _base(bench: Bench, number: int) -> None:
    await _by(bench, BASE, f"base-{number}", bench.base)


async def _by(bench: Bench, program: str, prefix: str, source: Path | None = None) -> None:
    names = bench.new(prefix, bench.size.beside)
    with bench.programs.operator(source) as pid, bench.programs.issuer():
        await until_ready(bench.programs.health, bench.programs.operator_log)
        await until_ready(bench.programs.probes, bench.programs.issuer_log)
        await _clients(bench, names)
        bench.results.add("beside", program, await burst(bench.world, Mintls(), names, pid))


async def _peer(bench: Bench, number: int) -> None:
    names = [f"peer-{number}-{one:05}" for one in range(bench.size.beside)]
    with certmanager.running(bench.world, bench.programs.folder) as pid:
        # A first certificate: leader election and caches are behind it then.
        await burst(bench.world, certmanager.CertManager(), [f"warm-{number}"], pid)
        bench.results.add("beside", PEER, await burst(bench.world, certmanager.CertManager(), names, pid))


# --- many ---


async def _clients(bench: Bench, names: list[str]) -> None:
    """Registered before their certificates are asked for."""
    async with ready_of(bench.world.api, OAUTH_CLIENTS, names) as registered:
        await at_once(bench.world.client(NAMESPACE, name) for name in names)
        await registered


async def _many(bench: Bench, pid: int) -> None:
    single, size = bench.results.single, bench.size
    small = len(bench.certificates)
    memory, stored = rss_mib(pid), await asyncio.to_thread(stored_mib, bench.world.cluster)
    async with user(bench.world, NAMESPACE) as waited:
        await asyncio.sleep(size.rest_seconds / 4)
    single["ms that a user's GET takes, idle, p50"] = percentile(waited, 50)
    single["ms that a user's GET takes, idle, p99"] = percentile(waited, 99)
    names = bench.new("many", size.many)
    await _clients(bench, names)
    before = await bench.writes()
    async with user(bench.world, NAMESPACE) as waited:
        meanwhile = asyncio.create_task(_pairs(bench, "in the burst", bench.new("meanwhile", size.pairs)))
        outcome = await burst(bench.world, Mintls(), names, pid)
        await meanwhile
    # Those that were waited for meanwhile are writes of this burst, too.
    whole = outcome.count + size.pairs
    carried_out = outcome.writes * outcome.count - 2 * size.pairs
    bench.results.add("many", OURS, msgspec.structs.replace(outcome, writes=carried_out / whole))
    made = await bench.writes() - before
    issuance = sum(made[place] for place in made if place.split()[-1] in _ISSUANCE)
    single["writes for each of them: Secret, status, event"] = issuance / whole
    single["writes of the record and the CRL for all of them"] = sum(
        made[place] for place in made if "configmaps" in place
    )
    single["ms that a user's GET takes, in the burst, p50"] = percentile(waited, 50)
    single["ms that a user's GET takes, in the burst, p99"] = percentile(waited, 99)
    more = len(bench.certificates) - small
    single["KiB of the operator for each certificate"] = (rss_mib(pid) - memory) * 1024 / more
    grown = await asyncio.to_thread(stored_mib, bench.world.cluster) - stored
    single["KiB of etcd for each client with its certificate"] = grown * 1024 / more


async def _pairs(bench: Bench, when: str, names: list[str]) -> None:
    """One new client after the other, in a namespace of its own: from its two objects to a token."""
    took = [await token_after(bench.world, name, bench.programs.folder, OTHER_NAMESPACE) for name in names]
    bench.results.single[f"ms from apply to a token, {when}, p50"] = percentile(took, 50) * 1000
    bench.results.single[f"ms from apply to a token, {when}, p99"] = percentile(took, 99) * 1000


# --- with many ---


async def _spread(bench: Bench) -> None:
    """When those of the burst, which were all made at one moment, are renewed."""
    due = [
        datetime.fromisoformat(item["status"]["renewalTime"])
        async for page in bench.world.api.list_pages(CLIENT_CERTIFICATES.collection(NAMESPACE))
        for item in page["items"]
        if item["metadata"]["name"].startswith("many-")
    ]
    bench.results.single["minutes over which their renewals are spread"] = (max(due) - min(due)).total_seconds() / 60
    bench.results.single["renewals in the fullest minute"] = fullest_minute(due)


async def _rest(bench: Bench, pid: int) -> None:
    await asyncio.sleep(min(5.0, bench.size.rest_seconds))
    before, cpu, began = await bench.writes(), cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(bench.size.rest_seconds)
    single = bench.results.single
    single["% of a core at rest"] = (cpu_seconds(pid) - cpu) / (time.monotonic() - began) * 100
    single["writes at rest"] = (await bench.writes() - before).total()
    single["MiB of the operator with many"] = rss_mib(pid)


async def _outage(bench: Bench, pid: int) -> None:
    """The API server stands still; then somebody makes an object.

    An operator that could not renew its Lease has ended meanwhile, and is started again as the kubelet does it.
    """
    server = pids(bench.world.cluster).get("kube-apiserver")
    if server is None:
        raise CannotMeasure("the API server is not of this machine: it cannot be stopped for a while")
    [name] = bench.new("after-outage", 1)
    await _clients(bench, [name])
    # Looked for before: to list thousands of objects takes a while, and is the harness's affair.
    async with ready_of(bench.world.api, CLIENT_CERTIFICATES, [name]) as last:
        os.kill(server, signal.SIGSTOP)
        await asyncio.sleep(bench.size.away_seconds)
        os.kill(server, signal.SIGCONT)
        back, ended = time.monotonic(), False
        ready = asyncio.ensure_future(last)
        with contextlib.ExitStack() as again:
            await create(bench.world, Mintls(), [name])
            while not ready.done():
                await asyncio.wait([ready], timeout=_LOOK_SECONDS)
                if not ended and not is_running(pid):
                    ended = True
                    again.enter_context(bench.programs.operator())
            bench.results.single["s until a new object is Ready after an outage"] = await ready - back
            bench.results.single["operators that ended by the outage"] = float(ended)


async def _ready_after(bench: Bench, name: str) -> float:
    async with ready_of(bench.world.api, CLIENT_CERTIFICATES, [name]) as ready:
        began = time.monotonic()
        await create(bench.world, Mintls(), [name])
        return await ready - began


async def _restart(bench: Bench) -> None:
    """Everything is current but one object that was made while no operator ran."""
    [name] = bench.new("after-restart", 1)
    await bench.world.client(NAMESPACE, name)
    async with ready_of(bench.world.api, CLIENT_CERTIFICATES, [name]) as ready:
        await create(bench.world, Mintls(), [name])
        before, began = await bench.writes(), time.monotonic()
        with bench.programs.operator() as pid:
            seconds = await ready - began
            await _idle(bench)
            caught_up = time.monotonic() - began
            single = bench.results.single
            single["s from start until a waiting object is Ready"] = seconds
            single["s from start until everything was looked at"] = caught_up
            single["s of processor time of that"] = cpu_seconds(pid)
            await asyncio.sleep(2)
            made = await bench.writes() - before
            Progress().say(f"writes of a restart, with one new object: {dict(made)}")
            single["writes of a restart, but for that object's"] = made.total() - 4
            single["MiB of the operator after a restart"] = rss_mib(pid)


async def _idle(bench: Bench) -> None:
    async def nothing_waits() -> bool:
        known = await bench.programs.metric("mintls_objects", kind="ClientCertificate")
        return known >= len(bench.certificates) and await bench.programs.metric("mintls_queue_depth") == 0

    # Not more often: to ask is work for who is asked.
    await eventually(nothing_waits, within=_START_SECONDS, every=_ASK_SECONDS)


async def _due_at_once(bench: Bench) -> None:
    """Renewals that all are due when the operator starts, and a new object behind them."""
    due = [name for name in bench.certificates if name.startswith(("beside", "many"))][: bench.size.due]
    asked = {"metadata": {"annotations": {RENEW_REQUESTED: "at-once"}}}
    await at_once(bench.world.api.merge_patch(CLIENT_CERTIFICATES.item(NAMESPACE, name), asked) for name in due)
    [name] = bench.new("behind-renewals", 1)
    await bench.world.client(NAMESPACE, name)
    async with ready_of(bench.world.api, CLIENT_CERTIFICATES, due, _renewed) as renewed:
        with bench.programs.operator():
            await until_ready(bench.programs.health, bench.programs.operator_log)
            began = time.monotonic()
            bench.results.single["s until a new object is Ready beside renewals"] = await _ready_after(bench, name)
            seconds = await renewed - began
    bench.results.single["renewals a second"] = len(due) / seconds


def _renewed(item: Object) -> bool:
    return bool(item.get("status", {}).get("observedRenewRequest") == "at-once")


@dataclass
class _Meanwhile:
    """What became of a client while something else happened.

    Attributes:
        told: Its tokens.
        began: When it was ready, by the monotonic clock.
        writes: What the API server carried out since, when the block has ended.
    """

    told: Told
    began: float
    writes: int = 0


@contextlib.asynccontextmanager
async def _client_that_asks(bench: Bench, name: str) -> AsyncIterator[_Meanwhile]:
    """An operator at rest, and a client that gets tokens all the time while the block lasts."""
    with bench.programs.operator():
        await until_ready(bench.programs.health, bench.programs.operator_log)
        await token_after(bench.world, name, bench.programs.folder)
        await _idle(bench)
        before = await bench.writes()
        async with asking(bench.world, name, bench.programs.folder) as told:
            seen = _Meanwhile(told, time.monotonic())
            yield seen
        seen.writes = (await bench.writes() - before).total()
    for failure in told.failures[:3]:
        Progress().say(f"failed: {failure}")


async def _another_intermediate(bench: Bench) -> None:
    """The Secret of the one that signs is lost, so that there has to be another."""
    [name] = bench.new("by-intermediate", 1)

    async def signer() -> str:
        keys = (await bench.world.api.get(_AUTHORITY))["status"]["keys"]
        return next(str(key["intermediate"]) for key in keys if key["role"] == "active")

    before = await signer()

    async def another() -> bool:
        return await signer() != before

    single = bench.results.single
    async with _client_that_asks(bench, name) as meanwhile:
        await bench.world.api.delete(_INTERMEDIATE)
        await eventually(another, within=_START_SECONDS, every=_LOOK_SECONDS)
        single["s until another intermediate signs"] = time.monotonic() - meanwhile.began
        await asyncio.sleep(_QUIET_SECONDS)
        await _idle(bench)
    single["writes by another intermediate"] = meanwhile.writes - 1  # the deletion
    single["failed token requests by another intermediate"] = len(meanwhile.told.failures)


async def _another_root(bench: Bench) -> None:
    """Another root is made, trusted, signs."""
    [name] = bench.new("in-rotation", 1)
    single = bench.results.single
    async with _client_that_asks(bench, name) as meanwhile:
        await bench.world.api.merge_patch(_AUTHORITY, {"metadata": {"annotations": {ROTATE_REQUESTED: "now"}}})
        single["s until another root signs"] = await _phase(bench, "Reissuing") - meanwhile.began
        single["s until all certificates are of the other root"] = await _phase(bench, "Retiring") - meanwhile.began
    single["writes for each certificate by another root"] = meanwhile.writes / len(bench.certificates)
    single["tokens asked for meanwhile"] = meanwhile.told.asked
    single["failed token requests meanwhile"] = len(meanwhile.told.failures)


async def _phase(bench: Bench, phase: str) -> float:
    order = ["Preparing", "Reissuing", "Retiring"]

    async def reached() -> bool:
        rotation = (await bench.world.api.get(_AUTHORITY))["status"].get("rotation") or {}
        return order.index(rotation["phase"]) >= order.index(phase)

    await eventually(reached, within=1200, every=_LOOK_SECONDS)
    return time.monotonic()
