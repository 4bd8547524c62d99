"""The CRLs of an authority, as openssl reads them: who is on them, whatever became of the operator meanwhile."""

import asyncio
import base64
import os
import re
import ssl
import subprocess
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from builders.witness import openssl
from builders.world import REPOSITORY, SYSTEM, RunningOperator, World, eventually
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.paths import CLIENT_CERTIFICATES, CONFIGMAPS
from mintls.reconcile.issuedcertificates import MOST_RECORDED_BYTES
from mintls.reconcile.revocationlist import MOST_LISTED

pytestmark = pytest.mark.cluster

LISTS = CONFIGMAPS.item(SYSTEM, "mintls-crl-default")


async def pem(world: World) -> str:
    return str((await world.api.get(LISTS))["data"]["crl.pem"])


async def listed(world: World) -> frozenset[str]:
    """The serial numbers on all lists of the authority, as openssl prints them."""
    return frozenset(serial for one in split(await pem(world)) for serial in serials(one))


def split(lists: str) -> list[bytes]:
    return [
        one.encode() for one in re.findall(r"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\n", lists, re.DOTALL)
    ]


def serials(one: bytes) -> list[str]:
    found = re.findall(r"Serial Number: ([0-9A-F]+)", openssl("crl", "-noout", "-text", given=one).decode())
    return [serial.lower().lstrip("0") for serial in found]


async def serial(world: World, shop: str) -> str:
    return str((await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]["serialNumber"])


def lists_written(running: RunningOperator) -> list[tuple[str, str, int]]:
    """Writes of ConfigMaps: there is no new trust bundle when it is asked."""
    return [write for write in running.requests.writes if write[1] == "configmaps"]


