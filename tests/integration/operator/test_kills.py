"""Two replicas, and the leader is killed again and again during a burst: nothing is doubled, nothing lost."""

import asyncio
import collections
import json
import random
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

import pytest
from cryptography.x509 import load_pem_x509_certificate

from builders.faults import chosen_seed
from builders.world import SYSTEM, World, eventually, free_port
from integration.operator.test_writes import OPERATOR
from mintls.kube.paths import CLIENT_CERTIFICATES, LEASES, SECRETS

pytestmark = pytest.mark.cluster

CERTIFICATES = 100
KILLS = 5
LEASE_SECONDS = 3


class Replicas:
    """Operators as processes; one that was killed is started again, as its kubelet does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: dict[str, Process] = {}

    async def start(self, pod: str) -> None:
        world = self._world
        self._running[pod] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mintls", "operator"),
            *("--kubeconfig", str(world.kubeconfig("mintls-operator"))),
            *("--issuer-url", world.installation.issuer_url, "--mtls-url", world.installation.mtls_url),
            *("--issuer-replica", f"127.0.0.1:{world.ports[1]}", "--health-address", f"127.0.0.1:{free_port()}"),
            *("--lease-seconds", str(LEASE_SECONDS)),
            env={"POD_NAME": pod},
            stdout=DEVNULL,
            stderr=DEVNULL,
        )

    async def leader(self) -> str:
        """The pod that holds the Lease."""
        lease = await self._world.get(LEASES, SYSTEM, "mintls-operator")
        return str(lease["spec"].get("holderIdentity", "")).partition("_")[0]

    async def kill(self, pod: str) -> None:
        self._running[pod].kill()
        await self._running[pod].wait()

    async def end(self) -> None:
        for process in self._running.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


async def issue_all(world: World, shop: str) -> None:
    for number in range(CERTIFICATES):
        await world.certificate(shop, f"billing-{number}", clientRef={"name": "billing"})
        await asyncio.sleep(0.1)


async def all_ready(world: World, shop: str) -> bool:
    items = (await world.api.get(CLIENT_CERTIFICATES.collection(shop)))["items"]
    ready = [
        item
        for item in items
        if any(one["type"] == "Ready" and one["status"] == "True" for one in item["status"].get("conditions", ()))
    ]
    return len(ready) == CERTIFICATES


async def test_a_leader_that_is_killed_again_and_again_doubles_and_loses_nothing(world: World) -> None:
    if world.cluster.audit_log is None:
        pytest.skip("only the embedded provider keeps an audit log")
    chance = random.Random(chosen_seed())  # noqa: S311 - no secret
    await world.authority()
    replicas = Replicas(world)
    try:
        for pod in ("one", "two"):
            await replicas.start(pod)
        shop = await world.namespace()
        await world.client(shop)
        await eventually(replicas.leader, within=30)
        burst = asyncio.create_task(issue_all(world, shop))
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 3))
            leader = await eventually(replicas.leader)
            await replicas.kill(leader)
            await replicas.start(leader)

            async def succeeded(before: str = leader) -> bool:
                return await replicas.leader() not in {"", before}

            await eventually(succeeded, within=30, expected="another leader")
        await burst
        await eventually(lambda: all_ready(world, shop), within=60, every=0.5)
        await asyncio.sleep(2)
        await check(world, shop, world.cluster.audit_log)
    finally:
        await replicas.end()


async def check(world: World, shop: str, audit_log: Path) -> None:
    secrets = (await world.api.get(SECRETS.collection(shop)))["items"]
    assert sorted(item["metadata"]["name"] for item in secrets) == sorted(
        f"billing-{number}-mtls" for number in range(CERTIFICATES)
    )
    for number in range(CERTIFICATES):
        status = (await world.get(CLIENT_CERTIFICATES, shop, f"billing-{number}"))["status"]
        leaf = load_pem_x509_certificate((await world.secret(shop, f"billing-{number}-mtls"))["tls.crt"])
        assert (status["serialNumber"], status["revision"]) == (f"{leaf.serial_number:x}", 1)
    writes = await asyncio.to_thread(carried_out, audit_log, shop)
    # What a killed leader had asked for last may have been carried out without being answered (504): not counted.
    assert writes["create secrets"] + writes["patch secrets"] <= CERTIFICATES + KILLS, writes
    assert writes["patch clientcertificates"] <= CERTIFICATES + KILLS, writes


def carried_out(audit_log: Path, namespace: str) -> collections.Counter[str]:
    """The operator's writes in a namespace that the API server carried out, as ``verb resource``."""
    found: collections.Counter[str] = collections.Counter()
    for line in audit_log.read_text().splitlines():
        event = json.loads(line)
        what, code = event.get("objectRef", {}), event.get("responseStatus", {}).get("code", 0)
        if event["user"].get("username") == OPERATOR and what.get("namespace") == namespace and code < 300:
            found[f"{event['verb']} {what['resource']}"] += 1
    return found
