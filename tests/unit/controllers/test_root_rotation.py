"""Another root, write by write: trusted first, used later, retired last, and the same end whoever dies in between."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from builders.objects import after
from builders.pki import NOW
from mintls.api.v1alpha1.certificateauthority import HOLD_ROTATION, ROTATE_REQUESTED
from mintls.controllers.writer import NotLeadingError
from mintls.core.pki.certificate import key_fingerprint, load_pem_chain
from mintls.reconcile.rootrotation import Leaves, Reach
from unit.controllers.test_authorities import INTERMEDIATE, ITEM, ROOT, STATUS, World

NEXT = f"{ROOT}-next"
BEHIND = Reach(secrets=2, secrets_behind=1, bundles_behind=3, issuers=2, issuers_behind=("10.0.0.1 does not know it",))


def annotate(world: World, **annotations: str) -> None:
    world.api.change(ITEM, annotations=annotations)
    world.store.saw(world.api.objects[ITEM])


def rotate(world: World, value: str = "now") -> None:
    annotate(world, **{ROTATE_REQUESTED: value})


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.api.objects[ITEM]["status"]
    return found


def phase(world: World) -> str:
    return str((status(world).get("rotation") or {}).get("phase", ""))


def roles(world: World) -> list[str]:
    return [key["role"] for key in status(world)["keys"]]


def certificate(world: World, path: str, file: str = "tls.crt") -> x509.Certificate:
    return load_pem_chain(base64.b64decode(world.api.objects[path]["data"][file]))[0]


def root_key(world: World, path: str = ROOT) -> str:
    return key_fingerprint(certificate(world, path))


async def play(world: World) -> None:
    """The whole rotation, an hour at a time, as the parts of an installation would let it go on."""
    for _ in range(40):
        await world.look()
        world.store.saw(world.api.objects[ITEM])
        view = world.keyring.view("default")
        assert view is not None
        assert view.root is not None
        if view.retiring:
            world.roots.found = Leaves(2, 0, world.now)
        if not (phase(world) or ROTATE_REQUESTED not in world.api.objects[ITEM]["metadata"]["annotations"]):
            return
        world.now += timedelta(hours=1)
    raise AssertionError(f"it does not end: {status(world)}")


async def in_phase(wanted: str) -> World:
    world = await World().made()
    world.roots.found = Leaves(2, 0, after(hours=24))
    rotate(world)
    await world.look()
    await world.look()
    if wanted == "Preparing":
        return world
    world.now = after(hours=1, seconds=1)
    world.roots.found = Leaves(2, 2, after(hours=25))
    await world.look()
    await world.look()
    if wanted == "Retiring":
        world.roots.found = Leaves(2, 0, after(hours=25))
        await world.look()
    assert phase(world) == wanted
    return world


class TestPreparing:
    async def test_makes_another_root_and_has_both_trusted_and_signs_as_before(self) -> None:
        world = await World().made()
        first, signs = root_key(world), certificate(world, INTERMEDIATE)
        rotate(world)
        again = await world.look()
        assert world.api.writes == [("create", NEXT), ("patch", STATUS)]
        assert roles(world) == ["active", "next"]
        assert (root_key(world), root_key(world, NEXT)) == (first, status(world)["keys"][1]["fingerprint"])
        signer = world.keyring.signer("default")
        assert signer is not None
        assert signer.certificate == signs
        assert world.keyring.bundle().count("BEGIN") == 2
        assert world.told == ["default"], "those who write bundles are told"
        assert again is not None
        assert again <= after(seconds=5)
        [event] = [one for one in world.api.events if one["reason"] == "RootRotationBegun"]
        assert ROTATE_REQUESTED in event["note"]

    async def test_waits_for_everybody_and_says_for_whom(self) -> None:
        world = await in_phase("Preparing")
        world.roots.spread = BEHIND
        world.now = after(days=3)
        await world.look()
        assert phase(world) == "Preparing"
        assert status(world)["rotation"]["message"] == (
            "the next root: 1 of 2 Secrets do not have it in ca.crt yet, 3 trust bundles do not have it yet, "
            "1 of 2 issuer replicas do not trust it yet: 10.0.0.1 does not know it"
        )

    async def test_gives_everybody_time_from_when_all_were_seen_to_trust_it(self) -> None:
        world = await in_phase("Preparing")
        world.now = after(hours=1, seconds=-1)
        assert await world.look() == after(hours=1)
        assert roles(world) == ["active", "next"]
        # One that lags behind again starts no new hour, but nothing is done before it has caught up.
        reached, world.roots.spread, world.now = world.roots.spread, BEHIND, after(hours=2)
        await world.look()
        assert roles(world) == ["active", "next"]
        world.roots.spread, world.now = reached, after(hours=2, seconds=1)
        await world.look()
        assert phase(world) in {"Reissuing", "Retiring"}

    async def test_goes_on_after_a_restart_without_a_new_hour_or_a_write(self) -> None:
        world = await in_phase("Preparing")
        before = len(world.api.writes)
        world.restart()
        world.now = after(minutes=30)
        await world.look()
        assert len(world.api.writes) == before, "nobody has looked yet: what was known stands"
        await world.look()
        assert len(world.api.writes) == before
        world.now = after(hours=1, seconds=1)
        await world.look()
        assert phase(world) in {"Reissuing", "Retiring"}

    async def test_that_is_held_is_undone(self) -> None:
        world = await in_phase("Preparing")
        first = root_key(world)
        annotate(world, **{ROTATE_REQUESTED: "now", HOLD_ROTATION: "true"})
        await world.look()
        assert NEXT not in world.api.objects
        assert (root_key(world), roles(world), phase(world)) == (first, ["active"], "")
        assert world.keyring.bundle().count("BEGIN") == 1
        assert world.api.events[-1]["reason"] == "RootRotationAborted"
        annotate(world, **{ROTATE_REQUESTED: "now"})
        await world.look()
        assert NEXT not in world.api.objects, "the request was answered by what was undone"
        rotate(world, "again")
        await world.look()
        assert NEXT in world.api.objects

    async def test_begins_anew_with_a_next_root_that_was_damaged(self) -> None:
        world = await in_phase("Preparing")
        world.api.objects[NEXT]["data"]["tls.key"] = base64.b64encode(b"damaged").decode()
        await world.look()
        assert NEXT not in world.api.objects
        assert world.ready

    async def test_gives_another_next_root_an_hour_of_its_own(self) -> None:
        world = await in_phase("Preparing")
        world.api.objects[NEXT]["data"]["tls.key"] = base64.b64encode(b"damaged").decode()
        world.now = after(minutes=59)
        rotate(world, "again")
        for _ in range(2):
            await world.look()
        world.now = after(hours=1, seconds=1)
        await world.look()
        assert phase(world) == "Preparing"

    async def test_leaves_alone_what_somebody_else_made(self) -> None:
        world = await World().made()
        theirs = world.api.have(NEXT, {"metadata": {"name": "x"}, "data": {}})
        rotate(world)
        await world.look()
        assert world.reason == "SecretNotOwned"
        assert world.api.objects[NEXT] == theirs


class TestTheSwitch:
    async def test_is_one_write_to_the_root_and_then_everything_is_of_the_new_one(self) -> None:
        world = await in_phase("Preparing")
        old, new = certificate(world, ROOT), root_key(world, NEXT)
        world.api.writes.clear()
        world.roots.found = Leaves(2, 2, after(hours=25))
        world.now = after(hours=1, seconds=1)
        await world.look()
        assert world.api.writes == [("update", ROOT), ("delete", NEXT), ("update", INTERMEDIATE), ("patch", STATUS)]
        assert root_key(world) == new
        assert certificate(world, ROOT, "retiring.crt") == old
        certificate(world, INTERMEDIATE).verify_directly_issued_by(certificate(world, ROOT))
        signer = world.keyring.signer("default")
        assert signer is not None
        signer.certificate.verify_directly_issued_by(certificate(world, ROOT))
        assert roles(world) == ["active", "retiring"]
        assert world.keyring.bundle().count("BEGIN") == 2
        rotation = status(world)["rotation"]
        assert (rotation["phase"], rotation["retireAt"]) == ("Reissuing", f"{after(hours=25, seconds=1):%FT%TZ}")
        assert rotation["message"] == "0 of 2 certificates were issued under the new root"

    async def test_cannot_be_undone(self) -> None:
        world = await in_phase("Reissuing")
        new = root_key(world)
        annotate(world, **{HOLD_ROTATION: "true"})
        await world.look()
        assert (root_key(world), phase(world)) == (new, "Reissuing")


class TestRetiring:
    async def test_waits_for_the_last_leaf_to_end_and_for_all_to_be_issued_anew(self) -> None:
        world = await in_phase("Retiring")
        assert await world.look() == after(hours=25, seconds=1)
        world.now = after(hours=25, seconds=1)
        world.roots.found = Leaves(2, 1, None)
        await world.look()
        assert (roles(world), phase(world)) == (["active", "retiring"], "Reissuing")
        world.roots.found = Leaves(2, 0, None)
        await world.look()
        assert (roles(world), phase(world)) == (["active"], "")
        assert "retiring.crt" not in world.api.objects[ROOT]["data"]
        assert world.keyring.bundle().count("BEGIN") == 1
        assert world.api.events[-1]["reason"] == "RootRetired"

    async def test_does_not_take_a_backup_of_the_root_before(self) -> None:
        world = await World().made()
        backup = world.api.objects[ROOT]
        world.roots.found = Leaves(2, 0, after(hours=24))
        rotate(world)
        for hours in (0, 0, 1, 2):
            world.now = after(hours=hours, seconds=1)
            await world.look()
        assert phase(world) == "Retiring"
        world.api.objects[ROOT] = {**backup, "metadata": world.api.change(ROOT)["metadata"]}
        await world.look()
        assert world.reason == "KeyReplaced"

    async def test_lets_another_request_wait_for_its_end(self) -> None:
        world = await in_phase("Retiring")
        rotate(world, "again")
        await world.look()
        assert NEXT not in world.api.objects
        world.now = after(hours=26)
        await world.look()
        assert NEXT in world.api.objects


async def test_a_root_that_comes_to_its_end_is_replaced_without_anybody_asking() -> None:
    world = await World(selfSigned={"root": {"duration": "1000h", "renewBefore": "300h"}}).made()
    world.now = after(hours=669)
    await world.look()
    assert NEXT not in world.api.objects
    world.now = after(hours=701)
    await world.look()
    assert phase(world) == "Preparing"
    [event] = [one for one in world.api.events if one["reason"] == "RootRotationBegun"]
    assert "the root ends at" in event["note"]


WRITES = [
    ("create", NEXT),
    ("update", ROOT),
    ("delete", NEXT),
    ("update", INTERMEDIATE),
    ("update", ROOT),
]


async def test_it_writes_no_more_than_it_has_to() -> None:
    world = await World().made()
    rotate(world)
    await play(world)
    assert [write for write in world.api.writes if write[1] != STATUS] == WRITES


@pytest.mark.parametrize("keeps_status", [True, False], ids=["with its status", "its status lost"])
@pytest.mark.parametrize("died_after", range(12))
async def test_killed_after_any_of_its_writes_it_ends_the_same(died_after: int, keeps_status: bool) -> None:  # noqa: FBT001
    world = await World().made()
    first = root_key(world)
    rotate(world)

    def die(_verb: str, _path: str) -> None:
        world.leading = len(world.api.writes) <= died_after

    world.api.after = die
    try:
        await play(world)
    except NotLeadingError:
        pass
    else:
        assert died_after + 1 >= len(world.api.writes), "there are no more writes than that"
    world.api.after, world.leading = None, True
    if not keeps_status and world.api.objects[ITEM]["status"].get("rotation"):
        # What was answered cannot be known any more; what is under way goes on by the Secrets alone.
        world.api.objects[ITEM]["status"] = {}
    world.restart()
    await play(world)
    assert world.ready
    assert roles(world) == ["active"]
    assert root_key(world) != first
    assert NEXT not in world.api.objects
    assert "retiring.crt" not in world.api.objects[ROOT]["data"]
    certificate(world, INTERMEDIATE).verify_directly_issued_by(certificate(world, ROOT))
    assert world.now < NOW + timedelta(days=3)
