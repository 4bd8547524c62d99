"""Keystores under a password of the user's: read by Java and openssl, used in a handshake, and kept."""

import asyncio
import base64
import json
import logging
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builders.java import keytool
from builders.world import Object, World, condition, eventually
from mintls.kube.paths import CLIENT_CERTIFICATES, EVENTS, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

type Files = dict[str, bytes]

FIRST, SECOND = "a first ~passphrase", "another passphrase"
KEYSTORES = {kind: {"passwordSecretRef": {"name": "passphrase"}} for kind in ("pkcs12", "jks")}
NAMES = {"keystore.p12", "truststore.p12", "keystore.jks", "truststore.jks"}
PASSWORD = "passphrase"


async def password(world: World, shop: str, **values: str) -> None:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": PASSWORD}, "data": data}
    await world.api.create(SECRETS.collection(shop), body)


async def change(world: World, shop: str, secret: str, **body: Any) -> None:
    await world.api.merge_patch(SECRETS.item(shop, secret), body)


async def asked_for(world: World, *, with_password: bool = True) -> str:
    """A namespace with a client and a certificate with both kinds of keystores."""
    await world.authority()
    world.running = await world.operator()
    shop = await world.namespace()
    if with_password:
        await password(world, shop, password=FIRST)
    await world.client(shop, scopes=["orders.read"])
    await world.certificate(shop, keystores=KEYSTORES)
    return shop


async def serial_in(folder: Path, files: Files, passphrase: str) -> str:
    """The serial number of the certificate in each keystore that opens, as openssl and keytool see it."""
    for name in ("keystore.p12", "keystore.jks"):
        (folder / name).write_bytes(files[name])
    return await asyncio.to_thread(_serial_in, folder, passphrase)


def _serial_in(folder: Path, passphrase: str) -> str:
    command = ["openssl", "pkcs12", "-in", "keystore.p12", "-nokeys", "-clcerts", "-passin", f"pass:{passphrase}"]
    found = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    by_openssl = _serial(found.stdout) if found.returncode == 0 else ""
    listing = [keytool(), "-exportcert", "-rfc", "-alias", "certificate", "-keystore", "keystore.jks"]
    arguments = [*listing, "-storetype", "JKS", "-storepass", passphrase]
    found = subprocess.run(arguments, cwd=folder, capture_output=True, check=False)
    by_java = _serial(found.stdout) if found.returncode == 0 else ""
    return by_java if by_java == by_openssl else f"{by_openssl} and {by_java}"


def _serial(pem: bytes) -> str:
    command = ["openssl", "x509", "-noout", "-serial"]
    return subprocess.run(command, input=pem, capture_output=True, check=True, text=False).stdout.decode().strip()


async def right(world: World, shop: str, folder: Path, passphrase: str = FIRST) -> Files:
    """Wait until the keystores hold the certificate of ``tls.crt`` under a password."""

    async def look() -> Files | None:
        files = await world.secret(shop)
        if not files.keys() >= NAMES:
            return None
        return files if await serial_in(folder, files, passphrase) == _serial(files["tls.crt"]) else None

    found: Files = await eventually(look, every=0.5)
    return found


async def ready(world: World, shop: str) -> Object:
    return condition(await world.get(CLIENT_CERTIFICATES, shop, "billing"), "Ready")


def reads(world: World) -> list[str]:
    """The Secrets of users and certificates that were read by now, as the API server's audit log has it."""
    if world.cluster.audit_log is None:
        return []
    events = map(json.loads, world.cluster.audit_log.read_text().splitlines())
    seen = [event["objectRef"] for event in events if event["verb"] == "get" and "objectRef" in event]
    return [one["name"] for one in seen if one.get("name") in {PASSWORD, "billing-mtls"}]


