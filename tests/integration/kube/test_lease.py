"""The Lease on a real API server: what tests/unit/kube/test_lease.py shows in virtual time, once in real time."""

import asyncio
import time
from typing import Any

import pytest

from builders.relay import Relay
from builders.waiting import until
from clusterlib.cluster import Cluster
from mintls.kube.client import ApiClient
from mintls.kube.lease import Lease

from .conftest import MakeClient

pytestmark = pytest.mark.cluster

DURATION, DEADLINE, RETRY = 4.0, 2.5, 0.5


def contender(api: ApiClient, namespace: str, identity: str) -> Lease:
    return Lease(api, namespace, "mintls", identity, duration=DURATION, renew_deadline=DEADLINE, retry=RETRY)


async def took(wait: Any, at_most: float) -> float:
    began = time.monotonic()
    async with asyncio.timeout(at_most):
        await wait
    return time.monotonic() - began


def kill(lease: Lease) -> None:
    """What SIGKILL does to a holder: no release, no more renewals."""
    assert lease._keeper is not None
    lease._keeper.cancel()


async def test_a_killed_holder_is_followed_within_duration_and_retry(
    api: ApiClient, namespace: str, cluster: Cluster
) -> None:
    first, second = contender(api, namespace, "first"), contender(api, namespace, "second")
    await took(first.acquire(), 5)
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(DURATION + 1)
    assert first.held
    assert not waiting.done(), "a holder that renews keeps it beyond its duration"
    kill(first)
    assert DEADLINE < await took(waiting, 20) <= DURATION + RETRY * 2
    assert [lease.held for lease in (first, second)] == [False, True]
    holder = cluster.kubectl("get", "lease", "mintls", "-n", namespace, "-o", "jsonpath={.spec.holderIdentity}")
    assert holder == "second"
    await second.release()


async def test_a_released_lease_is_taken_at_once(api: ApiClient, namespace: str) -> None:
    first, second = contender(api, namespace, "first"), contender(api, namespace, "second")
    await took(first.acquire(), 5)
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(RETRY * 2)
    await first.release()
    assert await took(waiting, 20) <= RETRY * 2
    await second.release()


async def test_many_contenders_have_one_holder(api: ApiClient, namespace: str) -> None:
    leases = [contender(api, namespace, f"c{number}") for number in range(5)]
    waiting = [asyncio.create_task(lease.acquire()) for lease in leases]
    for left in range(len(leases), 0, -1):
        _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=10)
        (holder,) = [lease for lease in leases if lease.held]
        assert len(pending) == left - 1
        waiting = list(pending)
        await asyncio.sleep(RETRY * 2)
        assert [lease for lease in leases if lease.held] == [holder]
        await holder.release()


@pytest.mark.parametrize("away", ["cut", "freeze"])
async def test_who_is_cut_off_has_stopped_before_another_begins(
    api: ApiClient, namespace: str, client: MakeClient, relay: Relay, away: str
) -> None:
    first = contender(await client(relay), namespace, "first")
    second = contender(api, namespace, "second")
    await took(first.acquire(), 5)
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(RETRY * 2)
    getattr(relay, away)()
    assert await took(until(lambda: not first.held), 20) <= DEADLINE + 0.2
    assert not first.lost.is_set(), "perhaps nobody takes it"
    assert not waiting.done()
    await took(waiting, DURATION + RETRY * 2)
    relay.restore()
    await took(first.lost.wait(), 10)
    assert not first.held
    assert second.held
    await second.release()
