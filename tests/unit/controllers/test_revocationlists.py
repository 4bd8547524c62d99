"""The controller of the CRLs against an API in memory, and what it remembers of issued certificates."""

import base64
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from builders.fake_api import FakeApi
from builders.objects import body, ca_object, certificate_body, default_authority
from builders.pki import DAY, NOW, Authority, Leaf
from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate
from mintls.controllers.issuedcertificates import MOST_PENDING, IssuedCertificates
from mintls.controllers.issuedrecord import IssuedRecordController
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key, Kind
from mintls.controllers.objects import ObjectStore
from mintls.controllers.publishedlists import LISTS, RECORD, PublishedLists, found_of, labels_of
from mintls.controllers.publishing import Publishing
from mintls.controllers.reporting import Reporter
from mintls.controllers.revocationlists import RevocationListController
from mintls.controllers.writer import Writer
from mintls.core.pki.crl import read_lists
from mintls.kube.errors import Forbidden
from mintls.kube.events import EventRecorder
from mintls.kube.informer import Change
from mintls.reconcile import issuedcertificates, revocationlist
from mintls.reconcile.revocationlist import Signer

FOLDER = "/api/v1/namespaces/mintls-system/configmaps"
ITEM, RECORDED = f"{FOLDER}/mintls-crl-default", f"{FOLDER}/mintls-issued-default"
KEY = Key(Kind.REVOCATION_LIST, "", "default")
RECORD_KEY = Key(Kind.ISSUED_RECORD, "", "default")
MARGIN = timedelta(seconds=1)


class World:
    """One operator after the other on the same API; ``lease`` is what the Lease holds."""

    def __init__(self, ca: Authority | None = None) -> None:
        self.api, self.now, self.ca, self.lease = FakeApi(), NOW, ca or default_authority(), ""
        self.bodies: dict[str, dict[str, Any]] = {}
        self.begin()

    def begin(self) -> None:
        self.told: list[str] = []
        self.certificates = ObjectStore(ClientCertificate, lambda *_: None)
        authorities = ObjectStore(CertificateAuthority, lambda *_: None)
        authorities.saw(body("default", ""))
        self.issued = IssuedCertificates(self.told.append, lambda name: name == "elsewhere")
        self.published = PublishedLists(self.issued, self.told.append)
        self.keyring = Keyring()
        signers = ((Signer(self.ca.intermediate), self.ca.signer.key),)
        self.keyring.put(ca_object(), self.ca.root, self.ca.signer, list_signers=signers)
        writer = Writer(self.api.client, lambda: 60.0)
        publishing = Publishing(
            writer=writer,
            published=self.published,
            authorities=authorities,
            reporter=Reporter(authorities, writer, EventRecorder(self.api.client), self.clock),
            namespace="mintls-system",
        )
        self.controller = RevocationListController(
            publishing=publishing,
            published=self.published,
            issued=self.issued,
            certificates=self.certificates,
            keyring=self.keyring,
            clock=self.clock,
        )
        self.records = IssuedRecordController(
            publishing=publishing, published=self.published, issued=self.issued, clock=self.clock
        )

    def restart(self) -> None:
        """Another leader finds the Lease, the objects and the ConfigMaps."""
        self.lease = self.issued.text()
        self.begin()
        self.issued.load(self.lease)
        for one in self.bodies.values():
            self.certificates.saw(one)
        for item in self.certificates:
            self.issued.follow(item)
        self.informed()

    def informed(self) -> None:
        for path in (ITEM, RECORDED):
            if path in self.api.objects:
                found = found_of(self.api.objects[path])
                self.published.changed(Change("put", ("mintls-system", path), None, found))

    def clock(self) -> datetime:
        return self.now

    def issue(self, name: str = "billing", *, status: dict[str, Any] | None = None) -> Leaf:
        leaf = self.ca.client(not_after=self.now + DAY)
        version = str(10 + len(self.bodies))
        self.bodies[name] = certificate_body(name, status=status, resourceVersion=version)
        self.certificates.saw(self.bodies[name])
        self.issued.issued("default", self.bodies[name]["metadata"]["uid"], leaf.certificate)
        return leaf

    def delete(self, name: str = "billing") -> None:
        del self.bodies[name]
        self.certificates.gone(("shop", name))

    async def look(self) -> datetime | None:
        again = await self.controller.reconcile(KEY)
        await self.records.reconcile(RECORD_KEY)
        self.now += 2 * MARGIN
        return again

    def listed(self) -> set[int]:
        return {
            serial for one in read_lists(self.api.objects[ITEM]["data"]["crl.pem"].encode()) for serial in one.revoked
        }