async def test_a_client_gets_a_token_with_nothing_but_its_keystore(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shop = await asked_for(world)
    await world.issuer()
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    files = await right(world, shop, tmp_path)
    (tmp_path / "ca.crt").write_bytes(files["ca.crt"])
    form = ["-d", "grant_type=client_credentials", "-d", f"client_id={files['client-id'].decode()}"]
    pair = ["--cert-type", "P12", "--cert", f"keystore.p12:{FIRST}", "--cacert", "ca.crt"]
    command = ["curl", "-sS", *pair, *form, files["token-endpoint"].decode()]
    answer = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '"access_token"' in answer.stdout

    events = (await world.api.get(EVENTS.collection(shop)))["items"]
    item = await world.get(CLIENT_CERTIFICATES, shop, "billing")
    metadata = (await world.get(SECRETS, shop, "billing-mtls"))["metadata"]
    told = repr((events, item, metadata, caplog.text))
    assert FIRST not in told
    assert base64.b64encode(FIRST.encode()).decode() not in told


async def test_another_password_is_in_the_keystores_within_seconds(world: World, tmp_path: Path) -> None:
    shop = await asked_for(world)
    before = await right(world, shop, tmp_path)
    await change(world, shop, PASSWORD, stringData={"password": SECOND})
    after = await right(world, shop, tmp_path, SECOND)
    assert after["tls.crt"] == before["tls.crt"]
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")


async def test_nothing_is_written_while_nothing_changes_whatever_restarts(world: World) -> None:
    shop = await asked_for(world)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    assert world.running is not None
    await asyncio.sleep(1)
    before = (await world.get(SECRETS, shop, "billing-mtls"))["metadata"]["resourceVersion"]
    await world.running.end()

    read = reads(world)
    again = await world.operator("again")
    await world.certificate(shop, "marker", clientRef={"name": "billing"})
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    assert reads(world) == read, "what is known to be right is not read again"
    await change(world, shop, PASSWORD, metadata={"labels": {"touched": "yes"}})
    await change(world, shop, "billing-mtls", metadata={"labels": {"touched": "yes"}})
    await asyncio.sleep(2)
    written = [what for what in again.requests.writes if what[1] in {"secrets", "clientcertificates/status"}]
    assert written == [("create", "secrets", 201), ("patch", "clientcertificates/status", 200)], "the marker's"
    secret = await world.get(SECRETS, shop, "billing-mtls")
    assert secret["metadata"]["resourceVersion"] != before
    assert condition(await world.get(CLIENT_CERTIFICATES, shop, "billing"), "Ready")["status"] == "True"


async def test_a_changed_keystore_is_put_right(world: World, tmp_path: Path) -> None:
    shop = await asked_for(world)
    good = await right(world, shop, tmp_path)
    scribble = base64.b64encode(good["keystore.p12"][:-1] + b"x").decode()
    await change(world, shop, "billing-mtls", data={"keystore.p12": scribble, "truststore.jks": None})
    after = await right(world, shop, tmp_path)
    assert after["tls.crt"] == good["tls.crt"]


async def test_without_a_password_all_else_is_there_and_it_goes_on_when_there_is_one(
    world: World, tmp_path: Path
) -> None:
    shop = await asked_for(world, with_password=False)
    found = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "PasswordMissing")
    assert f'there is no Secret "{PASSWORD}" of spec.keystores.pkcs12.passwordSecretRef: create it' in found["message"]
    files = await world.secret(shop)
    assert files.keys() >= {"tls.crt", "tls.key", "ca.crt", "client-id"}
    assert not files.keys() & NAMES

    await password(world, shop, other=FIRST)

    async def has_no_key() -> bool:
        return "has no password" in (await ready(world, shop))["message"]

    await eventually(has_no_key)
    await change(world, shop, PASSWORD, stringData={"password": f"{FIRST}\n"})
    found = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "PasswordUnusable")
    assert FIRST not in found["message"]
    await change(world, shop, PASSWORD, stringData={"password": FIRST})
    after = await right(world, shop, tmp_path)
    assert after["tls.crt"] == files["tls.crt"]
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")

    await world.api.delete(SECRETS.item(shop, PASSWORD))
    await world.reason(CLIENT_CERTIFICATES, shop, "billing", "PasswordMissing")
    assert await world.secret(shop) == after, "until the Secret is written again"
    await change(world, shop, "billing-mtls", data={"client-id": None})

    async def left_out() -> bool:
        files = await world.secret(shop)
        return "client-id" in files and not files.keys() & NAMES

    await eventually(left_out)
