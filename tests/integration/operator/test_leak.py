"""A private key is in its Secret and nowhere else: not in another object, a status, an event, a log line."""

import base64
import logging
from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from builders.world import SYSTEM, World
from mintls.kube.client import ApiClient
from mintls.kube.paths import CLIENT_CERTIFICATES, SECRETS

pytestmark = pytest.mark.cluster


async def listable(api: ApiClient) -> AsyncIterator[str]:
    """The collection path of every resource that the API server can list, in its preferred version."""
    yield_from = [("/api/v1", "/api/v1")]
    for group in (await api.get("/apis"))["groups"]:
        path = f"/apis/{group['preferredVersion']['groupVersion']}"
        yield_from.append((path, path))
    for path, root in yield_from:
        for resource in (await api.get(path))["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                yield f"{root}/{resource['name']}"


def fingerprints(pem: bytes) -> tuple[str, ...]:
    """A part of the secret number as it would look in PEM, in base64 of PEM, in hexadecimal and as a number."""
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value
    # Octets 36 to 67 of PKCS #8 with a P-256 key are the number: characters 48 to 89 of the base64.
    text, body = pem.decode(), "".join(pem.decode().splitlines()[1:-1])
    assert number.to_bytes(32)[3:24] == base64.b64decode(body[52:80])
    inner = text.index(body[52:60]) // 3 * 3 + 3
    encoded = base64.b64encode(text[inner : inner + 24].encode()).decode()
    return (body[52:64], encoded, f"{number:x}"[8:40], str(number)[8:40])


async def test_no_private_key_is_anywhere_but_in_its_secret(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.shop()
    await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), {"data": {"tls.crt": "c2NyaWJibGU="}})
    await world.client(shop, "marker")
    await world.certificate(shop, "marker")
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    homes = {
        (shop, "billing-mtls"): (await world.secret(shop))["tls.key"],
        (SYSTEM, "mintls-authority-default-root"): (await world.secret(SYSTEM, "mintls-authority-default-root"))[
            "tls.key"
        ],
        (SYSTEM, "mintls-issuer-tls"): (await world.secret(SYSTEM, "mintls-issuer-tls"))["tls.key"],
    }
    wanted = {home: fingerprints(key) for home, key in homes.items()}

    found = []
    async for path in listable(world.api):
        for item in (await world.api.get(path))["items"] or []:
            text = repr(item)
            home = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
            for owner, texts in wanted.items():
                if any(each in text for each in texts):
                    found.append((path, home, owner))

    assert {(path, home) for path, home, _ in found} == {("/api/v1/secrets", home) for home in homes}
    assert all(home == owner for _, home, owner in found)
    assert len(caplog.text) > 1000
    assert not any(each in caplog.text for texts in wanted.values() for each in texts)
