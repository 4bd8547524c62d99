"""What each event in the life of a certificate costs in writes, by the API server's own audit log."""

import asyncio
import collections
import json
from pathlib import Path

import pytest

from builders.world import SYSTEM, RunningOperator, World, eventually
from mintls.api.v1alpha1.certificateauthority import ROTATE_REQUESTED
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

CERTIFICATES = 5
OPERATOR = f"system:serviceaccount:{SYSTEM}:mintls-operator"
READS = frozenset({"get", "list", "watch"})
AUTHORITY = CERTIFICATE_AUTHORITIES.item(None, "default")


class Audit:
    """The operator's writes since the last look, but for its Lease."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._seen = log.stat().st_size

    def writes(self) -> collections.Counter[str]:
        """How often each kind was written, as ``verb resource``."""
        with self._log.open() as log:
            log.seek(self._seen)
            lines = [line for line in log if line.endswith("\n")]
        self._seen += sum(map(len, (line.encode() for line in lines)))
        found: collections.Counter[str] = collections.Counter()
        for event in map(json.loads, lines):
            what = event.get("objectRef", {})
            if event["user"].get("username") != OPERATOR or event["verb"] in READS or what.get("resource") == "leases":
                continue
            found[f"{event['verb']} {'/'.join(filter(None, (what['resource'], what.get('subresource'))))}"] += 1
        return found


@pytest.fixture
async def shop(world: World) -> tuple[World, str, Audit, RunningOperator]:
    """A few certificates, all ready, and nothing more to be done."""
    if world.cluster.audit_log is None:
        pytest.skip("only the embedded provider keeps an audit log")
    await world.authority(selfSigned={"root": {"trustBeforeUse": "1s", "reissueWithin": "2s"}})
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    for number in range(CERTIFICATES):
        await certificate(world, shop, f"billing-{number}")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await asyncio.sleep(1)
    return world, shop, Audit(world.cluster.audit_log), operator


async def certificate(world: World, shop: str, name: str) -> None:
    body = {"apiVersion": CLIENT_CERTIFICATES.api_version, "kind": "ClientCertificate", "metadata": {"name": name}}
    spec = {"clientRef": {"name": "billing"}, "secretName": name}
    await world.api.create(CLIENT_CERTIFICATES.collection(shop), body | {"spec": spec})
    await world.ready(CLIENT_CERTIFICATES, shop, name)


type Shop = tuple[World, str, Audit, RunningOperator]


async def test_an_issued_certificate_costs_its_secret_its_status_and_an_event(shop: Shop) -> None:
    world, namespace, audit, _ = shop
    await certificate(world, namespace, "one-more")
    await asyncio.sleep(1)
    assert audit.writes() == {"create secrets": 1, "patch clientcertificates/status": 1, "create events": 1}


async def test_a_renewal_costs_the_same(shop: Shop) -> None:
    world, namespace, audit, _ = shop
    item = CLIENT_CERTIFICATES.item(namespace, "billing-0")
    revision = (await world.api.get(item))["status"]["revision"]
    await world.api.merge_patch(item, {"metadata": {"annotations": {RENEW_REQUESTED: "now"}}})

    async def renewed() -> bool:
        return bool((await world.api.get(item))["status"]["revision"] > revision)

    await eventually(renewed)
    await asyncio.sleep(1)
    assert audit.writes() == {"patch secrets": 1, "patch clientcertificates/status": 1, "create events": 1}


async def test_nothing_costs_nothing_whatever_is_touched(shop: Shop) -> None:
    world, namespace, audit, _ = shop
    labels = {"metadata": {"labels": {"touched": "yes"}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(namespace, "billing-0"), labels)
    await world.api.merge_patch(OAUTH_CLIENTS.item(namespace, "billing"), labels)
    await world.api.merge_patch(SECRETS.item(namespace, "billing-1"), labels)
    await world.api.merge_patch(AUTHORITY, labels)
    await asyncio.sleep(3)
    assert audit.writes() == {}


async def test_a_restart_costs_nothing(shop: Shop) -> None:
    world, namespace, audit, operator = shop
    await operator.end()
    await world.operator("restarted")
    await certificate(world, namespace, "marker")
    await asyncio.sleep(1)
    assert audit.writes() == {"create secrets": 1, "patch clientcertificates/status": 1, "create events": 1}


async def test_another_root_costs_each_certificate_two_secrets_and_two_statuses(shop: Shop) -> None:
    """The next root into ``ca.crt``, then a certificate under it; and nothing while it waits."""
    world, _, audit, _ = shop
    await world.api.merge_patch(AUTHORITY, {"metadata": {"annotations": {ROTATE_REQUESTED: "now"}}})

    async def retiring() -> bool:
        rotation = (await world.api.get(AUTHORITY))["status"].get("rotation") or {}
        return bool(rotation.get("phase") == "Retiring")

    await eventually(retiring, within=60)
    await asyncio.sleep(1)
    found = audit.writes()
    assert found["patch clientcertificates/status"] == 2 * CERTIFICATES
    # And the issuer's own certificate, once for its bundle and once for its root.
    assert found["patch secrets"] == 2 * CERTIFICATES + 2, found
    # The next root, the switch, the next one's end, the intermediate.
    assert (found["create secrets"], found["update secrets"], found["delete secrets"]) == (1, 2, 1)
    await asyncio.sleep(6)
    assert audit.writes() == {}
