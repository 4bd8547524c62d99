"""The trust bundle: in every selected namespace within a second, kept, and gone with the selector."""

import asyncio
import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from builders import pki
from builders.java import keytool
from builders.world import SYSTEM, Object, World, eventually
from mintls.core.pki.certificate import encode_pem
from mintls.kube.errors import NotFound
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CONFIGMAPS, NAMESPACES

pytestmark = pytest.mark.cluster

BLUE = {"matchLabels": {"team": "blue"}}


async def bundle(world: World, namespace: str) -> Object | None:
    try:
        return await world.get(CONFIGMAPS, namespace, "mintls-trust-bundle")
    except NotFound:
        return None


async def appears(world: World, namespace: str, *, within: float = 1.0) -> Object:
    async def look() -> Object | None:
        return await bundle(world, namespace)

    found: Object = await eventually(look, within=within)
    return found


async def vanishes(world: World, namespace: str) -> None:
    async def look() -> bool:
        return await bundle(world, namespace) is None

    await eventually(look, within=1.0)


async def label(world: World, namespace: str, **labels: str | None) -> None:
    await world.api.merge_patch(NAMESPACES.item(None, namespace), {"metadata": {"labels": labels}})


async def spec(world: World, **trust_bundle: Any) -> None:
    path = CERTIFICATE_AUTHORITIES.item(None, "default")
    await world.api.merge_patch(path, {"spec": {"trustBundle": trust_bundle}})


async def test_it_follows_the_namespaces_that_are_selected(world: World) -> None:
    await world.authority(trustBundle={"namespaceSelector": BLUE})
    await world.operator()
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    await appears(world, SYSTEM)

    late = await world.namespace()
    assert await bundle(world, late) is None
    await label(world, late, team="blue")
    assert (await appears(world, late))["data"]["ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    await label(world, late, team="red")
    await vanishes(world, late)

    await spec(world, namespaceSelector={"matchLabels": {"team": "red"}})
    await appears(world, late)
    await spec(world, namespaceSelector=None)
    await vanishes(world, late)


async def test_it_is_put_back_when_somebody_deletes_or_edits_it(world: World) -> None:
    await world.authority(trustBundle={"namespaceSelector": BLUE})
    await world.operator()
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    late = await world.namespace()
    await label(world, late, team="blue")
    good = await appears(world, late)

    await world.api.delete(CONFIGMAPS.item(late, "mintls-trust-bundle"))
    await appears(world, late)
    await world.api.merge_patch(CONFIGMAPS.item(late, "mintls-trust-bundle"), {"data": {"ca.crt": "x"}})

    async def right() -> bool:
        found = await bundle(world, late)
        return found is not None and found["data"] == good["data"]

    await eventually(right, within=1.0)


async def test_java_reads_its_keystores_and_an_own_ca_is_in_all_forms(world: World, tmp_path: Path) -> None:
    own = encode_pem(pki.authority("own").root).decode()
    await world.authority(trustBundle={"additionalCertificates": [own], "keystores": ["JKS", "PKCS12"]})
    operator = await world.operator()
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")

    # There may be one already, of an authority that was there before.
    async def has_own() -> bool:
        return own in (await appears(world, SYSTEM))["data"]["ca.crt"]

    await eventually(has_own, within=5)
    found = await appears(world, SYSTEM)
    assert found["data"]["ca.crt"].count("BEGIN") == 2
    for name, kind in (("truststore.jks", "JKS"), ("truststore.p12", "PKCS12")):
        file = tmp_path / name
        file.write_bytes(base64.b64decode(found["binaryData"][name]))
        command = [keytool(), "-list", "-keystore", str(file), "-storetype", kind, "-storepass", "changeit"]
        listed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        assert "contains 2 entries" in listed.stdout

    await operator.end()
    again = await world.operator("again")
    await world.namespace()
    await asyncio.sleep(1)
    assert ("patch", "configmaps", 200) not in again.requests.writes, "a salted keystore is not written again"

    await spec(world, keystores=[])

    async def plain() -> bool:
        current = await bundle(world, SYSTEM)
        return current is not None and "binaryData" not in current

    await eventually(plain)


async def test_an_own_ca_that_is_none_is_refused_in_words(world: World) -> None:
    leaf = encode_pem(pki.self_signed_client().certificate).decode()
    await world.authority(trustBundle={"additionalCertificates": [leaf]})
    await world.operator()

    found = await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "InvalidSpec")
    assert found["message"].startswith("spec.trustBundle.additionalCertificates[0]: ")
