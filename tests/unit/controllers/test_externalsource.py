"""Certificates of a CA elsewhere, from the controller's side: refused, away, answered wrongly, answered well."""

from datetime import timedelta
from typing import Any

import pytest

from builders import pki
from builders.objects import ca_object
from builders.pki import NOW
from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.externalsource import ExternalSource, Question
from mintls.core.pki.certificate import encode_pem, key_fingerprint, load_pem_chain
from mintls.core.pki.names import SubjectKind
from mintls.core.pki.profiles import LeafProfile
from mintls.core.pki.signing import sign_leaf
from mintls.reconcile.conditions import find
from mintls.reconcile.credential import ROOT_KEY
from mintls.reconcile.reasons import Reason
from unit.controllers.test_certificates import CREATED, PATCHED, SECRET, World

CA, NEXT = pki.authority("step"), pki.authority("next")


class Elsewhere:
    """A CA that signs what it is asked for, unless it is told to fail."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ca = CA
        self.failure: SourceError | None = None
        self.asked: list[Question] = []

    async def obtain(self, question: Question) -> bytes:
        self.asked.append(question)
        if self.failure:
            raise self.failure
        now = self.world.now
        profile = LeafProfile(question.subject, question.names, "client", now, now + question.duration)
        leaf = sign_leaf(profile, question.request.public_key(), self.ca.signer, pki.serial())  # type: ignore[arg-type] # ECDSA
        return encode_pem(leaf, *self.ca.signer.chain)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ca(world: World) -> Elsewhere:
    return at(world, Elsewhere(world))


def at(world: World, ca: Elsewhere, *roots: Any, problem: str = "") -> Elsewhere:
    known = roots or (CA.root,)
    world.keyring.put_external(ca_object(), known, ExternalSource(ca, known, world.clock), problem)
    return ca


def condition(world: World, type_: str) -> tuple[str, str]:
    found = find(world.item.status.conditions, type_)
    return (found.reason, found.message) if found else ("", "")


async def test_a_request_with_the_names_is_sent_and_the_answer_written(world: World, ca: Elsewhere) -> None:
    await world.look()
    assert world.ready
    assert world.api.writes == [CREATED, PATCHED]
    [question] = ca.asked
    assert question.request.is_signature_valid
    assert question.subject.rfc4514_string() == f"CN=mintls:ClientCertificate:{world.item.metadata.uid}"
    assert [name.kind for name in question.names] == [SubjectKind.SAN_URI]
    assert question.duration == timedelta(hours=24)
    assert load_pem_chain(world.file("tls.crt"))[1:] == CA.signer.chain
    await world.look()
    assert world.api.writes == [CREATED, PATCHED], "what is there is good"


async def test_a_failure_is_a_condition_and_is_tried_again_later(world: World, ca: Elsewhere) -> None:
    ca.failure = SourceUnavailable(Reason.EXTERNAL_UNREACHABLE, "step-ca does not answer")
    again = await world.look()
    assert condition(world, "Ready") == (
        "ExternalUnreachable",
        "no certificate was had: step-ca does not answer",
    )
    assert again == world.item.status.next_attempt_time
    await world.look()
    assert len(ca.asked) == 1, "not before its time"
    assert again is not None
    world.now, ca.failure = again, None
    await world.look()
    assert world.ready


async def test_a_refused_renewal_leaves_what_is_there(world: World, ca: Elsewhere) -> None:
    await world.issued()
    before = world.file("tls.crt")
    world.now += timedelta(hours=20)
    ca.failure = SourceError(Reason.EXTERNAL_REFUSED, "step-ca refuses")
    await world.look()
    assert world.ready
    assert condition(world, "Issuing")[0] == "ExternalRefused"
    assert world.file("tls.crt") == before


async def test_a_wrong_answer_is_thrown_away(world: World, ca: Elsewhere) -> None:
    ca.ca = NEXT
    await world.look()
    assert condition(world, "Ready")[0] == "ExternalAnswerWrong"
    assert "does not lead to a root of spec.external.caBundle" in condition(world, "Ready")[1]
    assert world.api.writes == [PATCHED]


async def test_while_it_cannot_be_asked_it_is_not(world: World) -> None:
    ca = at(world, Elsewhere(world), problem="step-ca does not answer")
    assert await world.look() is None
    assert condition(world, "Ready")[0] == "AuthorityNotReady"
    assert ca.asked == []
    at(world, ca)
    await world.look()
    assert world.ready


async def test_of_several_roots_each_is_good_until_it_is_taken_out(world: World, ca: Elsewhere) -> None:
    await world.issued()
    before = world.file("tls.crt")
    at(world, ca, NEXT.root, CA.root)
    await world.look()
    assert world.file("tls.crt") == before
    assert world.file("ca.crt").count(b"BEGIN") == 2

    ca.ca = NEXT
    at(world, ca, NEXT.root)
    await world.look()
    assert world.file("tls.crt") != before
    secret = world.api.objects[SECRET]
    assert secret["metadata"]["annotations"][ROOT_KEY] == key_fingerprint(NEXT.root)
    assert world.now == NOW
