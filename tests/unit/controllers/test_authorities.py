"""The authority controller against an API in memory: what it makes, keeps and tells, and what a failure leaves."""

import base64
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from builders import pki
from builders.fake_api import FakeApi
from builders.objects import after, body
from builders.pki import NOW
from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.authorities import AuthorityController
from mintls.controllers.externalauthorities import ExternalAuthorities
from mintls.controllers.externalways import Ways
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key, Kind
from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.suppliedauthorities import SuppliedAuthorities
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.kube.errors import ApiError, ServerError
from mintls.kube.events import EventRecorder
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.rootrotation import Leaves, Reach

ITEM = "/apis/mintls.dev/v1alpha1/certificateauthorities/default"
STATUS = f"{ITEM}/status"
SECRETS = "/api/v1/namespaces/mintls-system/secrets"
ROOT, INTERMEDIATE = (f"{SECRETS}/mintls-authority-default-{which}" for which in ("root", "intermediate"))
KEY = Key(Kind.AUTHORITY, "", "default")
FULL = ServerError(500, "InternalError", "etcd is full", ROOT)


class Roots:
    """What would be observed of a next root and of the leaves."""

    def __init__(self) -> None:
        self.spread = Reach(secrets=2, secrets_behind=0, bundles_behind=0, issuers=2, issuers_behind=())
        self.found = Leaves()

    def leaves(self, _authority: str, _fingerprint: str) -> Leaves:
        return self.found

    async def reach(self, _authority: str, _fingerprint: str) -> Reach:
        return self.spread


class World:
    def __init__(self, **spec: Any) -> None:
        self.api = FakeApi()
        self.now = NOW
        self.leading = True
        self.roots = Roots()
        self.begin()
        self.store.saw(self.api.have(ITEM, body("default", "", spec=spec)))

    def begin(self) -> None:
        writer = Writer(self.api.client, lambda: 60.0 * self.leading)
        self.store = ObjectStore(CertificateAuthority, lambda *_: None)
        self.keyring = Keyring()
        self.told: list[str] = []
        self.controller = AuthorityController(
            api=self.api.client,
            writer=writer,
            store=self.store,
            reporter=Reporter(self.store, writer, EventRecorder(self.api.client), self.clock),
            keyring=self.keyring,
            roots=self.roots,
            supplied=SuppliedAuthorities(
                api=self.api.client,
                reporter=Reporter(self.store, writer, EventRecorder(self.api.client), self.clock),
                keyring=self.keyring,
                leaves=self.roots,
                namespace="mintls-system",
                clock=self.clock,
                on_change=self.told.append,
            ),
            external=ExternalAuthorities(
                make_way=Ways(self.api.client, writer, "mintls-system", self.clock).make,
                reporter=Reporter(self.store, writer, EventRecorder(self.api.client), self.clock),
                keyring=self.keyring,
                issuer_authority="default",
                clock=self.clock,
                on_change=self.told.append,
            ),
            namespace="mintls-system",
            clock=self.clock,
            on_change=self.told.append,
        )

    def restart(self) -> None:
        self.begin()
        self.store.saw(self.api.objects[ITEM])

    def clock(self) -> datetime:
        return self.now

    async def look(self) -> datetime | None:
        return await self.controller.reconcile(KEY)

    async def made(self) -> "World":
        await self.look()
        assert self.ready
        self.api.writes.clear()
        self.told.clear()
        return self

    @property
    def ready(self) -> bool:
        item = self.store.get(("", "default"))
        return item is not None and holds(item.status.conditions, "Ready")

    @property
    def reason(self) -> str:
        item = self.store.get(("", "default"))
        ready = find(item.status.conditions, "Ready") if item else None
        return ready.reason if ready else ""

    def fail(self, verb: str, path: str, error: ApiError = FULL, *, times: int = 1) -> None:
        left = times

        def before(now_verb: str, now_path: str) -> Awaitable[None] | None:
            nonlocal left
            if left and (now_verb, now_path) == (verb, path):
                left -= 1
                raise error
            return None

        self.api.before = before

    def ahead_of(self, verb: str, path: str, do: Callable[[], object]) -> None:
        done: list[bool] = []

        def before(now_verb: str, now_path: str) -> Awaitable[None] | None:
            if not done and (now_verb, now_path) == (verb, path):
                done.append(True)
                do()
            return None

        self.api.before = before