class TestTheConfigMap:
    async def test_is_made_once(self) -> None:
        world = World()
        world.issue()
        again = await world.look()
        await world.look()
        assert world.api.writes == [("create", ITEM)]
        assert world.listed() == set()
        assert again is not None
        assert 3 * DAY < again - NOW < 4 * DAY

    async def test_costs_a_restart_nothing(self) -> None:
        world = World()
        world.issue()
        await world.look()
        world.restart()
        await world.look()
        assert world.api.writes == [("create", ITEM)]

    async def test_has_who_was_deleted_while_nobody_looked(self) -> None:
        world = World()
        leaf = world.issue()
        await world.look()
        del world.bodies["billing"]
        world.restart()
        await world.look()
        assert world.api.writes == [("create", ITEM), ("apply", ITEM)]
        assert world.listed() == {leaf.facts.serial}

    async def test_keeps_who_is_on_it_over_a_restart(self) -> None:
        world = World()
        leaf = world.issue()
        world.delete()
        await world.look()
        world.restart()
        world.now += 4 * DAY
        await world.look()
        assert world.listed() == {leaf.facts.serial}

    async def test_has_no_object_that_only_cannot_be_read(self) -> None:
        world = World()
        world.issue()
        await world.look()
        world.bodies["billing"]["spec"] = {"secretName": 7}
        world.restart()
        assert world.certificates.get(("shop", "billing")) is None
        await world.look()
        assert world.api.writes == [("create", ITEM)]

    async def test_is_not_written_more_than_once_a_second(self) -> None:
        world = World()
        world.issue("a"), world.issue("b")
        await world.look()
        world.delete("a")
        world.now = NOW + MARGIN / 2
        again = await world.controller.reconcile(KEY)
        assert (again, len(world.api.writes)) == (NOW + MARGIN, 1)
        world.delete("b")
        world.now = NOW + MARGIN
        await world.look()
        assert len(world.api.writes) == 2
        assert len(world.listed()) == 2

    async def test_of_somebody_else_is_left_alone_and_told(self) -> None:
        world = World()
        theirs = world.api.have(ITEM, {"metadata": {"name": "mintls-crl-default"}, "data": {"a": "b"}})
        assert await world.look() is None, "the watch has not told of it yet"
        world.informed()
        assert await world.look() is None
        assert world.api.objects[ITEM] == theirs
        assert [event["reason"] for event in world.api.events] == ["CRLNotPublished"]
        world.api.remove(ITEM)
        gone = found_of(theirs)
        world.published.changed(Change("gone", ("mintls-system", "x"), gone, None))
        assert world.told[-1] == "default"
        await world.look()
        assert world.listed() == set()

    async def test_that_lost_a_label_is_still_ours(self) -> None:
        world = World()
        world.issue()
        await world.look()
        del world.api.objects[ITEM]["metadata"]["labels"]["app.kubernetes.io/managed-by"]
        world.delete()
        world.restart()
        await world.look()
        assert len(world.listed()) == 1
        assert world.api.objects[ITEM]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mintls"

    async def test_that_was_edited_is_put_right(self) -> None:
        world = World()
        world.issue()
        await world.look()
        world.api.objects[ITEM]["data"]["crl.pem"] = "x"
        world.api.change(ITEM)
        world.informed()
        await world.look()
        assert world.told == ["default"]
        assert world.listed() == set()

    async def test_that_is_not_written_is_told_and_tried_again(self) -> None:
        world = World()

        def before(verb: str, path: str) -> None:
            if verb == "create" and path == FOLDER:
                raise Forbidden(403, "Forbidden", "no", path, verb="create")

        world.api.before = before
        with pytest.raises(Forbidden):
            await world.look()
        assert [event["type"] for event in world.api.events] == ["Warning"]
        world.api.before = None
        await world.look()
        assert world.api.writes == [("create", ITEM)]

    async def test_is_not_there_where_no_key_is(self) -> None:
        world = World()
        world.keyring.remove("default")
        assert await world.look() is None
        assert world.api.writes == []

    async def test_without_room_for_all_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(revocationlist, "MOST_LISTED", 1)
        world = World()
        world.issue("a"), world.issue("b")
        world.delete("a"), world.delete("b")
        await world.look()
        assert [event["reason"] for event in world.api.events] == ["CRLFull"]
        assert len(world.listed()) == 1


