"""The client controller: asks the replicas until all know the client, and writes once."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from builders.fake_api import FakeApi
from builders.objects import INSTALLATION, after, body
from builders.pki import NOW
from mintls.api.v1alpha1 import CertificateAuthority, OAuthClient
from mintls.controllers.clients import ClientController
from mintls.controllers.issuers import IssuerReplicas, StaticEndpoints
from mintls.controllers.keys import Key, Kind
from mintls.controllers.objects import ObjectKey, ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.writer import Writer
from mintls.kube.events import EventRecorder
from mintls.reconcile.clienttable import ClientTable
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.oauthclient import QUIET, Answer

ITEM = "/apis/mintls.dev/v1alpha1/namespaces/shop/oauthclients/billing"
KEY = Key(Kind.CLIENT, "shop", "billing")
KNOWN = Answer("r1", uid="uid-shop-billing", generation=1)


class World:
    def __init__(self, **spec: Any) -> None:
        self.api, self.now = FakeApi(), NOW
        self.answers: tuple[Answer, ...] = (KNOWN,)
        self.asked: list[str] = []
        self.store: ObjectStore[OAuthClient] = ObjectStore(OAuthClient, self.follow)
        self.table = ClientTable(INSTALLATION, self.store.get)
        self.authorities = ObjectStore(CertificateAuthority, lambda *_: None)
        self.authorities.saw(body("default", ""))
        writer = Writer(self.api.client, lambda: 60.0)
        replicas = IssuerReplicas(StaticEndpoints(()), INSTALLATION.mtls_url)
        replicas.ask = self.ask  # type: ignore[method-assign] # no TLS here
        self.controller = ClientController(
            store=self.store,
            authorities=self.authorities,
            reporter=Reporter(self.store, writer, EventRecorder(self.api.client), self.clock),
            table=self.table,
            replicas=replicas,
            installation=INSTALLATION,
            clock=self.clock,
        )
        self.store.saw(self.api.have(ITEM, body(spec=spec)))

    def follow(self, key: ObjectKey, old: OAuthClient | None, new: OAuthClient | None) -> None:
        self.table.changed(key, old, new)

    def clock(self) -> datetime:
        return self.now

    async def ask(self, client_id: str) -> tuple[Answer, ...]:
        self.asked.append(client_id)
        return self.answers

    async def look(self) -> datetime | None:
        return await self.controller.reconcile(KEY)

    def edit(self, generation: int, **spec: Any) -> None:
        self.store.saw(self.api.have(ITEM, {**self.api.objects[ITEM], **body(spec=spec, generation=generation)}))

    @property
    def status(self) -> Any:
        item = self.store.get(("shop", "billing"))
        assert item is not None
        return item.status


async def test_a_client_that_all_know_is_registered_with_one_write() -> None:
    world = World(clientID="web")
    assert await world.look() is None
    assert world.asked == ["web"]
    assert world.api.writes == [("patch", f"{ITEM}/status")]
    assert holds(world.status.conditions, "Registered")


async def test_a_registered_client_is_not_asked_about_again() -> None:
    world = World()
    for _ in range(3):
        await world.look()
    assert (len(world.asked), len(world.api.writes)) == (1, 1)


async def test_what_it_holds_is_known_from_the_write_that_says_so() -> None:
    world = World(clientID="web")
    await world.look()
    registered = world.table.standing(("shop", "billing")).registration
    assert registered is not None
    assert ("clientID", "web") in registered.held


async def test_a_client_that_is_not_known_yet_is_asked_about_again_and_again_without_a_write_at_first() -> None:
    world = World()
    world.answers = (replace(KNOWN, uid="", generation=0),)
    waits = []
    for _ in range(QUIET):
        again = await world.look()
        assert again is not None
        waits.append(again - world.now)
    assert waits == sorted(set(waits))
    assert world.api.writes == []
    await world.look()
    assert world.api.writes == [("patch", f"{ITEM}/status")]
    world.answers = (KNOWN,)
    assert await world.look() is None
    assert holds(world.status.conditions, "Ready")


async def test_a_new_generation_has_a_quiet_period_of_its_own() -> None:
    """Asked in vain for an hour, then edited: nobody waits a quarter of a minute for what takes milliseconds."""
    world = World()
    world.answers = ()
    for _ in range(30):
        await world.look()
    world.edit(2, scopes=["a"])
    world.answers = (KNOWN,)
    again = await world.look()
    assert again is not None
    assert again <= after(seconds=0.1)


async def test_an_obstacle_is_said_and_nobody_is_asked() -> None:
    world = World(tlsClientAuth={"sanDNS": "vault.bank.svc"})
    assert await world.look() is None
    ready = find(world.status.conditions, "Ready")
    assert ready is not None
    assert (ready.reason, world.asked) == ("IdentityNotAllowed", [])


async def test_a_missing_authority_is_said_until_it_is_there() -> None:
    world = World()
    world.authorities.gone(("", "default"))
    await world.look()
    ready = find(world.status.conditions, "Ready")
    assert ready is not None
    assert ready.reason == "AuthorityNotFound"
    world.authorities.saw(body("default", "", uid="made-again", resourceVersion="9"))
    await world.look()
    assert holds(world.status.conditions, "Ready")


@pytest.mark.parametrize("deleting", [True, False])
async def test_a_client_that_goes_or_is_gone_is_nobody_s_business(*, deleting: bool) -> None:
    world = World()
    if deleting:
        world.store.saw(world.api.change(ITEM, deletionTimestamp="2026-01-01T00:00:00Z"))
    else:
        world.store.gone(("shop", "billing"))
    assert await world.look() is None
    assert (world.asked, world.api.writes) == ([], [])
