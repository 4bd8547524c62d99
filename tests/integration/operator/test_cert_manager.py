"""A real cert-manager signs the certificates: in order, unapproved, denied, away, restarted, and of another root."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509

from builders import cert_manager, pki
from builders.cert_manager import APPROVER, Controller, make_ca, requests
from builders.endstate import State, differences, end_state
from builders.helm import Helm
from builders.kills import Point, killing_api
from builders.lives import Done, Lives, never_kindly
from builders.step_ca import leaf_of
from builders.world import SYSTEM, World, condition, eventually
from clusterlib.certmanager import CertManager, ensure_cert_manager
from clusterlib.cluster import Cluster
from clusterlib.helm import ensure_helm
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from integration.operator.test_request import certificate_of, openssl_request
from integration.operator.test_step_ca import annotate, commands, issued, renewed
from integration.operator.test_token import token
from mintls.core.pki.certificate import encode_pem
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CERTIFICATE_REQUESTS,
    CLIENT_CERTIFICATES,
    OAUTH_CLIENTS,
    SECRETS,
    Resource,
)

pytestmark = pytest.mark.cluster

PATIENCE = "mintls.controllers.certmanagerway.PATIENCE_SECONDS"


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> CertManager:
    with uncaptured(pytestconfig):
        return ensure_cert_manager(Progress())


@pytest.fixture(scope="session")
def helm(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    with uncaptured(pytestconfig):
        return Helm(ensure_helm(Progress()), tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def kinds(
    installed: Cluster, program: CertManager, helm: Helm, tmp_path_factory: pytest.TempPathFactory
) -> CertManager:
    cert_manager.install(installed, program, helm, tmp_path_factory.mktemp("cert-manager"))
    return program


@pytest.fixture
async def controller(world: World, kinds: CertManager, tmp_path: Path) -> AsyncIterator[Controller]:
    one = Controller(kinds.controller, world.cluster.kubeconfig, tmp_path / "cert-manager.log")
    await one.start()
    yield one
    await cert_manager.clean(world)
    await one.stop()


@pytest.fixture
async def root(world: World, controller: Controller) -> str:
    """The root of an issuer of cert-manager."""
    assert controller.process
    return await make_ca(world)


@pytest.fixture
async def shop(world: World, root: str) -> str:
    """A client that is vouched for by cert-manager alone; the issuer has its own authority."""
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    await world.operator()
    await world.issuer()
    return await customer(world)


async def customer(world: World) -> str:
    name = await world.namespace()
    await world.client(name, authorities=[{"name": "corporate"}])
    await world.certificate(name, authorityRef={"name": "corporate"}, duration="1h")
    return name


async def without_approver(controller: Controller) -> None:
    await controller.stop()
    await controller.start(APPROVER)


async def decide(world: World, request: str, type_: str, message: str) -> None:
    """As an approver does it."""
    made = {"type": type_, "status": "True", "reason": "test", "message": message}
    path = CERTIFICATE_REQUESTS.status(SYSTEM, request)
    await world.api.merge_patch(path, {"status": {"conditions": [made]}})


async def test_it_issues_and_renews_and_the_certificate_gets_a_token(
    world: World, shop: str, root: str, tmp_path: Path
) -> None:
    files = await issued(world, shop)
    uid = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["metadata"]["uid"]
    leaf = leaf_of(files)
    assert leaf.subject.rfc4514_string() == f"CN=mintls:ClientCertificate:{uid}"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [f"spiffe://cluster.local/ns/{shop}/client/billing"]
    assert (await token(tmp_path, files))[0] == 200
    (tmp_path / "root.crt").write_text(root)
    (tmp_path / "tls.crt").write_bytes(files["tls.crt"])
    verify = "openssl verify -x509_strict -purpose sslclient -CAfile root.crt -untrusted tls.crt tls.crt"
    done = await asyncio.to_thread(subprocess.run, verify.split(), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

    await annotate(world, shop, "1")
    after = await renewed(world, shop, files)
    assert (await token(tmp_path, after))[0] == 200
    assert await requests(world) == [], "nothing is left behind"

    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))

    async def refused() -> bool:
        return (await token(tmp_path, after))[0] == 401

    await eventually(refused, within=5)


async def test_a_cluster_issuer_and_an_intermediate(world: World, root: str, tmp_path: Path) -> None:
    """The intermediate is sent along, and signs as an issuer of the whole cluster."""
    await cert_manager.apply(world, cert_manager.INTERMEDIATE)
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root, "ClusterIssuer"))
    await world.operator()
    await world.issuer()
    files = await issued(world, await customer(world))
    assert [one.subject.rfc4514_string() for one in x509.load_pem_x509_certificates(files["tls.crt"])][1:] == [
        "CN=Corporate Intermediate"
    ]
    assert (await token(tmp_path, files))[0] == 200


async def test_it_signs_a_request_whose_key_never_comes_here(world: World, root: str, tmp_path: Path) -> None:
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "corporate"}])
    own = f"URI:spiffe://cluster.local/ns/{shop}/client/billing"
    request = await openssl_request(tmp_path, own, subject="/")
    made = await world.certificate(shop, authorityRef={"name": "corporate"}, duration="1h", request=request)
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ExternalRefused")
    subject = f"CN=mintls:ClientCertificate:{made['metadata']['uid']}"
    assert f"make spec.request anew with the subject {subject}" in told["message"]

    request = await openssl_request(tmp_path, own, subject=f"/{subject}")
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"request": request}})
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    assert (await token(tmp_path, await certificate_of(world, shop, tmp_path)))[0] == 200


async def test_one_that_is_denied_is_told_and_not_left_behind(world: World, root: str, controller: Controller) -> None:
    await without_approver(controller)
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    await world.operator()
    shop = await customer(world)
    [made] = await eventually(lambda: requests(world))
    await decide(world, made["metadata"]["name"], "Denied", "not in this company")
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ExternalRefused")
    assert "denied (test): not in this company" in told["message"]

    async def gone() -> bool:
        return made["metadata"]["name"] not in [one["metadata"]["name"] for one in await requests(world)]

    await eventually(gone)


async def test_while_nobody_approves_one_request_waits_and_then_all_go_on(
    world: World, root: str, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PATIENCE, 1.0)
    await without_approver(controller)
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    await world.operator()
    shops = [await customer(world) for _ in range(3)]
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "corporate", "ExternalUnreachable")
    assert "nobody has approved it" in told["message"]
    for shop in shops:
        await world.reason(CLIENT_CERTIFICATES, shop, "billing", "AuthorityNotReady")
    [waiting] = await requests(world)
    assert waiting["metadata"]["name"] in told["message"]

    await controller.stop()
    await controller.start()
    await world.ready(CERTIFICATE_AUTHORITIES, None, "corporate", within=60)
    for shop in shops:
        await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    assert await requests(world) == []


async def test_a_request_of_an_operator_that_was_killed_is_swept(
    world: World, root: str, controller: Controller
) -> None:
    await without_approver(controller)
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    running = await world.operator()
    shop = await customer(world)
    [left] = await eventually(lambda: requests(world))
    await running.kill()
    assert await requests(world), "nobody lived to delete it"
    await controller.stop()
    await controller.start()
    await world.operator("operator-1")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing", within=30)

    async def swept() -> bool:
        return left["metadata"]["name"] not in [one["metadata"]["name"] for one in await requests(world)]

    await eventually(swept)
    assert await requests(world) == []


@pytest.mark.parametrize("side", ["before", "after"])
async def test_killed_at_each_write_it_ends_the_same(
    world: World, root: str, side: Literal["before", "after"], monkeypatch: pytest.MonkeyPatch
) -> None:
    never_kindly(monkeypatch)
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    await world.issuer(ready=False)
    async with killing_api(world.cluster.kubeconfig) as proxy:
        lives = Lives(world, proxy)
        once, wanted = await issued_by(world, lives, lives.undisturbed)
        assert sorted(write.rpartition(" ")[0] for write in once) == [
            "DELETE certificaterequests",
            "PATCH clientcertificates/status",
            "POST certificaterequests",
            "POST secrets",
        ]
        for number in range(1, len(once) + 1):
            point = Point(number, side)
            _, found = await issued_by(world, lives, lambda done, point=point: lives.killed(point, done))
            assert "\n".join(differences(found, wanted)) == "", str(point)


async def issued_by(
    world: World, lives: Lives, life: Callable[[Done], Awaitable[list[str]]]
) -> tuple[list[str], State]:
    """The writes that one certificate took, and what there is of its namespace then; no request is left behind."""
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "corporate"}])
    await lives.undisturbed(lambda: is_ready(world, OAUTH_CLIENTS, shop))
    await world.certificate(shop, authorityRef={"name": "corporate"}, duration="1h")

    async def done() -> bool:
        return await is_ready(world, CLIENT_CERTIFICATES, shop) and await requests(world) == []

    return await life(done), await end_state(world, shop)


async def is_ready(world: World, resource: Resource, shop: str) -> bool:
    return bool(condition(await world.get(resource, shop, "billing"), "Ready")["status"] == "True")


async def test_an_operator_that_ends_leaves_no_request_behind(world: World, root: str, controller: Controller) -> None:
    await without_approver(controller)
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    running = await world.operator()
    await customer(world)
    assert await eventually(lambda: requests(world))
    await running.end()
    assert await requests(world) == []


async def test_an_issuer_that_is_not_there_or_not_ready_is_told(world: World, root: str) -> None:
    await world.authority()
    missing = cert_manager.spec(root)
    missing["external"]["certManager"]["issuerRef"]["name"] = "corprate"
    await world.authority("missing", **missing)
    body = {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "broken"}}
    await world.api.create(
        cert_manager.ISSUERS.collection(SYSTEM), body | {"spec": {"ca": {"secretName": "not-there"}}}
    )
    broken = cert_manager.spec(root)
    broken["external"]["certManager"]["issuerRef"]["name"] = "broken"
    await world.authority("broken", **broken)
    await world.operator()
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "missing", "ExternalRefused")
    assert f'there is no Issuer "corprate" in namespace {SYSTEM}' in told["message"]
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "broken", "ExternalUnreachable")
    assert f'Issuer "broken" in namespace {SYSTEM} is not ready: ' in told["message"]
    assert "not-there" in told["message"]


async def test_a_certificate_of_another_root_is_not_taken(world: World, root: str) -> None:
    """The issuer's CA is another than the authority says: of the same name, and with another key."""
    assert root
    stranger = encode_pem(pki.authority("Corporate").root).decode()
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(stranger))
    await world.operator()
    shop = await customer(world)
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ExternalAnswerWrong")
    assert "does not lead to a root of spec.external.caBundle" in told["message"]
    found = [item async for page in world.api.list_pages(SECRETS.collection(shop)) for item in page["items"]]
    assert not [item for item in found if item["metadata"]["name"] == "billing-mtls"]