class TestANewAuthority:
    async def test_gets_both_secrets_and_then_its_status(self) -> None:
        world = World()
        again = await world.look()
        assert world.api.writes == [("create", ROOT), ("create", INTERMEDIATE), ("patch", STATUS)]
        assert [event["reason"] for event in world.api.events] == ["RootCreated", "IntermediateCreated"]
        assert world.ready
        assert after(days=44) < again < after(days=46)  # type: ignore[operator] # not None

    async def test_can_sign_and_says_so_to_those_who_wait(self) -> None:
        world = World()
        await world.look()
        view, signer = world.keyring.view("default"), world.keyring.signer("default")
        assert view is not None
        assert signer is not None
        assert (view.problem, view.signs_until) == ("", signer.not_after)
        assert world.told == ["default"]
        assert world.keyring.bundle() == view.bundle != ""

    async def test_has_secrets_that_outlive_it(self) -> None:
        world = await World().made()
        for path in (ROOT, INTERMEDIATE):
            metadata = world.api.objects[path]["metadata"]
            assert "ownerReferences" not in metadata
            assert metadata["labels"]["mintls.dev/authority"] == "default"
            assert world.api.objects[path]["type"] == "kubernetes.io/tls"

    async def test_that_was_made_costs_nothing_more(self) -> None:
        world = await World().made()
        await world.look()
        world.restart()
        await world.look()
        assert world.api.writes == []
        assert world.told == ["default"], "after a restart the others wait for it again"

    async def test_with_an_rsa_key_is_made_as_well(self) -> None:
        world = await World(selfSigned={"privateKey": {"algorithm": "RSA"}}).made()
        signer = world.keyring.signer("default")
        assert signer is not None
        assert signer.certificate.public_key().key_size == 2048  # type: ignore[union-attr] # RSA

    @pytest.mark.parametrize("key", [{"algorithm": "Ed25519"}, {"algorithm": "RSA", "size": 1024}])
    async def test_with_a_key_that_cannot_be_a_ca_s_says_so(self, key: dict[str, Any]) -> None:
        world = World(selfSigned={"privateKey": key})
        await world.look()
        assert world.reason == "InvalidSpec"
        assert world.api.writes == [("patch", STATUS)]

    async def test_of_which_somebody_made_the_root_at_the_same_moment_takes_that_one(self) -> None:
        """Two leaders for a moment: one root comes of it."""
        world, other = World(), World()
        await other.look()
        world.ahead_of("create", SECRETS, lambda: world.api.have(ROOT, other.api.objects[ROOT]))
        await world.look()
        mine, theirs = world.keyring.view("default"), other.keyring.view("default")
        assert mine is not None
        assert theirs is not None
        assert mine.fingerprint == theirs.fingerprint


class TestKilled:
    @pytest.mark.parametrize("steps", [1, 2])
    async def test_after_some_of_its_writes_it_goes_on_with_what_is_there(self, steps: int) -> None:
        world = World()

        def lose_the_lease(verb: str, path: str) -> None:
            del verb, path
            world.leading = len(world.api.writes) < steps

        world.api.after = lose_the_lease
        with pytest.raises(NotLeadingError):
            await world.look()
        root = world.api.objects[ROOT]
        world.api.after, world.leading = None, True
        world.restart()
        await world.look()
        assert world.ready
        assert world.api.objects[ROOT] == root
        assert sorted(world.api.writes) == [("create", INTERMEDIATE), ("create", ROOT), ("patch", STATUS)]


class TestALostRoot:
    async def test_is_never_made_anew_and_ends_signing(self) -> None:
        world = await World().made()
        bundle = world.keyring.bundle()
        world.api.remove(ROOT)
        again = await world.look()
        assert world.reason == "KeyLost"
        assert ROOT not in world.api.objects
        assert world.keyring.signer("default") is None
        assert world.keyring.bundle() == bundle, "what it signed stays trusted"
        assert world.told == ["default"]
        assert again is not None

    async def test_stays_trusted_by_a_process_that_never_saw_it(self) -> None:
        world = await World().made()
        bundle = world.keyring.bundle()
        world.api.remove(ROOT)
        world.restart()
        await world.look()
        assert world.keyring.bundle() == bundle

    async def test_that_is_restored_signs_again(self) -> None:
        world = await World().made()
        root = world.api.objects[ROOT]
        world.api.remove(ROOT)
        await world.look()
        world.api.have(ROOT, root)
        await world.look()
        assert world.ready
        assert world.keyring.signer("default") is not None


