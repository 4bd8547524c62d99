"""What an installation has one of, or one a namespace: trust bundles, signing keys, the issuer's certificate."""

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.fake_api import FakeApi
from builders.objects import INSTALLATION, after, ca_object, default_authority
from builders.pki import NOW, authority
from mintls.controllers.bundlelacks import BundleLacks
from mintls.controllers.issuers import IssuerReplicas, StaticEndpoints
from mintls.controllers.issuing import Pair
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key, Kind
from mintls.controllers.servercertificate import ServerCertificateController
from mintls.controllers.signingkeys import SigningKeysController
from mintls.controllers.signingsecret import SigningSecret
from mintls.controllers.trustbundles import NamespaceUse, TrustBundleController, found_of
from mintls.controllers.writer import Writer
from mintls.core.oauth.signing_keys import decode_signing_keys
from mintls.core.pki.credential import check_credential
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.kube.errors import Forbidden, ServerError
from mintls.reconcile.bundlelack import NOT_OWNED
from mintls.reconcile.trustbundle import NAME, Found

BUNDLES = "/api/v1/namespaces/shop/configmaps"
BUNDLE = f"{BUNDLES}/{NAME}"
SECRETS = "/api/v1/namespaces/mintls-system/secrets"
OURS = {"app.kubernetes.io/managed-by": "mintls"}


class World:
    """The three controllers; ``bundles`` is what an informer of ConfigMaps of that name would have."""

    def __init__(self) -> None:
        self.api, self.now = FakeApi(), NOW
        self.keyring, self.use = Keyring(), NamespaceUse()
        self.bundles: dict[tuple[str, str], Found] = {}
        self.labels: dict[tuple[str, str], dict[str, str]] = {}
        self.lacks = BundleLacks(lambda: None)
        self.lacks.begin(())
        self.used: list[Pair] = []
        self.trusted: list[str] = []
        self.use.changed("shop", None, "an object")
        self.keyring.put(ca_object(), default_authority().root, default_authority().signer)
        api, writer = self.api.client, Writer(self.api.client, lambda: 60.0)
        replicas = IssuerReplicas(StaticEndpoints(()), INSTALLATION.mtls_url)
        replicas.use = self.use_pair  # type: ignore[method-assign] # no TLS here
        self.bundle_controller = TrustBundleController(
            writer=writer,
            bundles=self.bundles,
            use=self.use,
            labels=self.labels,
            keyring=self.keyring,
            lacks=self.lacks,
            namespace="mintls-system",
        )
        secret = SigningSecret(
            api=api, writer=writer, namespace="mintls-system", name="mintls-signing-keys", component="signing-keys"
        )
        self.signing = SigningKeysController(secret=secret, clock=self.clock)
        self.server = ServerCertificateController(
            api=api,
            writer=writer,
            keyring=self.keyring,
            replicas=replicas,
            installation=INSTALLATION,
            authority="default",
            clock=self.clock,
        )

    def use_pair(self, pair: Pair, roots: str) -> None:
        self.used.append(pair)
        self.trusted.append(roots)

    def clock(self) -> datetime:
        return self.now

    def informed(self) -> None:
        self.bundles.clear()
        for path, item in self.api.objects.items():
            if path.endswith(f"/configmaps/{NAME}"):
                self.bundles[item["metadata"]["namespace"], item["metadata"]["name"]] = found_of(item)

    async def bundle(self, namespace: str = "shop") -> datetime | None:
        self.informed()
        return await self.bundle_controller.reconcile(Key(Kind.TRUST_BUNDLE, namespace))

    def fail(self, verb: str, path: str, error: Exception) -> None:
        def before(now_verb: str, now_path: str) -> None:
            if (now_verb, now_path) == (verb, path):
                raise error

        self.api.before = before

    def foreign(self, **data: str) -> dict[str, Any]:
        return {"metadata": {"name": NAME, "namespace": "shop", "labels": {"app": "x"}}, "data": data}


