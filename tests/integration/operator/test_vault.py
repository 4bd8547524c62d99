"""A real OpenBao, which has Vault's API, signs the certificates: by either login, sealed, without a right, wrongly."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from builders import pki
from builders.openbao import ROOT_TOKEN, OpenBao, forget_reviewer
from builders.step_ca import leaf_of
from builders.world import SYSTEM, World, condition, eventually
from clusterlib.openbao import ensure_openbao
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from integration.operator.test_request import certificate_of, openssl_request
from integration.operator.test_step_ca import annotate, commands, issued, renewed
from integration.operator.test_token import token
from mintls.core.pki.certificate import encode_pem
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, EVENTS, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Path:
    with uncaptured(pytestconfig):
        return ensure_openbao(Progress())


@pytest.fixture
async def bao(program: Path, tmp_path: Path) -> AsyncIterator[OpenBao]:
    one = OpenBao.make(program, tmp_path / "openbao")
    await one.start()
    yield one
    await one.stop()


async def give(world: World, value: str) -> None:
    """The Secret with the token, with the label that makes a change known at once."""
    metadata = {"name": "vault", "labels": {"mintls.dev/authority": "vault"}}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"token": f"{value}\n"}}
    await world.api.apply(SECRETS.item(SYSTEM, "vault"), body)


async def shop_of(world: World, bao: OpenBao, root: str, **auth: object) -> str:
    """A client that is vouched for by Vault alone; the issuer has its own authority."""
    await world.authority()
    await world.authority("vault", **bao.spec(root, **auth))
    await world.operator()
    await world.issuer()
    name = await world.namespace()
    await world.client(name, authorities=[{"name": "vault"}])
    await world.certificate(name, authorityRef={"name": "vault"}, duration="1h")
    return name


async def test_it_issues_and_renews_and_the_certificate_gets_a_token(
    world: World, bao: OpenBao, tmp_path: Path
) -> None:
    root = await bao.make_ca()
    shop = await shop_of(world, bao, root)
    waits = await world.reason(CERTIFICATE_AUTHORITIES, None, "vault", "SecretMissing")
    assert f"there is no Secret {SYSTEM}/vault" in waits["message"]

    secret = await bao.make_token()
    await give(world, secret)
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
    said = str([item async for page in world.api.list_pages(EVENTS.collection()) for item in page["items"]])
    assert secret not in said + str(await world.get(CERTIFICATE_AUTHORITIES, None, "vault"))
    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))

    async def refused() -> bool:
        return (await token(tmp_path, after))[0] == 401

    await eventually(refused, within=5)


async def test_it_knows_the_operator_by_its_service_account(world: World, bao: OpenBao, tmp_path: Path) -> None:
    root = await bao.make_ca()
    await bao.know_service_accounts(world)
    shop = await shop_of(world, bao, root, kubernetes={"role": "mintls"})
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "vault", "RightMissing")
    assert 'needs verb "create" on resource "serviceaccounts/token"' in told["message"]
    kubectl = world.cluster.kubectl
    subject = ("--resource=serviceaccounts/token", "--resource-name=mintls-operator", "--verb=create")
    kubectl("-n", SYSTEM, "create", "role", "vault", *subject)
    try:
        account = f"--serviceaccount={SYSTEM}:mintls-operator"
        kubectl("-n", SYSTEM, "create", "rolebinding", "vault", "--role=vault", account)
        await world.api.merge_patch(
            CERTIFICATE_AUTHORITIES.item(None, "vault"), {"spec": {"policy": {"backdate": "2m"}}}
        )
        assert (await token(tmp_path, await issued(world, shop)))[0] == 200
    finally:
        kubectl("-n", SYSTEM, "delete", "role/vault", "rolebinding/vault")
        forget_reviewer(world)


async def test_sealed_it_is_told_and_waited_for_and_unsealed_it_goes_on(
    world: World, bao: OpenBao, tmp_path: Path
) -> None:
    shop = await shop_of(world, bao, await bao.make_ca())
    await give(world, await bao.make_token())
    files = await issued(world, shop)
    await bao.ask("sys/seal")
    await annotate(world, shop, "1")
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "vault", "ExternalUnreachable")
    assert f"Vault at {bao.url} cannot at present (HTTP 503)" in told["message"]
    assert (await token(tmp_path, files))[0] == 200, "what was issued stays good"
    await bao.ask("sys/unseal", key=bao.unseal_key())
    await world.ready(CERTIFICATE_AUTHORITIES, None, "vault", within=60)
    assert (await token(tmp_path, await renewed(world, shop, files)))[0] == 200


async def test_a_token_that_is_none_or_may_not_is_told_and_never_shown(world: World, bao: OpenBao) -> None:
    await world.authority()
    await world.authority("vault", **bao.spec(await bao.make_ca()))
    await world.operator()
    await give(world, "s.wrong-token-7531")
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "vault", "ExternalRefused")
    assert "refuses (HTTP 403)" in told["message"]
    await give(world, await bao.make_token("default"))

    async def without() -> bool:
        found = condition(await world.get(CERTIFICATE_AUTHORITIES, None, "vault"), "Ready")
        return 'give it the capability "update" on pki_int/sign/mintls' in found["message"]

    await eventually(without)
    said = str([item async for page in world.api.list_pages(EVENTS.collection()) for item in page["items"]])
    assert "wrong-token-7531" not in said
    await give(world, await bao.make_token())
    await world.ready(CERTIFICATE_AUTHORITIES, None, "vault")


async def test_a_token_that_was_revoked_is_replaced_by_that_of_the_secret(
    world: World, bao: OpenBao, tmp_path: Path
) -> None:
    shop = await shop_of(world, bao, await bao.make_ca())
    first = await bao.make_token()
    await give(world, first)
    files = await issued(world, shop)
    await give(world, await bao.make_token())
    await bao.ask("auth/token/revoke", token=first)
    await annotate(world, shop, "1")
    assert (await token(tmp_path, await renewed(world, shop, files)))[0] == 200


async def test_it_signs_a_request_whose_key_never_comes_here(world: World, bao: OpenBao, tmp_path: Path) -> None:
    await world.authority()
    await world.authority("vault", **bao.spec(await bao.make_ca()))
    await give(world, await bao.make_token())
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "vault"}])
    own = f"URI:spiffe://cluster.local/ns/{shop}/client/billing"
    request = await openssl_request(tmp_path, own, subject="/")
    await world.certificate(shop, authorityRef={"name": "vault"}, duration="1h", request=request)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    assert (await token(tmp_path, await certificate_of(world, shop, tmp_path)))[0] == 200


async def test_names_of_every_kind_are_asked_for(world: World, bao: OpenBao) -> None:
    await world.authority()
    allowed = {"dnsNames": ["*.example.com"], "emailAddresses": ["*@example.com"], "ipAddresses": ["10.0.0.0/8"]}
    await world.authority("vault", **bao.spec(await bao.make_ca()), policy={"allowedNames": [allowed]})
    await give(world, await bao.make_token())
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    further = {"dnsNames": ["a.example.com", "b.example.com"], "emailAddresses": ["a@example.com"]}
    await world.certificate(shop, authorityRef={"name": "vault"}, duration="1h", ipAddresses=["10.1.2.3"], **further)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    leaf = leaf_of(await world.secret(shop))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(name.value) for name in names} == {
        *further["dnsNames"],
        *further["emailAddresses"],
        "10.1.2.3",
        f"spiffe://cluster.local/ns/{shop}/client/billing",
    }


@pytest.mark.parametrize(
    ("role", "reason", "message"),
    [
        ({"allowed_uri_sans": ["spiffe://other/*"]}, "ExternalRefused", "not valid for this role"),
        ({"ou": ["added"]}, "ExternalAnswerWrong", "it does not carry exactly the names that were asked for"),
        ({"client_flag": False, "server_flag": True}, "ExternalAnswerWrong", "extended key usage lacks clientAuth"),
        ({"max_ttl": "5m"}, "ExternalAnswerWrong", "sooner than policy.minDuration lets it"),
    ],
    ids=["names", "subject", "usage", "lifetime"],
)
async def test_what_its_role_makes_of_a_request_is_not_taken(
    world: World, bao: OpenBao, role: dict[str, object], reason: str, message: str
) -> None:
    await world.authority()
    root = await bao.make_ca(**role)
    await world.authority("vault", **bao.spec(root), policy={"minDuration": "30m"})
    await give(world, await bao.make_token())
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, authorityRef={"name": "vault"}, duration="1h")
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", reason)
    assert message in told["message"]
    found = [item async for page in world.api.list_pages(SECRETS.collection(shop)) for item in page["items"]]
    assert not [item for item in found if item["metadata"]["name"] == "billing-mtls"]


async def test_a_server_of_another_root_is_shown_no_token(world: World, bao: OpenBao) -> None:
    await world.authority()
    spec = bao.spec(await bao.make_ca())
    spec["external"]["vault"]["caBundle"] = encode_pem(pki.authority("stranger").root).decode()
    await world.authority("vault", **spec)
    await give(world, await bao.make_token())
    await world.operator()
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "vault", "ExternalNotTrusted")
    assert "Put the CA's root into spec.external.vault.caBundle" in told["message"]


async def test_an_issued_certificate_costs_two_writes_and_looking_again_none(world: World, bao: OpenBao) -> None:
    await world.authority()
    await world.authority("vault", **bao.spec(await bao.make_ca()))
    await give(world, await bao.make_token())
    running = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "vault"}])
    await world.ready(CERTIFICATE_AUTHORITIES, None, "vault")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    count = len(await running.writes(0))
    await world.certificate(shop, authorityRef={"name": "vault"}, duration="1h")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    writes = [(verb, resource) for verb, resource, _ in await running.writes(2, count) if resource != "events"]
    assert sorted(writes) == [("create", "secrets"), ("patch", "clientcertificates/status")]

    count = len(running.requests.writes)
    metadata = {"metadata": {"annotations": {"note": "look again"}}}
    await world.api.merge_patch(SECRETS.item(SYSTEM, "vault"), metadata)
    await asyncio.sleep(1)
    assert running.requests.writes[count:] == []


async def test_the_commands_of_the_page_make_an_authority(
    world: World, bao: OpenBao, program: Path, tmp_path: Path
) -> None:
    await world.authority()
    await world.operator()
    environment = world.cluster.environment() | {
        "VAULT_ADDR": bao.url,
        "VAULT_CACERT": str(bao.ca_file),
        "VAULT_TOKEN": ROOT_TOKEN,
        "HOME": str(tmp_path),
    }
    (tmp_path / "vault").symlink_to(program)
    (tmp_path / "vault_ca.crt").write_bytes(bao.ca_file.read_bytes())
    paths = (tmp_path, world.cluster.kubectl_path.parent, environment["PATH"])
    environment["PATH"] = os.pathsep.join(map(str, paths))
    script = "\n".join(commands("Vault"))
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