class TestAFailure:
    async def test_to_write_is_a_condition_and_is_tried_again(self) -> None:
        world = World()
        world.fail("create", SECRETS)
        again = await world.look()
        assert world.reason == "WriteFailed"
        assert NOW < again <= after(seconds=2)  # type: ignore[operator] # not None
        await world.look()
        assert world.ready

    async def test_to_write_is_told_to_those_who_wait_for_the_authority(self) -> None:
        """Else their objects would say nothing at all until it has been overcome."""
        world = World()
        world.fail("create", SECRETS)
        await world.look()
        assert world.told == ["default"]
        view = world.keyring.view("default")
        assert view is not None
        assert "etcd is full" in view.problem

    async def test_to_write_waits_longer_each_time(self) -> None:
        world = World()
        world.fail("create", SECRETS, times=100)
        waits = []
        for _ in range(6):
            again = await world.look()
            assert again is not None
            waits.append(again - world.now)
            world.now = again
        assert waits == sorted(set(waits))

    async def test_to_write_the_status_does_not_keep_it_from_those_who_wait(self) -> None:
        """They are told once only: the next look finds the keys unchanged."""
        world = World()
        world.fail("patch", STATUS)
        with pytest.raises(ServerError):
            await world.look()
        await world.look()
        assert world.ready
        assert "default" in world.told

    async def test_to_read_leaves_the_root_trusted_that_the_status_names(self) -> None:
        """A bundle without it would end trust that was never in question."""
        world = await World().made()
        bundle = world.keyring.bundle()
        world.restart()
        world.fail("get", INTERMEDIATE)
        with pytest.raises(ServerError):
            await world.look()
        assert world.keyring.bundle() == bundle
        view = world.keyring.view("default")
        assert view is not None
        assert "etcd is full" in view.problem
        await world.look()
        assert world.ready
        assert world.told[-1] == "default"

    async def test_to_read_does_not_take_a_key_away_that_is_at_hand(self) -> None:
        world = await World().made()
        world.fail("get", ROOT)
        with pytest.raises(ServerError):
            await world.look()
        assert world.keyring.signer("default") is not None

    async def test_to_renew_the_intermediate_leaves_the_present_one_signing(self) -> None:
        world = await World().made()
        world.now = after(days=60)
        world.fail("update", INTERMEDIATE)
        await world.look()
        assert world.keyring.signer("default") is not None

    async def test_to_renew_the_intermediate_is_no_end_of_ready_and_none_of_signing_after_a_restart(self) -> None:
        world = await World().made()
        world.now = after(days=46)
        world.restart()
        world.fail("update", INTERMEDIATE)
        again = await world.look()
        assert world.ready
        assert world.keyring.signer("default") is not None
        assert again is not None
        assert again < after(days=46, seconds=10)
        await world.look()
        assert ("update", INTERMEDIATE) in world.api.writes

    async def test_of_a_root_that_no_verifier_takes_is_a_condition(self) -> None:
        """Restored by hand, with another CA's key and none of the extensions that strict verifiers ask for."""
        key = pki.ec_key()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own")])
        root = pki.raw(key.public_key(), name, key, subject=name, san=(), ca=True, leave_out=(x509.KeyUsage,))
        made, other = await World().made(), World()
        files = {"tls.crt": pki.Leaf(root, key).tls_crt, "tls.key": pki.Leaf(root, key).tls_key}
        data = {file: base64.b64encode(value).decode() for file, value in files.items()}
        other.api.have(ROOT, {**made.api.objects[ROOT], "data": data})
        await other.look()
        assert other.reason == "IssuingFailed"
        assert "keyUsage" in str(other.store.get(("", "default")))


class TestTheIntermediate:
    async def test_is_replaced_at_its_time_and_the_others_are_told(self) -> None:
        world = await World().made()
        before = world.keyring.signer("default")
        world.now = after(days=46)
        await world.look()
        signer = world.keyring.signer("default")
        assert world.api.writes == [("update", INTERMEDIATE), ("patch", STATUS)]
        assert signer is not None
        assert before is not None
        assert signer.not_after > before.not_after
        assert world.told == ["default"]

    async def test_that_somebody_changes_at_the_same_moment_is_looked_at_again(self) -> None:
        world = await World().made()
        world.now = after(days=46)
        world.ahead_of("update", INTERMEDIATE, lambda: world.api.change(INTERMEDIATE))
        await world.look()
        assert world.ready
        assert world.api.writes == [("update", INTERMEDIATE), ("patch", STATUS)]


class TestGone:
    async def test_is_forgotten_and_told_once(self) -> None:
        world = await World().made()
        world.store.gone(("", "default"))
        assert await world.look() is None
        assert world.keyring.view("default") is None
        assert world.keyring.bundle() == ""
        await world.look()
        assert world.told == ["default"]


class TestLimits:
    async def test_of_the_policy_reach_those_who_ask(self) -> None:
        world = await World(policy={"minDuration": "2m", "maxDuration": "720h", "backdate": "3m"}).made()
        view = world.keyring.view("default")
        assert view is not None
        assert (view.min_duration, view.max_duration, view.backdate) == (
            timedelta(minutes=2),
            timedelta(days=30),
            timedelta(minutes=3),
        )

    async def test_of_the_policy_stay_when_the_authority_is_blocked(self) -> None:
        world = await World(policy={"maxDuration": "720h", "backdate": "3m"}).made()
        world.api.remove(ROOT)
        await world.look()
        view = world.keyring.view("default")
        assert view is not None
        assert (view.max_duration, view.backdate) == (timedelta(days=30), timedelta(minutes=3))

    async def test_that_cannot_be_read_block_it_and_are_those_of_before(self) -> None:
        world = await World(policy={"maxDuration": "720h"}).made()
        changed = body("default", "", spec={"policy": {"maxDuration": "a month"}}, generation=2, resourceVersion="9999")
        world.store.saw({**changed, "status": world.api.objects[ITEM]["status"]})
        world.api.objects[ITEM]["metadata"]["uid"] = "uid--default"
        await world.look()
        view = world.keyring.view("default")
        assert view is not None
        assert view.max_duration == timedelta(days=30)
        assert "a month" in view.problem