class TestTheTrustBundle:
    async def test_is_made_once_where_it_is_needed(self) -> None:
        world = World()
        await world.bundle()
        await world.bundle()
        assert world.api.writes == [("create", BUNDLE)]
        assert world.api.objects[BUNDLE]["data"] == {"ca.crt": default_authority().bundle}

    async def test_is_always_needed_in_the_operator_s_namespace(self) -> None:
        world = World()
        assert world.bundle_controller.namespaces() == {"shop", "mintls-system"}
        await world.bundle("mintls-system")
        assert len(world.api.writes) == 1

    async def test_is_put_right_when_it_was_edited(self) -> None:
        world = World()
        await world.bundle()
        world.api.objects[BUNDLE]["data"] = {"ca.crt": "x", "notes": "y"}
        await world.bundle()
        assert world.api.objects[BUNDLE]["data"] == {"ca.crt": default_authority().bundle, "notes": "y"}

    async def test_follows_a_new_authority(self) -> None:
        world, other = World(), authority("other")
        await world.bundle()
        world.keyring.put(ca_object("other"), other.root, other.signer)
        await world.bundle()
        assert world.api.objects[BUNDLE]["data"]["ca.crt"] == world.keyring.bundle()

    async def test_is_taken_away_where_nothing_needs_it_any_more(self) -> None:
        world = World()
        await world.bundle()
        world.use.changed("shop", "an object", None)
        assert "shop" not in world.use.namespaces()
        world.informed()
        assert "shop" in world.bundle_controller.namespaces()
        await world.bundle()
        assert BUNDLE not in world.api.objects

    async def test_is_made_where_an_authority_selects_the_namespace_and_goes_with_the_label(self) -> None:
        world = World()
        world.use.changed("shop", "an object", None)
        selecting = ca_object(spec={"trustBundle": {"namespaceSelector": {"matchLabels": {"team": "blue"}}}})
        world.keyring.put(selecting, default_authority().root, default_authority().signer)
        world.labels["", "shop"] = {"team": "blue"}
        assert "shop" in world.bundle_controller.namespaces()
        await world.bundle()
        assert world.api.objects[BUNDLE]["data"] == {"ca.crt": default_authority().bundle}
        world.labels["", "shop"] = {}
        await world.bundle()
        assert BUNDLE not in world.api.objects

    async def test_of_somebody_else_is_left_alone_and_said_of_the_authorities_that_it_concerns(self) -> None:
        world = World()
        theirs = world.api.have(BUNDLE, world.foreign(hello="x"))
        assert await world.bundle() is None
        assert world.api.objects[BUNDLE] == theirs
        assert world.bundle_controller.lacking("default") == {"shop": NOT_OWNED}
        world.use.changed("shop", "an object", None)
        assert world.bundle_controller.lacking("default") == {}

    async def test_that_another_leader_made_is_taken_as_it_is(self) -> None:
        world = World()
        labels = {**OURS, "mintls.dev/component": "trust-bundle"}
        body = {"metadata": {"name": NAME, "namespace": "shop", "labels": labels}, "data": {"ca.crt": "old"}}
        world.informed()
        world.api.have(BUNDLE, body)
        await world.bundle_controller.reconcile(Key(Kind.TRUST_BUNDLE, "shop"))
        assert world.api.objects[BUNDLE]["data"]["ca.crt"] == "old", "before the watch has told of it"
        await world.bundle()
        assert world.api.objects[BUNDLE]["data"]["ca.crt"] == default_authority().bundle

    async def test_of_a_namespace_that_is_going_is_nobody_s_business(self) -> None:
        world = World()
        causes = (("NamespaceTerminating", "", ""),)
        world.fail("create", BUNDLES, Forbidden(403, "Forbidden", "terminating", BUNDLES, verb="create", causes=causes))
        assert await world.bundle() is None

    async def test_without_the_right_to_make_it_is_an_error(self) -> None:
        world = World()
        world.fail("create", BUNDLES, Forbidden(403, "Forbidden", "no", BUNDLES, verb="create"))
        with pytest.raises(Forbidden):
            await world.bundle()


