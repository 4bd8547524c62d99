"""Every write goes through one door, and a status is written only when it says something else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import msgspec
import pytest

from builders.fake_api import FakeApi
from builders.objects import ca_object, certificate_body, default_authority
from builders.pki import NOW, authority
from builders.virtual_time import in_virtual_time, now
from mintls.api.v1alpha1 import ClientCertificate
from mintls.api.v1alpha1.clientcertificate import ClientCertificateStatus
from mintls.controllers.keyring import Keyring
from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.core.pki.certificate import key_fingerprint
from mintls.core.pki.trust import render_bundle
from mintls.kube.errors import Conflict
from mintls.kube.events import EventRecorder
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.conditions import conditions, ready

PATH = "/api/v1/namespaces/shop/secrets"
ITEM = "/apis/mintls.dev/v1alpha1/namespaces/shop/clientcertificates/billing"
BODY: dict[str, Any] = {"metadata": {"name": "x", "namespace": "shop"}}

WRITES: dict[str, Callable[[Writer], Awaitable[object]]] = {
    "create": lambda writer: writer.create(PATH, BODY),
    "replace": lambda writer: writer.replace(f"{PATH}/x", BODY),
    "apply": lambda writer: writer.apply(f"{PATH}/x", BODY),
    "merge patch": lambda writer: writer.merge_patch(f"{PATH}/x", {"metadata": {}, "x": 1}),
    "delete": lambda writer: writer.delete(f"{PATH}/x"),
}


@pytest.mark.parametrize("verb", WRITES)
async def test_no_write_leaves_a_process_that_does_not_lead(verb: str) -> None:
    api = FakeApi()
    api.have(f"{PATH}/x", BODY)
    with pytest.raises(NotLeadingError):
        await WRITES[verb](Writer(api.client, lambda: 0.0))
    assert api.writes == []


@pytest.mark.parametrize("verb", WRITES)
async def test_each_write_asks_anew_whether_it_may(verb: str) -> None:
    api, asked = FakeApi(), count()
    if verb != "create":
        api.have(f"{PATH}/x", BODY)
    await WRITES[verb](Writer(api.client, lambda: 60.0 if next(asked) == 0 else 0.0))
    assert next(asked) == 1
    assert len(api.writes) == 1


@in_virtual_time
async def test_a_write_without_an_answer_is_given_up_when_another_may_lead() -> None:
    began, ended = now(), list[float]()

    class Silent:
        async def create(self, *_: object) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(now() - began)

    with pytest.raises(NotLeadingError, match="was not renewed"):
        await Writer(Silent(), lambda: 7.0).create(PATH, BODY)  # type: ignore[arg-type]
    assert ended == [pytest.approx(7)]


class Reporting:
    def __init__(self) -> None:
        self.api = FakeApi()
        self.store = ObjectStore(ClientCertificate, lambda *_: None)
        self.store.saw(self.api.have(ITEM, certificate_body()))
        writer = Writer(self.api.client, lambda: 60.0)
        self.reporter = Reporter(self.store, writer, EventRecorder(self.api.client), lambda: NOW)

    @property
    def item(self) -> ClientCertificate:
        item = self.store.get(("shop", "billing"))
        assert item is not None
        return item


STATUS = ClientCertificateStatus(
    observed_generation=1, conditions=conditions((), ready("Issued", "well"), generation=1, now=NOW), revision=1
)
NEWS = Announcement(warning=True, reason="Issued", message="made a certificate")


class TestAStatus:
    async def test_that_differs_is_written_and_remembered(self) -> None:
        parts = Reporting()
        await parts.reporter.report(parts.item, STATUS, None)
        assert parts.api.writes == [("patch", f"{ITEM}/status")]
        assert parts.item.status == STATUS

    async def test_that_is_the_same_is_not_written(self) -> None:
        parts = Reporting()
        await parts.reporter.report(parts.item, STATUS, None)
        await parts.reporter.report(parts.item, msgspec.structs.replace(STATUS), None)
        assert len(parts.api.writes) == 1

    async def test_loses_what_it_says_no_more(self) -> None:
        parts = Reporting()
        await parts.reporter.report(parts.item, msgspec.structs.replace(STATUS, next_attempt_time=NOW), None)
        await parts.reporter.report(parts.item, STATUS, None)
        assert "nextAttemptTime" not in parts.api.objects[ITEM]["status"]
        assert parts.item.status == STATUS

    async def test_cannot_land_on_another_object_of_the_name(self) -> None:
        parts = Reporting()
        item = parts.item
        parts.api.remove(ITEM)
        parts.api.have(ITEM, certificate_body(uid="second"))
        with pytest.raises(Conflict):
            await parts.reporter.report(item, STATUS, None)
        assert parts.api.objects[ITEM]["status"] == {}

    async def test_of_an_object_that_is_gone_is_no_error(self) -> None:
        parts = Reporting()
        item = parts.item
        parts.store.gone(("shop", "billing"))
        parts.api.remove(ITEM)
        await parts.reporter.report(item, STATUS, None)
        assert parts.store.get(("shop", "billing")) is None

    async def test_of_an_object_that_is_gone_tells_so_before_the_watch_does(self) -> None:
        parts = Reporting()
        item = parts.item
        late = parts.api.change(ITEM, labels={"team": "blue"})
        parts.api.remove(ITEM)
        await parts.reporter.report(item, STATUS, None)
        assert parts.store.get(("shop", "billing")) is None
        parts.store.saw(late)
        assert parts.store.get(("shop", "billing")) is None, "an event that came late"
        parts.store.saw(parts.api.have(ITEM, certificate_body(uid="second")))
        assert parts.item.metadata.uid == "second"

    async def test_touches_nothing_but_the_status(self) -> None:
        parts = Reporting()
        before = parts.api.objects[ITEM]
        await parts.reporter.report(parts.item, STATUS, None)
        now = parts.api.objects[ITEM]
        assert (now["spec"], now["metadata"]["uid"]) == (before["spec"], before["metadata"]["uid"])
        assert set(now["metadata"]) == set(before["metadata"])


class TestAnAnnouncement:
    async def test_is_an_event_about_the_very_object_and_a_line_in_the_log(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        parts = Reporting()
        with caplog.at_level(logging.INFO):
            await parts.reporter.report(parts.item, STATUS, NEWS)
        (event,) = parts.api.events
        assert (event["reason"], event["note"], event["type"]) == ("Issued", "made a certificate", "Warning")
        assert event["regarding"]["uid"] == parts.item.metadata.uid
        assert event["regarding"]["apiVersion"] == "mintls.dev/v1alpha1"
        (record,) = [each for each in caplog.records if each.name == "mintls.controllers.reporting"]
        assert record.levelno == logging.WARNING
        fields = record.__dict__
        assert (fields["kind"], fields["namespace"], fields["reason"]) == ("ClientCertificate", "shop", "Issued")

    async def test_comes_after_the_status(self) -> None:
        parts, order = Reporting(), list[tuple[str, str]]()

        def note(verb: str, path: str) -> None:
            order.append((verb, path.rsplit("/", 1)[1]))

        parts.api.before = note
        await parts.reporter.report(parts.item, STATUS, NEWS)
        assert order == [("patch", "status"), ("create", "events")]

    async def test_of_a_status_that_was_not_written_is_not_posted(self) -> None:
        parts = Reporting()
        item = parts.item
        parts.api.change(ITEM, uid="second")
        with pytest.raises(Conflict):
            await parts.reporter.report(item, STATUS, NEWS)
        assert parts.api.events == []


class TestTheKeyring:
    def test_knows_nothing_of_an_authority_that_was_not_looked_at(self) -> None:
        keyring = Keyring()
        assert (keyring.view("default"), keyring.signer("default"), keyring.bundle()) == (None, None, "")

    def test_tells_whether_anything_changed_for_others(self) -> None:
        keyring, made = Keyring(), default_authority()
        assert keyring.put(ca_object(), made.root, made.signer)
        assert not keyring.put(ca_object(), made.root, made.signer)
        assert keyring.put(ca_object(spec={"policy": {"maxDuration": "2h"}}), made.root, made.signer)
        assert keyring.block(ca_object(), "lost", made.root)
        assert not keyring.block(ca_object(), "lost", made.root)
        assert keyring.remove("default")
        assert not keyring.remove("default")

    def test_has_no_signer_while_the_authority_is_blocked_and_keeps_its_root(self) -> None:
        keyring, made = Keyring(), default_authority()
        keyring.put(ca_object(), made.root, made.signer)
        keyring.block(ca_object(), "lost", made.root)
        view = keyring.view("default")
        assert view is not None
        assert (view.problem, view.root, view.fingerprint) == ("lost", made.root, key_fingerprint(made.root))
        assert keyring.signer("default") is None
        assert keyring.bundle() == made.bundle

    def test_bundles_the_roots_of_all_authorities_in_one_order(self) -> None:
        one, other = default_authority(), authority("other")
        keyring, reverse = Keyring(), Keyring()
        for ring, order in ((keyring, (one, other)), (reverse, (other, one))):
            for made in order:
                ring.put(ca_object("default" if made is one else "other"), made.root, made.signer)
        assert keyring.bundle() == reverse.bundle() == render_bundle((one.root, other.root))

    def test_never_shows_a_key(self) -> None:
        keyring, made = Keyring(), default_authority()
        keyring.put(ca_object(), made.root, made.signer)
        assert "PrivateKey" not in repr(keyring) + repr(keyring.signer("default"))
