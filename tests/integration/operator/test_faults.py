"""The API server answers wrongly, late or not at all for a while; afterwards all is as if it never had.

``MINTLS_FAULT_SEED`` repeats the row of faults of a run that failed.
"""

import asyncio
import collections
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.x509 import load_pem_x509_certificate

from builders.faults import FaultyApi, faulty_api
from builders.world import Object, World, condition, eventually
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.errors import ApiError
from mintls.kube.paths import CLIENT_CERTIFICATES, EVENTS, OAUTH_CLIENTS, SECRETS
from mintls.kube.timelimits import TimeLimits

pytestmark = pytest.mark.cluster

CLIENTS = 24
SECONDS = 40
"""How long there are faults."""
LIMITS = TimeLimits(request=2.0, silence=5.0)
"""So that there are many requests that are given up, and many watches that fall silent."""


class Readiness:
    """What ``Ready`` of each ClientCertificate went through, by uid, as a watch of an undisturbed client tells it."""

    def __init__(self) -> None:
        self.history: collections.defaultdict[str, list[str]] = collections.defaultdict(list)
        self.names: dict[str, str] = {}

    async def follow(self, world: World, namespace: str, version: str) -> None:
        path = CLIENT_CERTIFICATES.collection(namespace)
        async with contextlib.aclosing(world.api.watch(path, resource_version=version)) as events:
            async for kind, item in events:
                if kind in {"ADDED", "MODIFIED"}:
                    self._saw(item)

    def _saw(self, item: Object) -> None:
        with contextlib.suppress(KeyError):
            found = condition(item, "Ready")
            self.names[item["metadata"]["uid"]] = item["metadata"]["name"]
            seen = self.history[item["metadata"]["uid"]]
            if not seen or seen[-1] != found["status"]:
                seen.append(found["status"])


@asynccontextmanager
async def followed(world: World, namespace: str) -> AsyncIterator[Readiness]:
    readiness = Readiness()
    listed = await world.api.get(CLIENT_CERTIFICATES.collection(namespace))
    version = listed["metadata"]["resourceVersion"]
    task = asyncio.create_task(readiness.follow(world, namespace, version))
    try:
        yield readiness
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class User:
    """Somebody who issues, renews, edits and deletes, while nothing answers as it should."""

    def __init__(self, world: World, namespace: str, chance: random.Random) -> None:
        self._world = world
        self._namespace = namespace
        self._chance = chance
        self._asked = 0
        self.unready: collections.Counter[str] = collections.Counter()
        """How often each certificate was made not to be what is wanted: its spec was edited, or its Secret deleted."""
        self.looks_due: collections.Counter[str] = collections.Counter()
        """How often something was done to each certificate that another is issued for."""

    async def create(self, number: int) -> None:
        name = f"client-{number}"
        await self._world.client(self._namespace, name)
        await self._world.certificate(self._namespace, name)
        self.looks_due[name] = 1

    async def do_something(self) -> None:
        name = f"client-{self._chance.randrange(CLIENTS)}"
        item = CLIENT_CERTIFICATES.item(self._namespace, name)
        self._asked += 1
        match self._chance.choice(["renew", "edit", "delete", "delete Secret", "edit client"]):
            case "renew":
                await self._world.api.merge_patch(item, _annotated(str(self._asked)))
            case "edit":
                self.unready[name] += 1
                dns = f"n{self._asked}.{self._namespace}.svc"
                await self._world.api.merge_patch(item, {"spec": {"dnsNames": [dns]}})
            case "delete":
                await self._world.api.delete(item)
                await self._world.certificate(self._namespace, name)
                self.looks_due[name] = 0
            case "delete Secret":
                self.unready[name] += 1
                with contextlib.suppress(ApiError):
                    await self._world.api.delete(SECRETS.item(self._namespace, f"{name}-mtls"))
            case "edit client":
                scopes = {"spec": {"scopes": [f"scope-{self._asked}"]}}
                await self._world.api.merge_patch(OAUTH_CLIENTS.item(self._namespace, name), scopes)
        self.looks_due[name] += 1


def _annotated(value: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {RENEW_REQUESTED: value}}}


async def settled(world: World, namespace: str, name: str) -> Object:
    """Ready, with the certificate in the Secret that the status speaks of, registered, and with nothing left to try."""

    async def look() -> Object | None:
        found = await world.ready(CLIENT_CERTIFICATES, namespace, name)
        leaf = load_pem_x509_certificate((await world.secret(namespace, f"{name}-mtls"))["tls.crt"])
        dns = found["spec"].get("dnsNames", [])
        text = leaf.extensions.__repr__()
        right = found["status"]["serialNumber"] == f"{leaf.serial_number:x}" and all(one in text for one in dns)
        return found if right and not found["status"].get("failedAttempts") else None

    await world.ready(OAUTH_CLIENTS, namespace, name, within=40)
    found: Object = await eventually(look, within=40, expected=f"{name} with its serial number in its Secret")
    return found


async def events_of(world: World, namespace: str) -> collections.Counter[str]:
    found: collections.Counter[str] = collections.Counter()
    async for page in world.api.list_pages(EVENTS.collection(namespace)):
        found.update(item["regarding"]["name"] for item in page["items"] if "mintls" in item["reportingController"])
    return found


async def disturb(proxy: FaultyApi, user: User) -> None:
    proxy.faults.begin()
    end = asyncio.get_running_loop().time() + SECONDS
    for number in range(CLIENTS):
        await user.create(number)
        await asyncio.sleep(0.1)
    while asyncio.get_running_loop().time() < end:
        await user.do_something()
        await asyncio.sleep(0.3)
    proxy.faults.end()


async def test_after_faults_at_random_all_is_as_if_there_had_been_none(world: World) -> None:
    async with faulty_api(world.cluster.kubeconfig) as proxy:
        await world.authority()
        operator = await world.operator(server=proxy.url, limits=LIMITS, lease_seconds=30.0)
        await world.issuer()
        shop = await world.namespace()
        user = User(world, shop, random.Random(proxy.faults.seed))  # noqa: S311 - no secret
        async with followed(world, shop) as readiness:
            await disturb(proxy, user)
            found = [await settled(world, shop, f"client-{number}") for number in range(CLIENTS)]

        assert not operator.task.done(), "the same process goes on"
        assert len(proxy.faults.counts) >= 10, proxy.faults.counts
        names = [item["metadata"]["name"] for item in (await world.api.get(SECRETS.collection(shop)))["items"]]
        assert sorted(names) == sorted(f"client-{number}-mtls" for number in range(CLIENTS))
        for item in found:
            name = item["metadata"]["name"]
            assert item["status"]["revision"] <= user.looks_due[name], f"{name}: each cause issues once at most"
        for uid, seen in readiness.history.items():
            name = readiness.names[uid]
            ends = sum(before == "True" for before, _ in itertools.pairwise(seen))
            assert ends <= user.unready[name], f"{name}: Ready once, Ready until there is a cause: {seen}"
        await operator.at_rest(4)
        # One of each cause, and a few of what failed; a storm would be one for each attempt and answer.
        for name, count in (await events_of(world, shop)).items():
            assert count <= 2 * (user.looks_due[name] + 4), f"{name}: {count} events"
