"""The operator is killed at every single write, before it and after it, each time that it is started: it ends the same.

These are the plans for what there is once in an installation, or that concern all namespaces, so that they cannot be
tried side by side. No life of the operator comes further than to its first write.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from builders import pki
from builders.endstate import State, differences, end_state, installed_state
from builders.kills import KillingApi, killing_api
from builders.lives import Done, Lives, never_kindly
from builders.plans import Look, Step, all_ready, always
from builders.world import SYSTEM, World, condition
from integration.operator.test_restart_pods import give_rights, make_pods, renew, take_rights
from mintls.api.v1alpha1.certificateauthority import ROTATE_REQUESTED
from mintls.controllers.clustertrustbundle import NAME as BUNDLE
from mintls.core.oauth.signing_keys import decode_signing_keys
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.keys import encode_private_key
from mintls.kube.errors import NotFound
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CLIENT_CERTIFICATES,
    CLUSTER_TRUST_BUNDLES,
    CONFIGMAPS,
    PODS,
    SECRETS,
)

pytestmark = pytest.mark.cluster

type Life = Callable[[Lives, Done], Awaitable[list[str]]]

QUICK = {"root": {"trustBeforeUse": "1s", "reissueWithin": "2s"}}
AUTHORITY = CERTIFICATE_AUTHORITIES.item(None, "default")


@pytest.fixture
def right_to_evict(world: World) -> Iterator[None]:
    give_rights(world)
    yield
    take_rights(world)


@pytest.fixture
async def proxy(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KillingApi]:
    never_kindly(monkeypatch)
    async with killing_api(world.cluster.kubeconfig) as one:
        yield one


@dataclass(frozen=True, slots=True)
class Plan:
    """What is there first, what then happens, and whether the operator has carried it out."""

    name: str
    prepare: Step
    prepared: Look
    act: Step
    done: Look


async def nothing(_world: World, _shop: str) -> None:
    """Nothing."""


async def credential(world: World, shop: str) -> None:
    await world.client(shop)
    await world.certificate(shop, duration="1h")


async def before_it_signs(world: World, shop: str) -> None:
    await world.authority(selfSigned=QUICK)
    await credential(world, shop)


async def installed(world: World, _shop: str) -> bool:
    await world.get(SECRETS, SYSTEM, "mintls-signing-keys")
    await world.get(SECRETS, SYSTEM, "mintls-issuer-tls")
    await world.get(CONFIGMAPS, SYSTEM, "mintls-trust-bundle")
    return condition(await world.api.get(AUTHORITY), "Ready")["status"] == "True"


async def months_pass(world: World, _shop: str) -> None:
    """The intermediate is past half of its life, the signing key past its time, the certificates are long over."""
    world.clock.pass_(timedelta(days=46))


async def renewed(world: World, shop: str) -> bool:
    hour_ago = world.clock() - timedelta(hours=1)
    keys = decode_signing_keys((await world.secret(SYSTEM, "mintls-signing-keys"))["keys.json"])
    leaf = await _leaf(world, shop, "billing-mtls")
    status = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]
    if status["serialNumber"] != f"{leaf.serial_number:x}":
        return False
    leaves = [leaf, await _leaf(world, SYSTEM, "mintls-issuer-tls")]
    signer = await _leaf(world, SYSTEM, "mintls-authority-default-intermediate")
    new = all(one.not_valid_before_utc > hour_ago for one in (*leaves, signer))
    return new and max(key.created_at for key in keys) > hour_ago and await all_ready(world, shop)


async def _leaf(world: World, namespace: str, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((await world.secret(namespace, name))["tls.crt"])


async def root_rotation_asked_for(world: World, _shop: str) -> None:
    await world.api.merge_patch(AUTHORITY, {"metadata": {"annotations": {ROTATE_REQUESTED: "now"}}})


async def retiring(world: World, shop: str) -> bool:
    rotation = (await world.api.get(AUTHORITY))["status"].get("rotation") or {}
    return rotation.get("phase") == "Retiring" and await all_ready(world, shop)


async def retiring_root(world: World, shop: str) -> None:
    """Another root signs already, and the one before is trusted until its certificates are over."""
    await before_it_signs(world, shop)
    await root_rotation_asked_for(world, shop)


async def hours_pass(world: World, _shop: str) -> None:
    """The last certificate of the old root is over."""
    world.clock.pass_(timedelta(hours=3))


async def old_root_gone(world: World, shop: str) -> bool:
    leaf = await _leaf(world, shop, "billing-mtls")
    over = not (await world.api.get(AUTHORITY))["status"].get("rotation")
    return over and leaf.not_valid_before_utc > world.clock() - timedelta(hours=1) and await all_ready(world, shop)


async def pod_with_credential(world: World, shop: str) -> None:
    await before_it_signs(world, shop)
    await make_pods(world, shop, 1)


async def renewal_with_restart(world: World, shop: str) -> None:
    await renew(world, shop)


async def pod_restarted(world: World, shop: str) -> bool:
    """There is one that has not begun yet: it will read what is there now."""
    pods = [item async for page in world.api.list_pages(PODS.collection(shop)) for item in page["items"]]
    begun = [pod["metadata"]["name"] for pod in pods if pod["status"].get("containerStatuses")]
    found = await world.get(CLIENT_CERTIFICATES, shop, "billing")
    return bool(pods) and not begun and found["status"]["revision"] == 2 and await all_ready(world, shop)


async def own_ca(world: World, shop: str) -> None:
    await world.authority()
    await _put_ca(world)
    await world.authority("corporate", secretRef={"name": "corporate-ca"})
    await world.client(shop, authorities=[{"name": "corporate"}])
    await world.certificate(shop, authorityRef={"name": "corporate"})


async def _put_ca(world: World) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    ends = {"root_not_after": now + timedelta(days=300), "intermediate_not_after": now + timedelta(days=60)}
    ca = pki.authority("corporate", not_before=now - timedelta(hours=1), **ends)
    files = {
        "tls.crt": encode_pem(ca.intermediate).decode(),
        "tls.key": encode_private_key(ca.signer.key).decode(),
        "ca.crt": encode_pem(ca.root).decode(),
    }
    meta = {"name": "corporate-ca", "labels": {"mintls.dev/authority": "corporate"}}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": files}
    await world.api.apply(SECRETS.item(SYSTEM, "corporate-ca"), body, field_manager="somebody")


async def ready_with_list(world: World, shop: str) -> bool:
    """Also the CRL of the CA that goes soon: it stays for what that CA has signed."""
    found = await world.get(CONFIGMAPS, SYSTEM, "mintls-crl-corporate")
    return "crl.pem" in found["data"] and await all_ready(world, shop)


async def another_ca(world: World, _shop: str) -> None:
    await _put_ca(world)


async def under_another_ca(world: World, shop: str) -> bool:
    rotation = (await world.get(CERTIFICATE_AUTHORITIES, None, "corporate"))["status"].get("rotation") or {}
    return rotation.get("phase") == "Retiring" and await all_ready(world, shop)


PLANS = (
    Plan("an installation", nothing, always, nothing, installed),
    Plan("months later", credential, all_ready, months_pass, renewed),
    Plan("another root", before_it_signs, all_ready, root_rotation_asked_for, retiring),
    Plan("the end of the old root", retiring_root, retiring, hours_pass, old_root_gone),
    Plan("a pod that is restarted", pod_with_credential, all_ready, renewal_with_restart, pod_restarted),
    Plan("another CA of one's own", own_ca, ready_with_list, another_ca, under_another_ca),
)


@pytest.mark.parametrize("plan", PLANS, ids=[plan.name for plan in PLANS])
@pytest.mark.usefixtures("right_to_evict")
async def test_killed_at_each_write_in_turn_it_ends_the_same(world: World, proxy: KillingApi, plan: Plan) -> None:
    await world.issuer(ready=False)
    lives = Lives(world, proxy)
    once, wanted = await carried_out(world, lives, plan, Lives.undisturbed)
    assert once, "nothing was written"
    await empty(world)
    again, found = await carried_out(world, lives, plan, Lives.in_a_row)
    assert "\n".join(differences(found, wanted)) == "", (once, again)
    assert certificates(again) == certificates(once), "no certificate is issued twice"


async def carried_out(world: World, lives: Lives, plan: Plan, life: Life) -> tuple[list[str], State]:
    """The writes that the plan took, and what there is then."""
    shop = await world.namespace()
    await plan.prepare(world, shop)
    if plan.prepare is not nothing:
        await lives.undisturbed(lambda: plan.prepared(world, shop))
    await plan.act(world, shop)
    writes = await life(lives, lambda: plan.done(world, shop))
    return writes, {"installation": await installed_state(world), "shop": await end_state(world, shop)}


async def empty(world: World) -> None:
    await world.clean()
    world.clock.come_back()
    for path in (CONFIGMAPS.item(SYSTEM, "mintls-trust-bundle"), CLUSTER_TRUST_BUNDLES.item(None, BUNDLE)):
        with contextlib.suppress(NotFound):
            await world.api.delete(path)


def certificates(writes: list[str]) -> list[str]:
    return sorted(write for write in writes if " secrets " in write)
