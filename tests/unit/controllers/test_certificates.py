"""The certificate controller against an API in memory: what it writes, and what it does when somebody is faster."""

import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.clienttables import Clients
from builders.fake_api import FakeApi, Object
from builders.objects import INSTALLATION, body, ca_object, certificate_body, client, default_authority
from builders.pki import NOW, authority
from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate
from mintls.controllers.certificateindex import CertificateIndex
from mintls.controllers.certificates import CertificateController
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key, Kind
from mintls.controllers.objects import ObjectStore
from mintls.controllers.passwordsecrets import PasswordSecrets
from mintls.controllers.reporting import Reporter
from mintls.controllers.secretviews import SecretViews
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.core.pki.credential import check_credential
from mintls.core.pki.trust import render_bundle
from mintls.kube.errors import ApiError, Forbidden, Invalid, NotFound, ServerError, Unreachable
from mintls.kube.events import EventRecorder
from mintls.reconcile.conditions import find, holds

ITEM = "/apis/mintls.dev/v1alpha1/namespaces/shop/clientcertificates/billing"
STATUS = f"{ITEM}/status"
SECRETS = "/api/v1/namespaces/shop/secrets"
SECRET = f"{SECRETS}/billing-mtls"
KEY = Key(Kind.CERTIFICATE, "shop", "billing")
CREATED, PATCHED = ("create", SECRET), ("patch", STATUS)
APPLIED = ("apply", SECRET)


