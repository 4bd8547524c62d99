"""Whatever happened to a ClientCertificate, its Secret and its status: a few looks put it right, and then all is quiet.

The decision is carried out on a simulated Secret with the real signing code, and observed again.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from builders import pki
from builders.credentials import Life
from builders.objects import authority_view, certificate, default_authority, registration, with_status
from mintls.api.v1alpha1.clientcertificate import ClientCertificateStatus
from mintls.core.pki.credential import check_credential
from mintls.core.pki.keys import encode_private_key, encoding_of, key_fingerprint, load_private_key
from mintls.reconcile.certificate.decide import decide, must_read, wanted_credential
from mintls.reconcile.certificate.values import Blocked, Keep
from mintls.reconcile.credential import CERTIFICATE_DIGEST, CONTENTS_DIGEST, REVISION, Violation, Wanted
from mintls.reconcile.reasons import Reason

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEYS: tuple[dict[str, Any], ...] = (
    {},
    {"algorithm": "ECDSA", "size": 384},
    {"algorithm": "Ed25519"},
    {"algorithm": "RSA", "size": 2048},
    {"rotationPolicy": "Never"},
    {"rotationPolicy": "Never", "encoding": "PKCS1"},
    {"algorithm": "RSA", "encoding": "PKCS1"},
)
SUBJECTS: tuple[dict[str, str] | None, ...] = (
    None,
    {"subjectDN": "CN=billing, OU=shop+L=here, O=Example"},
    {"sanDNS": "Billing.shop.svc"},
    {"sanURI": "HTTPS://Billing.Example:443/%7ebilling"},
    {"sanIP": "2001:db8::7"},
    {"sanEmail": "billing@Shop.example"},
)


@dataclass(frozen=True)
class Step:
    """Something that happens; its name is what hypothesis shows."""

    name: str
    do: Callable[[Life], object]

    def __repr__(self) -> str:
        return self.name


def pair_of(leaf: pki.Leaf) -> Callable[[Life], object]:
    return lambda life: life.secret.edit(tls__crt=leaf.tls_crt, tls__key=leaf.tls_key)


def annotate(**changes: str) -> Callable[[Life], object]:
    names = {"certificate": CERTIFICATE_DIGEST, "contents": CONTENTS_DIGEST, "revision": REVISION}

    def do(life: Life) -> None:
        view = life.secret.view
        if view is not None:
            new = {**view.annotations, **{names[name]: value for name, value in changes.items()}}
            life.secret.edit_metadata(annotations=new)

    return do


def status(**changes: Any) -> Callable[[Life], object]:
    return lambda life: setattr(life, "item", with_status(life.item, msgspec.structs.replace(life.status, **changes)))


def reencode(life: Life) -> None:
    if encoding_of(life.secret.data.get("tls.key", b"")) == "PKCS8":
        key = load_private_key(life.secret.data["tls.key"])
        if not isinstance(key, Ed25519PrivateKey):
            life.secret.edit(tls__key=encode_private_key(key, "PKCS1"))


def another_root(life: Life) -> None:
    life.authority = pki.authority(
        "default", not_before=life.now - pki.DAY, intermediate_not_after=life.now + 90 * pki.DAY
    )
    life.view = authority_view(life.authority)


def another_client(life: Life) -> None:
    life.changes["registration"] = registration(clientID="another", tlsClientAuth={"sanDNS": "x.shop.svc"})


def fail(life: Life) -> None:
    life.refused = Violation(Reason.WRITE_FAILED, "the API server is full")
    life.look()
    life.refused = None


A_STRANGER = pki.authority("default")
HARMS = (
    Step("deleted", lambda life: life.secret.delete()),
    Step("no key", lambda life: life.secret.edit(tls__key=None)),
    Step("no certificate", lambda life: life.secret.edit(tls__crt=b"")),
    Step("garbage for a certificate", lambda life: life.secret.edit(tls__crt=b"\x00\xff")),
    Step("another's key", lambda life: life.secret.edit(tls__key=A_STRANGER.client().tls_key)),
    Step("a stranger's credential", pair_of(A_STRANGER.client())),
    Step("an expired credential", pair_of(default_authority().expired_client())),
    Step("other names", pair_of(default_authority().client(pki.dns("vault.bank.svc")))),
    Step("leaf without chain", lambda life: life.secret.edit(tls__crt=default_authority().client().tls_crt[:900])),
    Step("labels gone", lambda life: life.secret.edit_metadata(labels={})),
    Step("annotations gone", lambda life: life.secret.edit_metadata(annotations={})),
    Step("another's label", lambda life: life.secret.edit_metadata(labels={"app": "x"})),
    Step("ca.crt edited", lambda life: life.secret.edit(ca__crt=b"x")),
    Step("ca.crt gone", lambda life: life.secret.edit(ca__crt=None)),
    Step("one more file", lambda life: life.secret.edit(notes=b"x")),
    Step("old certificate digest", annotate(certificate="0" * 32)),
    Step("old contents digest", annotate(contents="0" * 32)),
    Step("odd revision", annotate(revision="many")),
    Step("status empty", lambda life: setattr(life, "item", with_status(life.item, ClientCertificateStatus()))),
    Step("conditions gone", status(conditions=())),
    Step("no notBefore", status(not_before=None)),
    Step("no notAfter", status(not_after=None)),
    Step("another version", status(secret_resource_version="7")),
    Step("killed", lambda life: life.look(killed=True)),
    Step("a look", lambda life: life.look()),
    Step("a failure", fail),
    Step("restart", Life.restart),
    Step("duration 2h", lambda life: life.edit_spec(duration="2h")),
    Step("renewBefore 1h", lambda life: life.edit_spec(duration="3h", renewBefore="1h")),
    Step("renewBefore 40%", lambda life: life.edit_spec(renewBefore="40%")),
    Step("a DNS name", lambda life: life.edit_spec(dnsNames=["a.shop.svc", "A.shop.SVC", "b.shop.svc.cluster.local"])),
    Step("another key", lambda life: life.edit_spec(privateKey={"algorithm": "Ed25519"})),
    Step("keys stay", lambda life: life.edit_spec(privateKey={"rotationPolicy": "Never"})),
    Step("older encoding", lambda life: life.edit_spec(privateKey={"encoding": "PKCS1"})),
    Step("key written otherwise", reencode),
    Step("another fingerprint", status(key_fingerprint="0" * 64)),
    Step("a template", lambda life: life.edit_spec(secretTemplate={"labels": {"team": "blue", "tier": "one"}})),
    Step("less of a template", lambda life: life.edit_spec(secretTemplate={"labels": {"team": "red"}})),
    Step("no template", lambda life: life.edit_spec(secretTemplate=None)),
    Step("annotated by template", lambda life: life.edit_spec(secretTemplate={"annotations": {"note": "x"}})),
    Step("another root", another_root),
    Step("another client", another_client),
)


def wait(hours: float) -> Step:
    return Step(f"{hours:.2f} h", lambda life: setattr(life, "now", life.now + timedelta(hours=hours)))


steps = st.lists(
    st.one_of(st.sampled_from(HARMS), st.floats(min_value=0, max_value=40).map(wait)), min_size=1, max_size=6
)


def life_of(key: dict[str, Any], subject: dict[str, str] | None) -> Life:
    made = Life(certificate(spec={"privateKey": key}))
    if subject:
        made.changes["registration"] = registration(tlsClientAuth=subject)
    return made


def wanted_of(life: Life) -> Wanted:
    wanted = wanted_credential(life.observe())
    assert not isinstance(wanted, Blocked)
    return wanted


def check_it_is_as_it_should_be(life: Life) -> None:
    wanted, now = wanted_of(life), life.now
    credential = check_credential(life.secret.data["tls.crt"], life.secret.data["tls.key"])
    assert credential.leaf.names == wanted.normalized_names()
    assert credential.key == wanted.key
    assert encoding_of(life.secret.data["tls.key"]) == wanted.encoding
    assert credential.leaf.not_before <= now < credential.leaf.not_after
    assert credential.leaf.certificate.issuer == life.authority.intermediate.subject
    assert {name: life.secret.data[name].decode() for name in wanted.files} == wanted.files
    view = life.secret.view
    assert view is not None
    assert view.annotations[CERTIFICATE_DIGEST] == wanted.certificate_digest
    assert wanted.labels.items() <= view.labels.items()
    assert wanted.annotations.items() <= view.annotations.items()
    assert life.ready()
    assert (life.status.serial_number, life.status.not_after) == (
        f"{credential.leaf.serial:x}",
        credential.leaf.not_after,
    )
    assert life.status.failed_attempts == 0


def check_all_is_quiet(life: Life) -> None:
    written, said, seen = life.secret.written, len(life.said), life.status_writes
    for again in range(3):
        if again == 1:
            life.restart()
        assert isinstance(decide(life.observe()), Keep)
        conclusion = life.look()
        assert conclusion is not None
        assert not life.writes_status(conclusion)
        assert conclusion.look_again is not None
        assert conclusion.look_again > life.now
    assert (life.secret.written, len(life.said), life.status_writes) == (written, said, seen)


def settle_after_any_failure(life: Life) -> None:
    if life.status.next_attempt_time is not None:
        life.now = max(life.now, life.status.next_attempt_time)
    life.settle()


@QUICK
@given(key=st.sampled_from(KEYS), subject=st.sampled_from(SUBJECTS), steps=steps)
@example(key={}, subject=None, steps=[HARMS[0]])
def test_from_anything_that_happened_it_comes_to_rest(
    key: dict[str, Any], subject: dict[str, str] | None, steps: list[Step]
) -> None:
    life = life_of(key, subject)
    life.look()
    for step in steps:
        step.do(life)
    settle_after_any_failure(life)
    check_it_is_as_it_should_be(life)
    check_all_is_quiet(life)


@QUICK
@given(subject=st.sampled_from(SUBJECTS), steps=steps)
def test_looks_in_between_do_not_matter_for_where_it_comes_to_rest(
    subject: dict[str, str] | None, steps: list[Step]
) -> None:
    life = life_of({}, subject)
    for step in steps:
        step.do(life)
        settle_after_any_failure(life)
        check_it_is_as_it_should_be(life)
    check_all_is_quiet(life)


@QUICK
@given(harm=st.sampled_from([step for step in HARMS if step.name not in {"killed", "a failure", "restart"}]))
def test_killed_after_the_secret_was_written_it_ends_as_if_it_had_not_been(harm: Step) -> None:
    lives = life_of({}, None), life_of({}, None)
    for life, killed in zip(lives, (True, False), strict=True):
        life.look()
        harm.do(life)
        life.look(killed=killed)
        life.settle()
    one, other = lives
    assert one.secret.written == other.secret.written, "nothing is done twice"
    assert one.status.revision == other.status.revision
    assert one.secret.view is not None
    assert other.secret.view is not None
    assert one.secret.view.annotations[REVISION] == other.secret.view.annotations[REVISION]
    check_it_is_as_it_should_be(one)


KEEPS_NO_KEY = {
    *("deleted", "no key", "another's key", "a stranger's credential", "an expired credential", "other names"),
    *("another key", "older encoding", "another fingerprint"),
}
"""What takes the key away, brings or asks for another one, or makes the status tell a lie about it."""


@QUICK
@given(
    steps=st.lists(
        st.one_of(
            st.sampled_from([step for step in HARMS if step.name not in KEEPS_NO_KEY]),
            st.floats(min_value=0, max_value=40).map(wait),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_key_that_never_rotates_is_there_after_whatever_leaves_it_in_the_secret(steps: list[Step]) -> None:
    life = life_of({"rotationPolicy": "Never"}, None)
    life.look()
    before = load_private_key(life.secret.data["tls.key"])
    for step in steps:
        step.do(life)
        settle_after_any_failure(life)
    after = load_private_key(life.secret.data["tls.key"])
    assert key_fingerprint(after.public_key()) == key_fingerprint(before.public_key())


@QUICK
@given(
    file=st.sampled_from(["tls.crt", "tls.key", "ca.crt"]),
    damage=st.one_of(
        st.binary(max_size=40).map(lambda new: lambda _: new),
        st.tuples(st.integers(0, 2000), st.integers(0, 255)).map(
            lambda at: lambda old: old[: at[0] % len(old)] + bytes([at[1]]) + old[at[0] % len(old) + 1 :]
        ),
        st.integers(0, 2000).map(lambda cut: lambda old: old[:cut]),
        st.just(lambda old: old + old),
    ),
)
def test_no_damage_to_a_file_is_too_much(file: str, damage: Callable[[bytes], bytes]) -> None:
    """Never an exception, and never a key in a message."""
    life = life_of({}, None)
    life.look()
    key = life.secret.data["tls.key"]
    life.secret.edit(**{file.replace(".", "__"): damage(life.secret.data[file])})
    settle_after_any_failure(life)
    check_it_is_as_it_should_be(life)
    material = key.splitlines()[1].decode()
    assert all(material not in each.message for each in life.said)


@QUICK
@given(version=st.integers(1, 10**9), files=st.dictionaries(st.sampled_from(["tls.crt", "tls.key", "x"]), st.binary()))
def test_somebody_elses_secret_is_never_written(version: int, files: dict[str, bytes]) -> None:
    life = life_of({}, None)
    life.secret.body = {
        "metadata": {"uid": "foreign", "resourceVersion": str(version), "labels": {"app": "x"}},
        "data": {name: base64.b64encode(value).decode() for name, value in files.items()},
    }
    before = life.secret.body
    for _ in range(3):
        life.look()
    assert life.secret.body is before
    assert not life.ready()
    assert (life.status_writes, len(life.said)) == (1, 1)


@settings(max_examples=12, deadline=None)
@given(
    renew_before=st.sampled_from([None, "10m", "20h", "50%"]),
    weather=st.lists(st.tuples(st.booleans(), st.sampled_from([1, 9, 26])), min_size=1, max_size=4),
    kills=st.sets(st.integers(0, 200), max_size=10),
)
def test_ready_is_true_exactly_while_a_good_certificate_is_there(
    renew_before: str | None, weather: list[tuple[bool, int]], kills: set[int]
) -> None:
    """The scheduler looks when it was told to, no sooner; the operator is killed now and then."""
    life = Life(certificate(spec={"renewBefore": renew_before} if renew_before else {}))
    life.look()
    assert life.ready()
    looks = 0
    for failing, hours in weather:
        life.refused = Violation(Reason.WRITE_FAILED, "the API server is full") if failing else None
        until = life.now + timedelta(hours=hours)
        while life.now < until:
            looks += 1
            if looks in kills:
                life.look(killed=True)
            conclusion = life.look()
            assert conclusion is not None
            assert life.status.not_after is not None
            assert life.ready() == (life.now < life.status.not_after)
            assert conclusion.look_again is not None
            assert conclusion.look_again > life.now
            if life.ready():
                assert conclusion.look_again <= life.status.not_after
            life.now = min(conclusion.look_again, until)
    assert not must_read(life.observe()) or looks in kills
