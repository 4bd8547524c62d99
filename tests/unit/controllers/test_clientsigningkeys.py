"""The Secret with the signing keys that clients ask for, written as seldom as can be."""

import base64
from datetime import datetime
from typing import Any

from builders.fake_api import FakeApi
from builders.objects import after
from builders.pki import NOW
from builders.registrations import registration
from mintls.controllers.clientsigningkeys import COMPONENT, NAME, ClientSigningKeysController
from mintls.controllers.keys import Key, Kind
from mintls.controllers.signingsecret import SigningSecret
from mintls.controllers.writer import Writer
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.signing_keys import SigningKey, decode_signing_keys
from mintls.reconcile.clientsigningkeys import Wanted, wanted

SECRET = f"/api/v1/namespaces/mintls-system/secrets/{NAME}"
BILLING, ORDERS = registration(dedicated_key=True), registration(name="orders", dedicated_key=True)
FILE = "client-uid-shop-billing.json"


class World:
    def __init__(self, *clients: Registration) -> None:
        self.api, self.now, self.clients = FakeApi(), NOW, list(clients)
        self.gone: list[str] = []
        writer = Writer(self.api.client, lambda: 60.0)
        secret = SigningSecret(
            api=self.api.client, writer=writer, namespace="mintls-system", name=NAME, component=COMPONENT
        )
        self.controller = ClientSigningKeysController(
            secret=secret, wanted=self.wanted, is_there=lambda: SECRET in self.api.objects, clock=lambda: self.now
        )

    def wanted(self) -> Wanted:
        known = {"uid-shop-billing", "uid-shop-orders"} - set(self.gone)
        return wanted([one for one in self.clients if one.uid not in self.gone], known, "ES256")

    async def look(self) -> datetime | None:
        return await self.controller.reconcile(Key(Kind.CLIENT_SIGNING_KEYS))

    @property
    def files(self) -> dict[str, tuple[SigningKey, ...]]:
        data: dict[str, str] = self.api.objects[SECRET]["data"]
        return {file: decode_signing_keys(base64.b64decode(value)) for file, value in data.items()}


async def test_nothing_is_read_or_written_where_nobody_asks() -> None:
    world = World(registration())
    assert await world.look() is None
    assert world.api.writes == []


async def test_keys_are_made_once_and_in_one_write() -> None:
    world = World(BILLING, ORDERS, registration(name="a", uid="other", signing_algorithm="EdDSA"))
    assert await world.look() == NOW
    assert await world.look() == after(days=29)
    assert [verb for verb, _ in world.api.writes] == ["create"]
    assert sorted(world.files) == [
        "algorithm-EdDSA.json",
        "client-uid-shop-billing.json",
        "client-uid-shop-orders.json",
    ]
    kids = [key.kid for keys in world.files.values() for key in keys]
    assert len(set(kids)) == 3, "no two clients share one"


async def test_a_client_that_goes_takes_its_keys_along_and_no_others() -> None:
    world = World(BILLING, ORDERS)
    await world.look()
    before = world.files
    world.gone = ["uid-shop-billing"]
    await world.look()
    assert {file: [key.kid for key in keys] for file, keys in world.files.items()} == {
        "client-uid-shop-orders.json": [key.kid for key in before["client-uid-shop-orders.json"]]
    }


async def test_a_broken_set_is_made_anew_and_the_others_stay() -> None:
    world = World(BILLING, ORDERS)
    await world.look()
    other = world.files["client-uid-shop-orders.json"]
    world.api.objects[SECRET]["data"][FILE] = "e30="
    await world.look()
    assert len(world.files[FILE]) == 1
    assert [key.kid for key in world.files["client-uid-shop-orders.json"]] == [key.kid for key in other]


async def test_a_secret_of_somebody_else_is_not_touched() -> None:
    world = World(BILLING)
    theirs: dict[str, Any] = {"metadata": {"name": NAME, "labels": {}}, "data": {}}
    world.api.have(SECRET, theirs)
    assert await world.look() == after(minutes=5)
    assert world.api.writes == []
