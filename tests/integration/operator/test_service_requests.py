"""Certificates by Kubernetes' own ways, on a real API server: no ClientCertificate, no Secret, no key there."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from builders.pki import ec_key
from builders.servicerequests import pod_certificate_request, signing_request
from builders.world import World, eventually
from integration.operator.test_token import token
from mintls.controllers.clustertrustbundle import NAME as BUNDLE
from mintls.core.pki.certificate import facts
from mintls.core.pki.keys import encode_private_key
from mintls.core.pki.origin import Origin
from mintls.kube.client import ApiClient
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CERTIFICATE_SIGNING_REQUESTS,
    CLUSTER_TRUST_BUNDLES,
    EVENTS,
    OAUTH_CLIENTS,
    POD_CERTIFICATE_REQUESTS,
)
from mintls.reconcile.servicerequest import CLIENT_ANNOTATION

pytestmark = pytest.mark.cluster

ACCOUNTS = [{"name": "billing-app"}]


@pytest.fixture
async def shop(world: World) -> str:
    served = await world.api.get(POD_CERTIFICATE_REQUESTS.root)
    if "podcertificaterequests" not in {kind["name"] for kind in served["resources"]}:
        pytest.skip("this Kubernetes serves no PodCertificateRequests")
    await world.authority()
    await world.operator()
    await world.issuer()
    return await world.namespace()


async def ask(world: World, shop: str, key: ec.EllipticCurvePrivateKey, name: str = "request", **options: str) -> None:
    body = pod_certificate_request(key, name, **options)
    await world.api.create(POD_CERTIFICATE_REQUESTS.collection(shop), body)


async def answered(world: World, shop: str, name: str = "request") -> dict[str, Any]:
    """The status, when there is a condition; its type is in it."""

    async def look() -> dict[str, Any] | None:
        status = (await world.get(POD_CERTIFICATE_REQUESTS, shop, name)).get("status", {})
        return status if status.get("conditions") else None

    found: dict[str, Any] = await eventually(look)
    return found | {"type": found["conditions"][0]["type"]}


async def files(world: World, shop: str, key: ec.EllipticCurvePrivateKey, chain: str) -> dict[str, bytes]:
    """What a pod has: chain and key from the kubelet, roots from the ClusterTrustBundle, the rest from its owner."""
    bundle = await world.get(CLUSTER_TRUST_BUNDLES, None, BUNDLE)
    return {
        "tls.crt": chain.encode(),
        "tls.key": encode_private_key(key),
        "ca.crt": bundle["spec"]["trustBundle"].encode(),
        "client-id": f"{shop}:billing".encode(),
        "token-endpoint": world.installation.token_endpoint.encode(),
    }


async def test_a_pod_gets_a_certificate_that_gets_a_token_until_the_client_ends(
    world: World, shop: str, tmp_path: Path
) -> None:
    await world.client(shop, serviceAccounts=ACCOUNTS)
    client = await world.ready(OAUTH_CLIENTS, shop, "billing")
    key = ec_key()
    await ask(world, shop, key)
    status = await answered(world, shop)
    assert status["type"] == "Issued", status
    leaf = facts(x509.load_pem_x509_certificate(status["certificateChain"].encode()))
    assert leaf.origin == Origin("OAuthClient", client["metadata"]["uid"])
    assert (leaf.not_after - leaf.not_before).total_seconds() == 7200
    mounted = await files(world, shop, key, status["certificateChain"])
    assert (await token(tmp_path, mounted))[0] == 200

    await world.api.delete(OAUTH_CLIENTS.item(shop, "billing"))
    await world.client(shop, serviceAccounts=ACCOUNTS)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    assert (await token(tmp_path, mounted))[0] == 401, "a later client of the name is another one"


async def test_a_pod_that_no_client_knows_waits_and_is_told_why(world: World, shop: str) -> None:
    await world.client(shop)
    await ask(world, shop, ec_key())

    async def told() -> list[str]:
        return [
            item["note"]
            async for page in world.api.list_pages(EVENTS.collection(shop))
            for item in page["items"]
            if item["regarding"]["kind"] == "Pod"
        ]

    [note] = await eventually(told)
    assert note.startswith(f'no OAuthClient in namespace {shop} has service account "billing-app"')
    assert "conditions" not in (await world.get(POD_CERTIFICATE_REQUESTS, shop, "request")).get("status", {})
    await world.api.merge_patch(OAUTH_CLIENTS.item(shop, "billing"), {"spec": {"serviceAccounts": ACCOUNTS}})
    assert (await answered(world, shop))["type"] == "Issued"


async def test_of_several_clients_the_pod_says_which(world: World, shop: str) -> None:
    for name in ("billing", "shipping"):
        await world.client(shop, name, serviceAccounts=ACCOUNTS)
    await ask(world, shop, ec_key(), **{CLIENT_ANNOTATION: "shipping"})
    status = await answered(world, shop)
    leaf = facts(x509.load_pem_x509_certificate(status["certificateChain"].encode()))
    assert {name.value for name in leaf.names} == {f"spiffe://cluster.local/ns/{shop}/client/shipping"}
    await ask(world, shop, ec_key(), name="undecided")
    await asyncio.sleep(1)
    assert "conditions" not in (await world.get(POD_CERTIFICATE_REQUESTS, shop, "undecided")).get("status", {})


async def test_what_can_never_be_is_denied(world: World, shop: str) -> None:
    await world.client(shop, serviceAccounts=ACCOUNTS)
    await ask(world, shop, ec_key(), **{"example.com/size": "big"})
    status = await answered(world, shop)
    assert (status["type"], status["conditions"][0]["reason"]) == ("Denied", "UnknownAnnotation")


@pytest.fixture
async def account(world: World, shop: str) -> AsyncIterator[ApiClient]:
    """The API as a service account that may make signing requests."""
    kubectl = world.cluster.kubectl
    kubectl("-n", shop, "create", "serviceaccount", "billing-app")
    kubectl("create", "clusterrole", f"csr-{shop}", "--verb=create,get", "--resource=certificatesigningrequests")
    kubectl(
        "create",
        "clusterrolebinding",
        f"csr-{shop}",
        f"--clusterrole=csr-{shop}",
        f"--serviceaccount={shop}:billing-app",
    )
    config = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["users"][0]["user"] = {"token": kubectl("-n", shop, "create", "token", "billing-app").strip()}
    path = world.folder / "billing-app.kubeconfig"
    path.write_text(json.dumps(config))
    async with ApiClient.connect(str(path)) as api:
        yield api
    kubectl("delete", "csr", f"csr-{shop}", "--ignore-not-found")
    kubectl("delete", "clusterrole,clusterrolebinding", f"csr-{shop}")


async def request(api: ApiClient, shop: str, key: ec.EllipticCurvePrivateKey, **spec: Any) -> None:
    await api.create(CERTIFICATE_SIGNING_REQUESTS.collection(), signing_request(key, f"csr-{shop}", **spec))


async def test_a_service_account_s_signing_request_is_approved_and_signed(
    world: World, shop: str, account: ApiClient, tmp_path: Path
) -> None:
    await world.client(shop, serviceAccounts=ACCOUNTS)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    key = ec_key()
    await request(account, shop, key)

    async def signed() -> str | None:
        status = (await account.get(CERTIFICATE_SIGNING_REQUESTS.item(None, f"csr-{shop}"))).get("status", {})
        return status.get("certificate")

    chain = base64.b64decode(await eventually(signed)).decode()
    leaf = x509.load_pem_x509_certificate(chain.encode())
    assert not list(leaf.subject), "nothing is taken of the request but its key"
    assert (await token(tmp_path, await files(world, shop, key, chain)))[0] == 200


async def test_a_signing_request_of_another_account_is_left_to_others(
    world: World, shop: str, account: ApiClient
) -> None:
    await world.client(shop, serviceAccounts=[{"name": "another"}])
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await request(account, shop, ec_key())
    await asyncio.sleep(2)
    assert not (await account.get(CERTIFICATE_SIGNING_REQUESTS.item(None, f"csr-{shop}"))).get("status")


async def test_a_signing_request_for_a_server_fails(world: World, shop: str, account: ApiClient) -> None:
    await world.client(shop, serviceAccounts=ACCOUNTS)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await request(account, shop, ec_key(), usages=["digital signature", "server auth"])

    async def failed() -> bool:
        item = await account.get(CERTIFICATE_SIGNING_REQUESTS.item(None, f"csr-{shop}"))
        return [one["type"] for one in item.get("status", {}).get("conditions", ())] == ["Failed"]

    await eventually(failed)


async def test_the_cluster_trust_bundle_is_put_right(world: World, shop: str) -> None:
    await world.client(shop)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    root = (await world.get(CERTIFICATE_AUTHORITIES, None, "default"))["status"]["keys"][0]["certificate"]

    async def right() -> bool:
        return bool((await world.get(CLUSTER_TRUST_BUNDLES, None, BUNDLE))["spec"]["trustBundle"] == root)

    await eventually(right)
    await world.authority("other")

    async def both() -> bool:
        return (await world.get(CLUSTER_TRUST_BUNDLES, None, BUNDLE))["spec"]["trustBundle"].count("BEGIN") == 2

    await eventually(both)
