"""The whole chain: objects, Secret, curl, token."""

import asyncio
import base64
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from builders.world import World, eventually
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

KINDS = {
    "default": None,
    "subjectDN": {"subjectDN": "CN=billing\\, the service,OU=shop+OU=eu,O=Example"},
    "sanDNS": {"sanDNS": "billing.example.com"},
    "sanURI": {"sanURI": "https://billing.example.com/app"},
    "sanIP": {"sanIP": "2001:db8:0::7"},
    "sanEmail": {"sanEmail": "billing@shop.example"},
}


async def token(
    folder: Path, files: dict[str, bytes], *arguments: str, grant: str = "client_credentials"
) -> tuple[int, dict[str, Any]]:
    """Ask for a token with what is in a Secret, as a workload does that mounts it."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = [
        "curl",
        "-sS",
        "-w",
        "\\n%{http_code}",
        "--cert",
        "tls.crt",
        "--key",
        "tls.key",
        "--cacert",
        "ca.crt",
        "-d",
        f"grant_type={grant}",
    ]
    answer = await asyncio.to_thread(
        subprocess.run,
        [*command, "-d", f"client_id={files['client-id'].decode()}", *arguments, files["token-endpoint"].decode()],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    body, _, status = answer.stdout.rpartition("\n")
    return int(status), json.loads(body)


def claims(answer: dict[str, Any]) -> dict[str, Any]:
    payload = answer["access_token"].split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return found


def x5t_s256(pem: bytes) -> str:
    der = load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_gets_a_bound_token_by_each_kind_of_identity(world: World, tmp_path: Path, kind: str) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    identity = KINDS[kind]
    await world.client(shop, scopes=["orders.read"], **({"tlsClientAuth": identity} if identity else {}))
    await world.certificate(shop)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    files = await world.secret(shop)

    status, answer = await token(tmp_path, files)

    assert status == 200, answer
    found = claims(answer)
    assert found["cnf"] == {"x5t#S256": x5t_s256(files["tls.crt"])}
    assert (found["client_id"], found["scope"]) == (f"{shop}:billing", "orders.read")


async def test_a_certificate_of_one_client_is_none_of_another(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    for name in ("billing", "shipping"):
        await world.client(shop, name)
        await world.certificate(shop, name)
        await world.ready(OAUTH_CLIENTS, shop, name)
        await world.ready(CLIENT_CERTIFICATES, shop, name)
    files = {**await world.secret(shop, "shipping-mtls"), "client-id": f"{shop}:billing".encode()}

    assert await token(tmp_path, files) == (
        401,
        {"error": "invalid_client", "error_description": "client authentication failed"},
    )


async def test_a_certificate_of_another_authority_is_refused_and_of_a_named_one_taken(
    world: World, tmp_path: Path
) -> None:
    await world.authority()
    await world.authority("other")
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, authorityRef={"name": "other"})
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    files = await world.secret(shop)

    assert (await token(tmp_path, files))[0] == 401, "ca.crt has the issuer's root, too: curl trusts it"
    await world.api.merge_patch(
        OAUTH_CLIENTS.item(shop, "billing"), {"spec": {"authorities": [{"name": "default"}, {"name": "other"}]}}
    )

    async def taken() -> bool:
        return (await token(tmp_path, files))[0] == 200

    assert await eventually(taken)


async def test_suspending_a_client_refuses_it_within_a_second_and_lets_it_in_again(
    world: World, tmp_path: Path
) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    files = await world.secret(shop)
    assert (await token(tmp_path, files))[0] == 200

    for suspended, wanted in ((True, 401), (False, 200)):
        await world.api.merge_patch(OAUTH_CLIENTS.item(shop, "billing"), {"spec": {"suspended": suspended}})

        async def answered(status: int = wanted) -> bool:
            return (await token(tmp_path, files))[0] == status

        await eventually(answered, within=5)
        client = await world.ready(OAUTH_CLIENTS, shop, "billing")
        assert client["status"]["conditions"][0]["reason"] == ("Suspended" if suspended else "Registered")


async def test_a_renewed_certificate_works_while_the_one_before_is_still_good(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, duration="1m", renewBefore="50s")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    before = await world.secret(shop)

    async def renewed() -> dict[str, bytes] | None:
        files = await world.secret(shop)
        return files if files["tls.crt"] != before["tls.crt"] else None

    after = await eventually(renewed, within=30)
    assert (await token(tmp_path, before))[0] == 200
    assert (await token(tmp_path, after))[0] == 200