class Verifier:
    """``openssl verify`` with what a Secret and the ConfigMap hold, at the time of the test's clock."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder = world, folder

    async def says(self, files: dict[str, bytes], *, check: str = "-crl_check") -> str:
        (self._folder / "ca.crt").write_bytes(files["ca.crt"])
        (self._folder / "tls.crt").write_bytes(files["tls.crt"])
        (self._folder / "crl.pem").write_text(await pem(self._world))
        at = str(int(self._world.clock().timestamp()))
        command = ("openssl", "verify", check, "-attime", at, "-CAfile", "ca.crt", "-CRLfile", "crl.pem")
        done = subprocess.run(  # noqa: ASYNC221 - it takes milliseconds
            [*command, "-untrusted", "tls.crt", "tls.crt"], cwd=self._folder, capture_output=True, check=False
        )
        return "OK" if done.returncode == 0 else done.stderr.decode()


@pytest.fixture
def verifier(world: World, tmp_path: Path) -> Verifier:
    return Verifier(world, tmp_path)


async def caught_up(running: RunningOperator) -> None:
    """It leads, and has had time for everything that was due."""

    async def leads() -> bool:
        return running.operator._lease.held and not running.operator.ready()

    await eventually(leads)
    await asyncio.sleep(1.5)


async def renew(world: World, shop: str) -> None:
    before = await serial(world, shop)
    request = {"metadata": {"annotations": {RENEW_REQUESTED: "now"}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), request)

    async def renewed() -> bool:
        return await serial(world, shop) != before

    await eventually(renewed)


async def end(world: World, shop: str, how: str) -> None:
    own = CLIENT_CERTIFICATES.item(shop, "billing")
    if how == "deleted":
        await world.api.delete(own)
    else:
        await world.api.merge_patch(own, {"spec": {"revoked": True}})


@pytest.mark.parametrize("operator", ["runs", "was stopped", "was killed"])
@pytest.mark.parametrize("how", ["revoked", "deleted"])
async def test_what_was_issued_for_an_object_is_listed_when_it_ends(
    world: World, verifier: Verifier, how: str, operator: str
) -> None:
    await world.authority()
    running = await world.operator()
    await world.issuer()
    shop = await world.shop()
    first, before = await world.secret(shop), await serial(world, shop)
    await renew(world, shop)
    second, after = await world.secret(shop), await serial(world, shop)
    assert [await verifier.says(files, check="-crl_check_all") for files in (first, second)] == ["OK", "OK"]
    await asyncio.sleep(0 if operator == "runs" else 1)  # the Lease is renewed more than twice a second here
    match operator:
        case "was stopped":
            await running.end()
        case "was killed":
            await running.kill()
    await end(world, shop, how)
    if operator != "runs":
        running = await world.operator("another")

    async def both_listed() -> bool:
        return {before, after} == await listed(world)

    await eventually(both_listed, within=10)
    for files in (first, second):
        assert "certificate revoked" in await verifier.says(files)
    text = openssl("crl", "-noout", "-text", given=split(await pem(world))[0]).decode()
    assert text.count("Cessation Of Operation") == (2 if how == "deleted" else 0)
    # And a restart costs nothing.
    await running.end()
    again = await world.operator("a-third")
    await world.certificate(shop, "marker", clientRef={"name": "billing"})
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    assert not lists_written(again)


async def test_the_issuer_serves_it_and_openssl_verifies_it(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    files, number = await world.secret(shop), await serial(world, shop)
    (tmp_path / "ca.crt").write_bytes(files["ca.crt"] + files["tls.crt"])
    context = ssl.create_default_context(cadata=files["ca.crt"].decode())
    base = f"{world.installation.issuer_url}/crl"
    key_id = openssl("x509", "-noout", "-ext", "authorityKeyIdentifier", given=files["tls.crt"]).decode()
    key_id = key_id.strip().splitlines()[-1].strip().replace(":", "")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def fetch(path: str, **headers: str) -> tuple[int, str, bytes, str]:
            async with session.get(f"{base}/{path}", headers=headers) as answer:
                return answer.status, answer.content_type, await answer.read(), answer.headers.get("ETag", "")

        async def der() -> bytes | None:
            status, media, body, _ = await fetch("default.crl")
            return body if status == 200 and media == "application/pkix-crl" else None

        empty = await eventually(der)
        assert await fetch(f"default/{key_id}.crl") == await fetch("default.crl")
        _, _, whole, tag = await fetch("default.pem")
        assert whole.decode() == await pem(world)
        assert (await fetch("default.pem", **{"If-None-Match": tag}))[0] == 304
        assert (await fetch("other.crl"))[0] == (await fetch("default/00.crl"))[0] == (await fetch("default"))[0] == 404
        await end(world, shop, "revoked")

        async def revoked() -> bytes | None:
            body = await der()
            return body if body and serials(openssl("crl", "-inform", "DER", given=body)) == [number] else None

        lists = (empty, await eventually(revoked, within=5))
    numbers = []
    for one in lists:
        command = ("crl", "-inform", "DER", "-noout", "-crlnumber", "-CAfile", str(tmp_path / "ca.crt"))
        done = subprocess.run(["openssl", *command], input=one, capture_output=True, check=False)  # noqa: ASYNC221
        assert b"verify OK" in done.stderr
        numbers.append(int(done.stdout.decode().split("=")[1], 16))
    assert numbers[0] < numbers[1]


async def test_leaves_of_an_intermediate_that_was_replaced_are_listed_by_its_own_key(
    world: World, verifier: Verifier
) -> None:
    await world.authority(selfSigned={"intermediate": {"duration": "20m"}})
    running = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, duration="15m", renewBefore="2m")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    old, before = await world.secret(shop), await serial(world, shop)
    await running.end()
    world.clock.pass_(timedelta(minutes=9))
    await world.operator("another")

    async def replaced() -> bool:
        return len(split(await pem(world))) == 3  # its own, that of the one before, the root's

    await eventually(replaced)
    await renew(world, shop)
    new = await world.secret(shop)
    assert [await verifier.says(files, check="-crl_check_all") for files in (old, new)] == ["OK", "OK"]
    await end(world, shop, "deleted")

    async def revoked() -> bool:
        said = [await verifier.says(files) for files in (old, new)]
        return all("certificate revoked" in one for one in said)

    await eventually(revoked, within=10)
    assert [before in serials(one) for one in split(await pem(world))] == [False, True, False]


async def test_a_list_is_renewed_at_half_of_its_time_and_put_back_when_somebody_takes_it_away(world: World) -> None:
    await world.authority()
    running = await world.operator()
    await world.issuer()
    shop = await world.shop()
    gone = await serial(world, shop)
    await end(world, shop, "deleted")

    async def is_listed() -> bool:
        return gone in await listed(world)

    await eventually(is_listed)
    await asyncio.sleep(1.1)
    await world.api.delete(LISTS)
    await eventually(is_listed, within=5)
    await running.end()
    before = await pem(world)
    for days, writes, there in ((3, 0, True), (1, 1, True), (3, 0, True), (1, 1, False)):
        world.clock.pass_(timedelta(days=days))
        again = await world.operator(f"after-{days}")
        await caught_up(again)
        await again.end()
        assert len(lists_written(again)) == writes
        assert (await pem(world) != before) is bool(writes)
        assert (gone in await listed(world)) is there, "on one list that was made after its end, and not longer"
        before = await pem(world)


async def test_the_commands_of_the_page(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    for name, content in (await world.secret(shop)).items():
        (tmp_path / name).write_bytes(content)
    page = (REPOSITORY / "docs" / "revocation.md").read_text()
    [block] = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    environment = world.cluster.environment()
    environment["PATH"] = f"{world.cluster.kubectl_path.parent}{os.pathsep}{environment['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", block),
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "tls.crt: OK" in out.decode()
    assert "verify OK" in err.decode()
    assert "No Revoked Certificates." in out.decode()


async def test_the_api_takes_as_much_as_would_be_written_at_most(world: World) -> None:
    full = base64.b64encode(bytes(MOST_RECORDED_BYTES)).decode()
    for name, content in (
        ("mintls-issued-other", {"binaryData": {"issued.msgpack": full}}),
        ("mintls-crl-other", {"data": {"crl.pem": "x" * 72 * MOST_LISTED}}),
    ):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **content}
        await world.api.create(CONFIGMAPS.collection(SYSTEM), body)
        await world.api.apply(CONFIGMAPS.item(SYSTEM, name), body)
