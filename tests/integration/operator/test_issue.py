"""From two objects to a credential in a Secret."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from builders.world import SYSTEM, World, condition, eventually, free_port
from mintls.core.pki.certificate import thumbprint
from mintls.core.pki.origin import Origin, read_origin
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, EVENTS, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster


async def test_two_objects_become_a_credential_that_openssl_verifies(world: World, tmp_path: Path) -> None:
    await world.authority()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.operator()
    await world.issuer()

    ready = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    client = await world.ready(OAUTH_CLIENTS, shop, "billing")
    files = await world.secret(shop)

    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    command = "openssl verify -x509_strict -purpose sslclient -CAfile ca.crt -untrusted tls.crt tls.crt"
    verified = await asyncio.to_thread(
        subprocess.run, command.split(), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert verified.stdout.strip() == "tls.crt: OK", verified.stderr
    assert files["client-id"].decode() == f"{shop}:billing" == client["status"]["clientID"]
    assert files["token-endpoint"].decode() == world.installation.token_endpoint
    assert files["issuer"].decode() == world.installation.issuer_url
    leaf = x509.load_pem_x509_certificate(files["tls.crt"])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"spiffe://cluster.local/ns/{shop}/client/billing"
    ]
    assert read_origin(names) == Origin("ClientCertificate", ready["metadata"]["uid"])
    assert len(list(names)) == 2
    assert not list(leaf.subject)
    assert ready["status"]["thumbprint"] == thumbprint(leaf)
    assert ready["status"]["serialNumber"] == f"{leaf.serial_number:x}"


async def test_an_issued_certificate_costs_two_writes_and_one_event(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    before = len(await operator.at_rest())

    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")

    assert sorted(await operator.writes(3, before)) == [
        ("create", "events", 201),
        ("create", "secrets", 201),
        ("patch", "clientcertificates/status", 200),
    ]


async def test_a_client_costs_one_write_when_the_issuer_is_there(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, "first")
    await world.ready(OAUTH_CLIENTS, shop, "first")
    before = len(await operator.at_rest())

    await world.client(shop, "second")
    await world.ready(OAUTH_CLIENTS, shop, "second")

    assert await operator.writes(1, before) == [("patch", "oauthclients/status", 200)]


async def test_the_authority_shows_its_public_keys_and_keeps_its_private_ones(world: World) -> None:
    await world.authority()
    await world.operator()

    authority = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")

    [key] = authority["status"]["keys"]
    root = await world.secret(SYSTEM, "mintls-authority-default-root")
    intermediate = await world.secret(SYSTEM, "mintls-authority-default-intermediate")
    assert key["role"] == "active"
    assert key["certificate"].encode() == root["tls.crt"] == intermediate["ca.crt"]
    assert key["intermediate"].encode() == intermediate["tls.crt"]
    assert not (await world.get(SECRETS, SYSTEM, "mintls-authority-default-root"))["metadata"].get("ownerReferences")


async def test_the_objects_of_a_user_carry_no_annotation_and_no_finalizer_of_ours(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    before = {
        OAUTH_CLIENTS: await world.client(shop),
        CLIENT_CERTIFICATES: await world.certificate(shop),
    }
    for resource, created in before.items():
        found = await world.ready(resource, shop, "billing")
        assert found["spec"] == created["spec"]
        for field in ("annotations", "labels", "finalizers", "ownerReferences"):
            assert found["metadata"].get(field) == created["metadata"].get(field), field


async def test_objects_in_the_wrong_order_become_ready(world: World) -> None:
    operator = await world.operator()
    shop = await world.namespace()
    await world.certificate(shop)
    missing = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ClientNotFound")
    assert missing["message"] == (
        f'there is no OAuthClient "billing" in namespace {shop}: create it, or correct spec.clientRef.name'
    )
    await world.client(shop)
    await world.reason(CLIENT_CERTIFICATES, shop, "billing", "AuthorityNotFound")
    await world.authority()

    found = await world.ready(CLIENT_CERTIFICATES, shop, "billing")

    assert [c["type"] for c in found["status"]["conditions"]] == ["Ready"]

    # Events are written beside the status, so the last one may come after it.
    async def all_are_told() -> bool:
        events = await world.api.get(EVENTS.collection(shop))
        reasons = [event["reason"] for event in events["items"] if event["regarding"]["kind"] == "ClientCertificate"]
        return sorted(reasons) == ["AuthorityNotFound", "ClientNotFound", "Issued"]

    await eventually(all_are_told)
    assert not operator.task.done()


async def test_registered_is_seen_at_the_issuer_never_assumed(world: World) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)

    waiting = await world.reason(OAUTH_CLIENTS, shop, "billing", "WaitingForIssuer")
    assert f"127.0.0.1:{world.ports[1]}: no answer" in waiting["message"]
    await world.issuer()

    client = await world.ready(OAUTH_CLIENTS, shop, "billing")
    assert condition(client, "Registered")["status"] == "True"


async def test_a_client_is_registered_only_when_the_last_replica_knows_it(world: World) -> None:
    await world.authority()
    other = (free_port(), free_port())
    replicas = tuple(f"127.0.0.1:{port}" for port in (world.ports[1], other[1]))
    await world.operator(issuer_replicas=replicas)
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)

    waiting = await world.reason(OAUTH_CLIENTS, shop, "billing", "WaitingForIssuer")
    assert waiting["message"].startswith("1 of 2 issuer replicas know generation 1; ")
    await world.issuer(ports=other)

    await world.ready(OAUTH_CLIENTS, shop, "billing")