class TestTheSigningKeys:
    SECRET = f"{SECRETS}/mintls-signing-keys"

    def keys(self, world: World) -> Any:
        return decode_signing_keys(base64.b64decode(world.api.objects[self.SECRET]["data"]["keys.json"]))

    async def look(self, world: World) -> datetime | None:
        return await world.signing.reconcile(Key(Kind.SIGNING_KEYS))

    async def test_are_made_once(self) -> None:
        world = World()
        assert await self.look(world) == NOW, "to see that it is as it should be"
        again = await self.look(world)
        assert world.api.writes == [("create", self.SECRET)]
        (key,) = self.keys(world)
        assert (key.sign_from, key.created_at, key.retire_at) == (NOW, NOW, None)
        assert again == after(days=29)

    async def test_are_joined_by_the_next_before_it_signs(self) -> None:
        world = World()
        await self.look(world)
        world.now = after(days=29)
        await self.look(world)
        old, new = self.keys(world)
        assert new.sign_from == after(days=30)
        assert old.retire_at == after(days=31, hours=1)
        assert await self.look(world) == old.retire_at

    async def test_lose_one_that_has_ended_and_keep_the_others_as_they_are(self) -> None:
        world = World()
        await self.look(world)
        world.now = after(days=29)
        await self.look(world)
        _, new = self.keys(world)
        world.now = after(days=32)
        await self.look(world)
        (key,) = self.keys(world)
        assert (key.kid, key.sign_from) == (new.kid, new.sign_from)

    @pytest.mark.parametrize("data", [{}, {"keys.json": ""}, {"keys.json": "eA=="}])
    async def test_that_are_broken_are_made_anew(self, data: dict[str, str]) -> None:
        world = World()
        await self.look(world)
        world.api.objects[self.SECRET]["data"] = data
        await self.look(world)
        assert len(self.keys(world)) == 1

    async def test_in_somebody_else_s_secret_are_not_touched(self) -> None:
        world = World()
        theirs = world.api.have(self.SECRET, {"metadata": {"name": "x"}, "data": {}})
        assert await self.look(world) == after(minutes=5)
        assert world.api.objects[self.SECRET] == theirs

    async def test_that_another_leader_makes_at_the_same_moment_stay(self) -> None:
        world, other = World(), World()
        await self.look(other)

        def before(verb: str, path: str) -> None:
            if (verb, path) == ("create", SECRETS):
                world.api.before = None
                world.api.have(self.SECRET, other.api.objects[self.SECRET])

        world.api.before = before
        assert await self.look(world) == NOW
        await self.look(world)
        assert self.keys(world)[0].kid == self.keys(other)[0].kid
        assert world.api.writes == []

    async def test_never_reach_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        world = World()
        with caplog.at_level("DEBUG"):
            await self.look(world)
            world.api.objects[self.SECRET]["data"]["keys.json"] += "eA=="
            await self.look(world)
        assert "PRIVATE" not in caplog.text


class TestTheIssuersCertificate:
    SECRET = f"{SECRETS}/mintls-issuer-tls"

    async def look(self, world: World) -> datetime | None:
        return await world.server.reconcile(Key(Kind.SERVER_CERTIFICATE))

    def pair(self, world: World) -> tuple[bytes, bytes]:
        data = world.api.objects[self.SECRET]["data"]
        return base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"])

    async def test_is_made_once_and_so_is_the_operator_s(self) -> None:
        world = World()
        await self.look(world)
        again = await self.look(world)
        assert world.api.writes == [("create", self.SECRET)]
        assert len(world.used) == 1
        assert again == after(hours=12), "the operator's own ends first"
        assert check_credential(*self.pair(world)).leaf.not_after == after(days=7)

    async def test_of_the_operator_is_its_identity_and_is_written_nowhere(self) -> None:
        world = World()
        await self.look(world)
        (pair,) = world.used
        assert world.trusted == [default_authority().bundle]
        assert pair.leaf.names == {
            normalize(SubjectName(SubjectKind.SAN_URI, "spiffe://cluster.local/ns/mintls-system/operator"))
        }
        assert pair.tls_key.splitlines()[1].decode() not in repr(world.api.objects) + repr(pair)

    async def test_of_the_operator_is_renewed_at_half_of_its_life(self) -> None:
        world = World()
        await self.look(world)
        world.now = after(hours=12)
        await self.look(world)
        assert len(world.used) == 2

    async def test_is_made_anew_in_its_secret_when_the_root_is_another(self) -> None:
        world, other = World(), authority("default")
        await self.look(world)
        world.keyring.put(ca_object(), other.root, other.signer)
        await self.look(world)
        assert world.api.writes == [("create", self.SECRET), ("apply", self.SECRET)]
        assert len(world.used) == 2

    async def test_waits_for_the_authority(self) -> None:
        world = World()
        world.keyring.remove("default")
        assert await self.look(world) == after(minutes=1)
        assert (world.api.writes, world.used) == ([], [])

    async def test_that_somebody_changes_at_the_same_moment_is_looked_at_again(self) -> None:
        world = World()
        await self.look(world)
        world.now = after(days=6)

        def before(verb: str, path: str) -> None:
            if (verb, path) == ("apply", self.SECRET):
                world.api.before = None
                world.api.change(self.SECRET)

        world.api.before = before
        assert await self.look(world) == world.now
        await self.look(world)
        assert check_credential(*self.pair(world)).leaf.not_after == world.now + timedelta(days=7)

    async def test_that_cannot_be_read_is_an_error_and_nothing_is_written(self) -> None:
        world = World()
        world.fail("get", self.SECRET, ServerError(500, "InternalError", "x", self.SECRET))
        with pytest.raises(ServerError):
            await self.look(world)
        assert world.api.writes == []