class TestTheRecord:
    async def test_is_in_the_lease_while_there_are_few(self) -> None:
        world = World()
        for number in range(MOST_PENDING):
            world.issue(str(number))
        await world.look()
        assert world.told == []
        assert world.api.writes == [("create", ITEM)]
        assert len(world.issued.text()) < 20_000

    async def test_goes_into_a_configmap_when_there_are_more(self) -> None:
        world = World()
        leaves = [world.issue(str(number)) for number in range(MOST_PENDING + 1)]
        assert world.told == ["default"]
        await world.look()
        assert world.api.writes == [("create", ITEM), ("create", RECORDED)]
        assert world.issued.text() == ""
        world.bodies.clear()
        world.restart()
        await world.look()
        assert world.listed() == {leaf.facts.serial for leaf in leaves}

    async def test_is_made_again_when_somebody_takes_it_away(self) -> None:
        world = World()
        for number in range(MOST_PENDING + 1):
            world.issue(str(number))
        await world.look()
        gone = found_of(world.api.objects[RECORDED])
        world.api.remove(RECORDED)
        world.published.changed(Change("gone", ("mintls-system", "x"), gone, None))
        world.now += timedelta(seconds=5)
        await world.look()
        assert world.api.writes.count(("create", RECORDED)) == 2

    async def test_has_no_room_for_who_has_ended(self) -> None:
        """Lists are looked at every few days; objects whose certificates live for a day have a new one meanwhile."""
        world = World()
        for number in range(MOST_PENDING + 1):
            world.issue(str(number))
        assert await world.records.reconcile(RECORD_KEY) is None
        world.now += 2 * DAY
        for number in range(MOST_PENDING + 1):
            world.issue(f"later-{number}")
        assert await world.records.reconcile(RECORD_KEY) is None
        found = found_of(world.api.objects[RECORDED])
        assert found is not None
        assert len(found.record) == MOST_PENDING + 1
        assert all(one.not_after > world.now for one in found.record)

    async def test_is_written_now_and_then_in_a_burst(self) -> None:
        world, number = World(), count()

        def issue(some: int) -> None:
            for _ in range(some):
                world.issue(str(next(number)))

        issue(MOST_PENDING + 1)
        written = world.now
        assert await world.records.reconcile(RECORD_KEY) is None
        issue(MOST_PENDING + 1)
        again = await world.records.reconcile(RECORD_KEY)
        assert again == written + timedelta(seconds=5)
        assert world.api.writes == [("create", RECORDED)]
        world.now = again
        assert await world.records.reconcile(RECORD_KEY) is None
        assert world.api.writes == [("create", RECORDED), ("apply", RECORDED)]
        # What the Lease would have no room for in a moment does not wait as long.
        issue(701)
        assert await world.records.reconcile(RECORD_KEY) == world.now + timedelta(seconds=1)
        world.now += timedelta(seconds=1)
        assert await world.records.reconcile(RECORD_KEY) is None
        assert len(world.api.writes) == 3
        assert world.issued.text() == ""

    async def test_without_room_for_all_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(issuedcertificates, "MOST_RECORDED_BYTES", 1)
        monkeypatch.setattr(issuedcertificates.fitted, "__defaults__", (5000,))
        world = World()
        for number in range(MOST_PENDING + 1):
            world.issue(str(number))
        await world.look()
        await world.look()
        assert [event["reason"] for event in world.api.events] == ["CRLFull"]
        assert world.api.writes.count(("create", RECORDED)) == 1

    async def test_that_cannot_be_written_is_not_told_with_each_certificate(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        world = World()
        theirs = {"metadata": {"name": "mintls-issued-default", "resourceVersion": "1"}}
        world.published.changed(Change("put", ("mintls-system", "x"), None, found_of(theirs)))
        for number in range(710):
            world.issue(str(number))
            await world.records.reconcile(RECORD_KEY)
        assert [event["reason"] for event in world.api.events] == ["CRLNotPublished"]
        assert caplog.text.count("was made by somebody else") == 1

    async def test_forgets_who_has_ended(self) -> None:
        world = World()
        world.issue()
        await world.look()
        world.now += 2 * DAY
        await world.look()
        assert world.issued.of("default") == ()
        assert world.issued.text() == ""
        assert world.issued.authorities_of("uid-shop-billing") == frozenset()

    def test_has_what_a_status_speaks_of_where_nothing_else_does(self) -> None:
        world, leaf = World(), default_authority().client()
        status = {"serialNumber": f"{leaf.facts.serial:x}", "notAfter": f"{leaf.facts.not_after:%Y-%m-%dT%H:%M:%SZ}"}
        world.bodies["billing"] = certificate_body(status=status)
        world.restart()
        [one] = world.issued.of("default")
        assert (one.serial, one.uid, one.key_id) == (leaf.facts.serial, "uid-shop-billing", "")
        world.issued.issued("default", "uid-shop-billing", leaf.certificate)
        world.restart()
        [one] = world.issued.of("default")
        assert one.key_id, "what is known of its key stays known"

    def test_has_nothing_of_a_ca_elsewhere(self) -> None:
        world = World()
        world.issued.issued("elsewhere", "uid", default_authority().client().certificate)
        assert world.issued.text() == ""

    @pytest.mark.parametrize("text", ["%", "AAAA", base64.b64encode(b"x").decode()])
    def test_that_cannot_be_read_is_left_out(self, text: str, caplog: pytest.LogCaptureFixture) -> None:
        world = World()
        world.issued.load(text)
        assert world.issued.of("default") == ()
        assert "mintls.dev/issued-certificates" in caplog.text


def test_an_older_word_of_the_informer_is_not_believed() -> None:
    world = World()
    newer, older = (found_of({"metadata": {"name": "mintls-crl-default", "resourceVersion": v}}) for v in ("9", "5"))
    assert newer is not None
    world.published.wrote(newer)
    world.published.changed(Change("put", ("", ""), None, older))
    assert world.published.get(LISTS, "default") == newer
    world.published.changed(Change("gone", ("", ""), older, None))
    assert world.published.get(LISTS, "default") == newer
    world.published.changed(Change("gone", ("", ""), newer, None))
    assert world.published.get(LISTS, "default") is None
    assert world.published.get(RECORD, "default") is None


def test_the_informers_word_of_our_own_write_is_kept_once() -> None:
    world = World()
    body = {"metadata": {"name": "mintls-crl-default", "resourceVersion": "5", "labels": labels_of(LISTS, "default")}}
    ours = found_of(body)
    assert ours is not None
    world.published.wrote(ours)
    assert world.published.found_of(body) is ours
    for other in ({"resourceVersion": "6"}, {"labels": {}}, {"name": "mintls-crl-other"}):
        assert world.published.found_of({"metadata": body["metadata"] | other}) is not ours
    assert world.published.found_of({"metadata": {"name": "kube-root-ca.crt", "resourceVersion": "5"}}) is None


def test_a_configmap_that_is_called_otherwise_is_none_of_ours() -> None:
    assert found_of({"metadata": {"name": "kube-root-ca.crt", "resourceVersion": "1"}}) is None
