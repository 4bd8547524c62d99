"""A certificate for a key that never comes to the cluster: the request and the client are openssl's and curl's."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from builders.world import World, eventually
from integration.operator.test_people import mintls
from integration.operator.test_token import token
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster


async def openssl_request(folder: Path, *names: str, subject: str = "/CN=somebody") -> str:
    """A key in ``tls.key``, and its request."""
    added = ["-addext", f"subjectAltName={','.join(names)}"] if names else []
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    files = ["-subj", subject, "-keyout", "tls.key", "-out", "tls.csr"]
    await asyncio.to_thread(subprocess.run, [*command, *files, *added], cwd=folder, check=True, capture_output=True)
    return (folder / "tls.csr").read_text()


async def certificate_of(world: World, shop: str, folder: Path) -> dict[str, bytes]:
    """What the client has: its own key, the certificate from the status, and what else is in the Secret."""

    async def told() -> dict[str, bytes] | None:
        item = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        files = await world.secret(shop)
        return files if files["tls.crt"].decode() == item["status"]["certificate"] else None

    # The status is written after the Secret.
    files: dict[str, bytes] = await eventually(told)
    assert "tls.key" not in files, "no key in the cluster"
    return files | {"tls.key": (folder / "tls.key").read_bytes()}


async def test_the_certificate_is_in_status_and_secret_and_renewed_for_the_same_key(
    world: World, tmp_path: Path
) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    own = f"URI:spiffe://cluster.local/ns/{shop}/client/billing"
    request = await openssl_request(tmp_path, own, f"DNS:billing.{shop}.svc")
    await world.certificate(shop, request=request)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    first = await certificate_of(world, shop, tmp_path)
    assert (await token(tmp_path, first))[0] == 200
    leaf = x509.load_pem_x509_certificate(first["tls.crt"])
    assert not list(leaf.subject), "the subject of a request is not looked at"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [f"billing.{shop}.svc"]

    again = {"metadata": {"annotations": {RENEW_REQUESTED: "now"}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), again)

    async def renewed() -> bool:
        return (await world.secret(shop))["tls.crt"] != first["tls.crt"]

    await eventually(renewed)
    assert (await token(tmp_path, await certificate_of(world, shop, tmp_path)))[0] == 200

    inspected = await mintls(world, "inspect", "billing-mtls", "-n", shop)
    assert inspected.exit_code == 0, inspected.output

    other = await openssl_request(tmp_path)
    before = (await world.secret(shop))["tls.crt"]
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"request": other}})

    async def replaced() -> bool:
        return (await world.secret(shop))["tls.crt"] != before

    await eventually(replaced)
    assert (await token(tmp_path, await certificate_of(world, shop, tmp_path)))[0] == 200


async def test_a_name_that_is_not_the_client_s_is_not_taken(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    request = await openssl_request(tmp_path, "URI:spiffe://cluster.local/ns/bank/client/vault")
    await world.certificate(shop, request=request)
    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "NameNotAllowed")
    assert (
        "uris spiffe://cluster.local/ns/bank/client/vault: a URI of the trust domain is an identity"
        in refused["message"]
    )


async def test_a_request_that_proves_nothing_is_told(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    lines = (await openssl_request(tmp_path)).splitlines()
    # The signature stands at the end.
    lines[-2] = lines[-2][:4] + ("A" if lines[-2][4] != "A" else "B") + lines[-2][5:]
    await world.certificate(shop, request="\n".join(lines))
    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "InvalidSpec")
    assert refused["message"].startswith("spec.request is ")