class World:
    """One controller, the tables that it gathers from, and the API."""

    def __init__(self, **spec: Any) -> None:
        self.api = FakeApi()
        self.now = NOW
        self.leading = True
        self.begin()
        self.see(self.api.have(ITEM, certificate_body(spec=spec)))

    def begin(self) -> None:
        """Another process, which remembers nothing."""
        api, self.index = self.api.client, CertificateIndex(lambda: self.store)
        writer = Writer(api, lambda: 60.0 * self.leading)
        self.store = ObjectStore(ClientCertificate, self.index.changed)
        self.authorities = ObjectStore(CertificateAuthority, lambda *_: None)
        self.authorities.saw(body("default", ""))
        self.clients = Clients()
        self.clients.changed(("shop", "billing"), client())
        self.keyring = Keyring()
        self.keyring.put(ca_object(), default_authority().root, default_authority().signer)
        self.secrets = SecretViews(lambda *_: None)
        self.controller = CertificateController(
            api=api,
            writer=writer,
            store=self.store,
            authorities=self.authorities,
            reporter=Reporter(self.store, writer, EventRecorder(api), self.clock),
            clients=self.clients.table,
            keyring=self.keyring,
            secrets=self.secrets,
            passwords=PasswordSecrets(api, used=lambda _secret: False, on_change=lambda _secret: None),
            index=self.index,
            installation=INSTALLATION,
            issuer_authority="default",
            labels={},
            issued=IssuedCertificates(lambda _authority: None, lambda _authority: False),
            on_written=lambda _certificate: None,
            on_not_had=lambda _authority: None,
            clock=self.clock,
        )

    def restart(self) -> None:
        """List everything anew; the informer knows Secrets with our label."""
        self.begin()
        self.see(self.api.objects[ITEM])
        secret = self.api.objects.get(SECRET)
        if secret is not None and secret["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "mintls":
            self.informed(secret)

    def clock(self) -> datetime:
        return self.now

    def see(self, item: Object) -> None:
        self.store.saw(item)

    def informed(self, secret: Object) -> None:
        self.secrets.put(secret)

    async def look(self) -> datetime | None:
        return await self.controller.reconcile(KEY)

    async def issued(self) -> "World":
        await self.look()
        self.api.writes.clear()
        self.api.reads.clear()
        self.api.events.clear()
        return self

    @property
    def item(self) -> ClientCertificate:
        item = self.store.get(("shop", "billing"))
        assert item is not None
        return item

    @property
    def ready(self) -> bool:
        return holds(self.item.status.conditions, "Ready")

    @property
    def reason(self) -> str:
        ready = find(self.item.status.conditions, "Ready")
        return ready.reason if ready else ""

    @property
    def message(self) -> str:
        ready = find(self.item.status.conditions, "Ready")
        return ready.message if ready else ""

    def file(self, name: str) -> bytes:
        return base64.b64decode(self.api.objects[SECRET]["data"][name])

    def hook(self, verb: str, path: str, do: Callable[[], Any], *, times: int = 1) -> None:
        """Ahead of the next such request something happens, or it fails."""
        left = times

        def before(now_verb: str, now_path: str) -> Awaitable[None] | None:
            nonlocal left
            if left and (now_verb, now_path) == (verb, path):
                left -= 1
                do()
            return None

        self.api.before = before

    def fail(self, verb: str, path: str, error: ApiError, *, times: int = 1) -> None:
        def do() -> None:
            raise error

        self.hook(verb, path, do, times=times)

    def foreign(self, **metadata: Any) -> Object:
        meta = {"name": "billing-mtls", "namespace": "shop", **metadata}
        return {"metadata": meta, "type": "Opaque", "data": {"password": "eA=="}}


class TestIssuing:
    async def test_costs_a_secret_a_status_and_an_event(self) -> None:
        world = World()
        again = await world.look()
        assert world.api.writes == [CREATED, PATCHED]
        assert [event["reason"] for event in world.api.events] == ["Issued"]
        assert world.ready
        assert again == world.item.status.renewal_time

    async def test_ends_with_the_object(self) -> None:
        world = await World().issued()
        (owner,) = world.api.objects[SECRET]["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("ClientCertificate", "billing", "uid-shop-billing")
        assert (owner["controller"], owner["blockOwnerDeletion"]) == (True, False)
        assert owner["apiVersion"] == "mintls.dev/v1alpha1"

    async def test_leaves_the_key_nowhere_but_in_the_secret(self) -> None:
        world = await World().issued()
        key = world.file("tls.key").splitlines()[1].decode()
        everything = {path: item for path, item in world.api.objects.items() if path != SECRET}
        assert key not in repr((everything, world.api.events, world.item))

    async def test_makes_an_rsa_key_beside_the_loop(self) -> None:
        world = await World(privateKey={"algorithm": "RSA"}).issued()
        credential = check_credential(world.file("tls.crt"), world.file("tls.key"))
        assert (credential.key.algorithm, credential.key.size) == ("RSA", 2048)

    async def test_is_not_repeated_by_a_second_look_or_by_a_restart(self) -> None:
        world = await World().issued()
        await world.look()
        world.restart()
        await world.look()
        assert (world.api.writes, world.api.reads, world.api.events) == ([], [], [])

    async def test_waits_for_an_authority_that_was_not_looked_at_yet(self) -> None:
        world = World()
        world.keyring = world.controller._keyring = Keyring()
        assert await world.look() is None
        assert world.api.writes == []

    async def test_says_that_the_authority_is_missing_when_there_is_none(self) -> None:
        world = World()
        world.controller._keyring = Keyring()
        world.authorities.gone(("", "default"))
        await world.look()
        assert world.reason == "AuthorityNotFound"


class TestTwoAuthorities:
    """One signs the client's certificate, another the issuer's: the client has to trust both."""

    OTHER = authority("other")

    def world(self) -> World:
        world = World(authorityRef={"name": "other"})
        world.authorities.saw(body("other", ""))
        world.keyring.put(ca_object("other"), self.OTHER.root, self.OTHER.signer)
        return world

    async def test_are_both_in_the_bundle_of_the_secret(self) -> None:
        world = await self.world().issued()
        assert world.file("ca.crt").decode() == render_bundle((default_authority().root, self.OTHER.root))
        assert check_credential(world.file("tls.crt"), world.file("tls.key")).chain == self.OTHER.signer.chain

    async def test_have_both_to_be_known_before_anything_is_written(self) -> None:
        """At a start a Secret would else lose a root, and get it back a moment later."""
        world = await self.world().issued()
        world.keyring.remove("default")
        assert await world.look() is None
        assert world.api.writes == []

    async def test_need_not_both_exist(self) -> None:
        world = self.world()
        world.authorities.gone(("", "default"))
        world.keyring.remove("default")
        await world.look()
        assert world.ready
        assert world.file("ca.crt").decode() == self.OTHER.bundle


class TestRenewal:
    async def test_replaces_the_pair_in_the_same_secret(self) -> None:
        world = await World().issued()
        before = world.file("tls.key"), world.file("tls.crt"), world.api.objects[SECRET]["metadata"]["uid"]
        assert world.item.status.renewal_time is not None
        world.now = world.item.status.renewal_time
        await world.look()
        assert world.api.writes == [APPLIED, PATCHED]
        assert world.file("tls.key") != before[0]
        assert world.file("tls.crt") != before[1]
        assert world.api.objects[SECRET]["metadata"]["uid"] == before[2]
        check_credential(world.file("tls.crt"), world.file("tls.key"))
        assert world.item.status.revision == 2

    async def test_leaves_foreign_labels_and_files(self) -> None:
        world = await World().issued()
        metadata = world.api.objects[SECRET]["metadata"]
        world.informed(world.api.change(SECRET, labels={**metadata["labels"], "team": "a"}))
        world.api.objects[SECRET]["data"]["notes"] = "eA=="
        world.now += timedelta(hours=23)
        await world.look()
        assert world.api.objects[SECRET]["metadata"]["labels"]["team"] == "a"
        assert world.file("notes") == b"x"


class TestSomebodyElse:
    async def test_made_the_secret_before_us_and_it_is_left_as_it_is(self) -> None:
        world = World()
        theirs = world.api.have(SECRET, world.foreign())
        again = await world.look()
        assert world.api.objects[SECRET] == theirs
        assert world.reason == "SecretNotOwned"
        assert world.api.writes == [PATCHED]
        assert again is not None, "nobody tells when a Secret without our label is gone"

    async def test_made_the_secret_between_observation_and_write(self) -> None:
        world = World()
        world.hook("create", SECRETS, lambda: world.api.have(SECRET, world.foreign()))
        await world.look()
        assert world.api.objects[SECRET]["type"] == "Opaque"
        assert world.reason == "SecretNotOwned"

    async def test_deletes_their_secret_and_then_it_is_ours(self) -> None:
        """Without a label of ours no watch sees it go: the look that was asked for finds out."""
        world = World()
        world.api.have(SECRET, world.foreign())
        again = await world.look()
        assert again is not None
        world.api.remove(SECRET)
        world.now = again
        await world.look()
        assert world.ready
        assert world.api.writes[-2:] == [CREATED, PATCHED]

    async def test_changed_the_secret_between_observation_and_write_and_it_is_looked_at_again(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=23)
        labels = {**world.api.objects[SECRET]["metadata"]["labels"], "team": "a"}
        world.hook("apply", SECRET, lambda: world.api.change(SECRET, labels=labels))
        await world.look()
        assert world.ready
        assert world.api.writes == [APPLIED, PATCHED]
        assert world.api.objects[SECRET]["metadata"]["labels"]["team"] == "a"
        assert world.item.status.revision == 2

    async def test_took_the_secret_over_between_observation_and_write(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=23)
        world.hook("apply", SECRET, lambda: world.api.change(SECRET, ownerReferences=[]))
        before = world.file("tls.key")
        await world.look()
        assert world.file("tls.key") == before
        assert world.reason == "SecretNotOwned"

    async def test_deleted_the_secret_between_observation_and_write(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=23)
        world.hook("apply", SECRET, lambda: world.api.remove(SECRET))
        await world.look()
        assert world.ready
        assert world.api.writes == [CREATED, PATCHED]

    async def test_deleted_the_secret_before_it_was_read(self) -> None:
        world = await World().issued()
        world.informed(world.api.change(SECRET))
        world.hook("get", SECRET, lambda: world.api.remove(SECRET))
        await world.look()
        assert world.ready
        assert world.api.writes[0] == CREATED

    async def test_keeps_changing_the_secret_and_is_not_fought_for_ever(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=23)
        world.hook("apply", SECRET, lambda: world.api.change(SECRET), times=1000)
        assert await world.look() == world.now, "later, when others had their turn"
        assert world.api.writes == []

    async def test_took_our_label_away_and_it_is_put_back_with_the_same_certificate(self) -> None:
        world = await World().issued()
        before = world.file("tls.crt")
        world.api.change(SECRET, labels={})
        world.secrets.gone(world.api.objects[SECRET])
        await world.look()
        assert world.ready
        assert world.file("tls.crt") == before
        assert world.api.writes == [APPLIED, PATCHED]
        assert world.api.objects[SECRET]["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mintls"
        assert world.item.status.revision == 1

    async def test_deleted_the_object_before_the_secret_was_written(self) -> None:
        world = World()
        world.hook("create", SECRETS, lambda: world.api.remove(ITEM))
        assert await world.look() is not None
        assert world.api.writes == [CREATED], "the garbage collector takes it: its owner is gone"

    @pytest.mark.parametrize("successors", [[], [certificate_body(uid="second")]], ids=["for good", "and made another"])
    async def test_deleted_the_object_and_only_the_end_of_its_secret_was_told(self, successors: list[Object]) -> None:
        world = await World().issued()
        secret = world.api.objects[SECRET]
        for path in (ITEM, SECRET):
            world.api.remove(path)
        for successor in successors:
            world.api.have(ITEM, successor)
        world.secrets.gone(secret)
        assert await world.look() is None
        assert world.api.writes == []

    async def test_deleted_the_object_and_there_is_nothing_to_do(self) -> None:
        world = await World().issued()
        world.store.gone(("shop", "billing"))
        assert await world.look() is None
        assert world.api.writes == []

    async def test_is_deleting_the_object_and_there_is_nothing_to_do(self) -> None:
        world = World()
        world.see(world.api.change(ITEM, deletionTimestamp="2026-01-01T00:00:00Z"))
        assert await world.look() is None
        assert world.api.writes == []

    async def test_made_another_object_of_the_name_and_the_status_does_not_land_on_it(self) -> None:
        world = World()

        def recreate() -> None:
            world.api.remove(ITEM)
            world.api.have(ITEM, certificate_body(uid="second"))

        world.hook("patch", STATUS, recreate)
        with pytest.raises(ApiError):
            await world.look()
        assert world.api.objects[ITEM]["status"] == {}

    async def test_has_an_earlier_certificate_for_the_same_secret(self) -> None:
        world = World()
        earlier = certificate_body(
            "first", spec={"secretName": "billing-mtls"}, creationTimestamp="2025-01-01T00:00:00Z"
        )
        world.see(earlier)
        await world.look()
        assert world.reason == "SecretClaimed"
        assert world.api.writes == [PATCHED]
        world.store.gone(("shop", "first"))
        await world.look()
        assert world.ready


class TestAFailure:
    @pytest.mark.parametrize(
        ("error", "reason", "advice"),
        [
            (ServerError(500, "InternalError", "etcd is full", SECRETS, verb="create"), "WriteFailed", ""),
            (Unreachable(0, "", "no answer", SECRETS, verb="create"), "WriteFailed", ""),
            (NotFound(404, "NotFound", 'namespaces "shop" not found', SECRETS, verb="create"), "WriteFailed", ""),
            (
                Forbidden(403, "Forbidden", "exceeded quota: few, requested: secrets=1", SECRETS, verb="create"),
                "QuotaExceeded",
                'raise ResourceQuota "few" in namespace "shop"',
            ),
            (
                Forbidden(403, "Forbidden", 'User "x" cannot create resource "secrets"', SECRETS, verb="create"),
                "RightMissing",
                'verb "create" on resource "secrets" of API group "" in namespace "shop"',
            ),
            (
                Forbidden(403, "Forbidden", 'admission webhook "x" denied the request', SECRETS, verb="create"),
                "WriteFailed",
                'admission webhook "x" denied',
            ),
        ],
    )
    async def test_of_the_secret_is_a_condition_and_is_tried_again_later(
        self, error: ApiError, reason: str, advice: str
    ) -> None:
        world = World()
        world.fail("create", SECRETS, error)
        again = await world.look()
        assert world.reason == reason
        assert advice in world.message
        assert world.item.status.failed_attempts == 1
        assert again == world.item.status.next_attempt_time
        await world.look()
        assert world.api.writes == [PATCHED], "not before its time"
        assert again is not None
        world.now = again
        await world.look()
        assert world.ready
        assert world.item.status.failed_attempts == 0

    async def test_to_read_the_secret_for_want_of_a_right_is_a_condition(self) -> None:
        world = await World().issued()
        world.informed(
            world.api.change(SECRET, labels={"team": "blue", **world.api.objects[SECRET]["metadata"]["labels"]})
        )
        refused = Forbidden(403, "Forbidden", 'User "x" cannot get resource "secrets"', SECRET, verb="get")
        world.fail("get", SECRET, refused)
        with pytest.raises(Forbidden):
            await world.look()
        assert world.reason == "RightMissing"
        assert 'verb "get" on resource "secrets"' in world.message
        await world.look()
        assert world.ready
        assert world.item.status.revision == 1

    async def test_to_renew_into_an_immutable_secret_says_what_to_do(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=17)
        message = "data: Forbidden: field is immutable when `immutable` is set"
        world.fail("apply", SECRET, Invalid(422, "Invalid", message, SECRET, verb="patch"))
        await world.look()
        assert world.ready, "the certificate that is there is good"
        issuing = find(world.item.status.conditions, "Issuing")
        assert issuing is not None
        assert issuing.reason == "SecretImmutable"
        assert 'Secret "billing-mtls" in namespace "shop" is immutable; delete it' in issuing.message

    async def test_of_signing_is_a_condition(self) -> None:
        world = World()
        world.keyring.put(ca_object(), default_authority().root, default_authority().signer)
        world.now += timedelta(days=200)  # beyond the end of the intermediate
        await world.look()
        assert world.reason == "IssuingFailed"
        assert world.api.writes == [PATCHED]

    async def test_of_the_first_status_costs_no_second_certificate(self) -> None:
        world = World()
        world.fail("patch", STATUS, ServerError(500, "InternalError", "etcd is full", STATUS))
        with pytest.raises(ServerError):
            await world.look()
        await world.look()
        assert world.api.writes == [CREATED, PATCHED]
        assert world.item.status.revision == 1

    async def test_of_the_status_after_a_renewal_costs_no_second_certificate(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=23)
        world.fail("patch", STATUS, ServerError(500, "InternalError", "etcd is full", STATUS))
        with pytest.raises(ServerError):
            await world.look()
        await world.look()
        assert world.api.writes == [APPLIED, PATCHED]
        assert world.item.status.revision == 2
        leaf = check_credential(world.file("tls.crt"), world.file("tls.key")).leaf
        assert world.item.status.thumbprint == leaf.thumbprint

    async def test_of_the_status_and_then_a_restart_costs_no_second_certificate(self) -> None:
        world = await World().issued()
        world.now += timedelta(hours=23)
        world.fail("patch", STATUS, ServerError(500, "InternalError", "etcd is full", STATUS))
        with pytest.raises(ServerError):
            await world.look()
        world.restart()
        await world.look()
        assert world.api.writes == [APPLIED, PATCHED]

    async def test_of_a_write_that_was_carried_out_nevertheless_costs_no_second_certificate(self) -> None:
        """The answer was lost: what is there now is seen before anything is repeated."""
        world = World()

        def lose_the_answer(verb: str, path: str) -> None:
            if (verb, path) == CREATED:
                raise Unreachable(0, "", "cut off", path, verb="create")

        world.api.after = lose_the_answer
        again = await world.look()
        assert again is not None
        world.now = again
        await world.look()
        await world.look()
        assert world.ready
        assert world.item.status.revision == 1
        assert world.item.status.failed_attempts == 0
        assert [write for write in world.api.writes if write != PATCHED] == [CREATED]

    async def test_of_reading_is_raised_and_nothing_is_written(self) -> None:
        world = await World().issued()
        world.informed(world.api.change(SECRET))
        world.fail("get", SECRET, ServerError(500, "InternalError", "etcd is full", SECRET))
        with pytest.raises(ServerError):
            await world.look()
        assert world.api.writes == []

    async def test_to_lead_writes_nothing_more(self) -> None:
        world = World()
        world.leading = False
        with pytest.raises(NotLeadingError):
            await world.look()
        assert world.api.writes == []

    async def test_to_lead_between_secret_and_status_is_taken_up_by_the_next(self) -> None:
        world = World()

        def lose() -> None:
            world.leading = False

        world.hook("create", SECRETS, lose)
        with pytest.raises(NotLeadingError):
            await world.look()
        world.leading = True
        world.restart()
        await world.look()
        assert world.api.writes == [CREATED, PATCHED]
        assert world.item.status.revision == 1


async def test_a_certificate_of_a_blocked_authority_stays_ready_whatever_its_limits_are() -> None:
    """An authority that lost its key keeps its limits: they are no reason to find fault with what it signed."""
    world = World(duration="240h")
    item = ca_object(spec={"policy": {"maxDuration": "720h"}})
    world.keyring.put(item, default_authority().root, default_authority().signer)
    await world.look()
    assert world.ready
    world.keyring.block(item, "its root key is lost", default_authority().root)
    writes = len(world.api.writes)
    await world.look()
    assert world.ready
    assert len(world.api.writes) == writes