async def test_a_right_that_is_missing_is_told(world: World, root: str, helm: Helm, tmp_path: Path) -> None:
    kubectl = world.cluster.kubectl
    kubectl("-n", SYSTEM, "delete", "rolebinding", "mintls-operator-cert-manager")
    try:
        await world.authority()
        await world.authority("corporate", **cert_manager.spec(root))
        await world.operator()
        told = await world.reason(CERTIFICATE_AUTHORITIES, None, "corporate", "RightMissing")
        assert 'needs verb "get" on resource "issuers" of API group "cert-manager.io"' in told["message"]
    finally:
        cert_manager.grant(world.cluster, helm, tmp_path)


async def test_a_certificate_costs_two_writes_more_and_looking_again_none(world: World, root: str) -> None:
    await world.authority()
    await world.authority("corporate", **cert_manager.spec(root))
    running = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "corporate"}])
    await world.ready(CERTIFICATE_AUTHORITIES, None, "corporate")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    count = len(await running.writes(0))
    await world.certificate(shop, authorityRef={"name": "corporate"}, duration="1h")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    writes = [(verb, resource) for verb, resource, _ in await running.writes(4, count) if resource != "events"]
    assert sorted(writes) == [
        ("create", "certificaterequests"),
        ("create", "secrets"),
        ("delete", "certificaterequests"),
        ("patch", "clientcertificates/status"),
    ]

    count = len(running.requests.writes)
    metadata = {"metadata": {"annotations": {"note": "look again"}}}
    await world.api.merge_patch(CERTIFICATE_AUTHORITIES.item(None, "corporate"), metadata)
    await asyncio.sleep(1)
    assert running.requests.writes[count:] == []


async def test_the_commands_of_the_page_make_an_authority(world: World, controller: Controller, tmp_path: Path) -> None:
    assert controller.process
    await world.authority()
    await world.operator()
    [block] = commands("cert-manager")
    environment = world.cluster.environment()
    environment["PATH"] = f"{world.cluster.kubectl_path.parent}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", block]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert condition(await world.get(CERTIFICATE_AUTHORITIES, None, "corporate"), "Ready")["message"] == (
        f'asks Issuer "corporate" in namespace {SYSTEM} of cert-manager by CertificateRequests in namespace {SYSTEM}'
    )
