"""Keystores in a Secret: made with it, kept, put right, and left out while they have no password."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from builders.credentials import Life, issued, life, renewal_of
from mintls.core.pki.keystore import FILES
from mintls.reconcile.certificate.decide import decide, must_read
from mintls.reconcile.certificate.values import Keep, Rewrite
from mintls.reconcile.credential import Violation
from mintls.reconcile.keystores import KEYSTORES_DIGEST, PASSWORDS_VERSION, PasswordSecret
from mintls.reconcile.reasons import Reason

BOTH = {
    "pkcs12": {"passwordSecretRef": {"name": "p12"}},
    "jks": {"passwordSecretRef": {"name": "jks", "key": "storepass"}},
}
P12 = {"pkcs12": BOTH["pkcs12"]}
FIRST = PasswordSecret("uid/1", {"password": b"first one"})
OTHER = PasswordSecret("uid/2", {"storepass": b"other one"})
ALL_FILES = {file for files in FILES.values() for file in files}


def with_keystores(keystores: dict[str, Any] | None = None, **passwords: PasswordSecret) -> Life:
    """A certificate with keystores, issued a moment ago, as far as there are passwords."""
    made = life({"keystores": keystores or P12}, passwords=passwords or {"p12": FIRST})
    made.look()
    return made


def serial_in(made: Life, password: bytes = b"first one") -> int:
    """Serial number of the certificate in the keystore, which opens with the password and has the Secret's key."""
    key, certificate, _ = pkcs12.load_key_and_certificates(made.secret.data["keystore.p12"], password)
    assert key is not None
    assert certificate is not None
    assert certificate.public_key() == key.public_key()
    return certificate.serial_number


def serial_of(made: Life) -> int:
    return int(made.status.serial_number, 16)


def test_they_are_made_with_the_certificate_and_then_nothing_is_read_or_written() -> None:
    made = with_keystores(BOTH, p12=FIRST, jks=OTHER)
    assert made.ready()
    assert made.secret.data.keys() >= ALL_FILES
    assert serial_in(made) == serial_of(made)
    for _ in range(2):
        seen = made.observe()
        assert not must_read(seen)
        assert isinstance(decide(seen), Keep)
        made.restart()
    assert (made.secret.written, made.status_writes) == (1, 1)


def test_another_password_is_written_with_the_same_certificate() -> None:
    made = with_keystores()
    before = made.secret.data
    made.passwords["p12"] = PasswordSecret("uid/3", {"password": b"second one"})
    made.look()
    assert serial_in(made, b"second one") == serial_of(made)
    assert made.secret.data["tls.crt"] == before["tls.crt"]
    assert made.said[-1].reason == Reason.SECRET_REPAIRED
    assert made.ready()


def test_a_password_secret_that_was_only_touched_costs_a_read_and_no_write() -> None:
    made = with_keystores()
    made.passwords["p12"] = PasswordSecret("uid/3", FIRST.data)
    assert must_read(made.observe())
    made.look()
    assert (made.secret.written, made.status_writes) == (1, 1)
    assert not must_read(made.observe()), "and is remembered"


def test_a_renewal_makes_them_of_the_new_certificate() -> None:
    made = with_keystores()
    before = serial_of(made)
    made.now = renewal_of(made)
    made.look()
    assert serial_in(made) == serial_of(made) != before


@pytest.mark.parametrize(
    ("passwords", "reason", "words"),
    [
        ({}, "PasswordMissing", 'there is no Secret "p12" of spec.keystores.pkcs12.passwordSecretRef: create it'),
        (
            {"p12": PasswordSecret("u/1", {"x": b"secret"})},
            "PasswordMissing",
            "has no password: put the password there",
        ),
        ({"p12": PasswordSecret("u/1", {"password": b""})}, "PasswordUnusable", "is empty: choose a password"),
        ({"p12": PasswordSecret("u/1", {"password": b"secret\n"})}, "PasswordUnusable", "ends with a line break"),
    ],
)
class TestWithoutAPassword:
    def test_all_else_is_issued_and_the_condition_says_what_to_do(
        self, passwords: dict[str, PasswordSecret], reason: str, words: str
    ) -> None:
        made = life({"keystores": P12}, passwords=passwords)
        made.look()
        ready = made.condition("Ready")
        assert ready is not None
        assert (made.ready(), ready.reason) == (False, reason)
        # kstatus: one that is missing may come with the next object of the same apply.
        assert made.condition("Reconciling" if reason == "PasswordMissing" else "Stalled") is not None
        assert words in ready.message
        assert made.secret.data.keys() >= {"tls.crt", "tls.key", "ca.crt"}
        assert not made.secret.data.keys() & ALL_FILES
        assert "secret\n" not in repr((made.item, made.said))

    def test_it_is_said_once_and_then_nothing_is_written(
        self, passwords: dict[str, PasswordSecret], reason: str, words: str
    ) -> None:
        del words
        made = life({"keystores": P12}, passwords=passwords)
        for _ in range(3):
            made.look()
        made.restart()
        made.look()
        assert [(said.reason, said.warning) for said in made.said] == [(reason, True)]
        assert (made.secret.written, made.status_writes) == (1, 1)

    def test_they_are_made_when_there_is_one(
        self, passwords: dict[str, PasswordSecret], reason: str, words: str
    ) -> None:
        del reason, words
        made = life({"keystores": P12}, passwords=passwords)
        made.look()
        made.passwords = {"p12": FIRST}
        made.look()
        assert made.ready()
        assert serial_in(made) == serial_of(made)
        assert made.status.revision == 1

    def test_a_good_keystore_stays_until_the_secret_is_written_again(
        self, passwords: dict[str, PasswordSecret], reason: str, words: str
    ) -> None:
        del words
        made = with_keystores()
        made.passwords = passwords
        made.look()
        ready = made.condition("Ready")
        assert (made.ready(), ready and ready.reason) == (False, reason)
        assert (serial_in(made), made.secret.written) == (serial_of(made), 1)


def test_one_that_has_a_password_does_not_wait_for_the_other() -> None:
    made = with_keystores(BOTH, p12=FIRST)
    assert not made.ready()
    assert made.secret.data.keys() & ALL_FILES == set(FILES["PKCS12"])
    assert PASSWORDS_VERSION not in made.secret.view.annotations  # type: ignore[union-attr] # it was just issued


def test_a_failing_renewal_does_not_make_it_ready() -> None:
    made = life({"keystores": P12})
    made.look()
    made.now = renewal_of(made)
    made.refused = Violation(Reason.WRITE_FAILED, "no")
    made.look()
    assert not made.ready()
    assert made.condition("Issuing") is not None


@pytest.mark.parametrize("file", sorted(ALL_FILES))
def test_a_changed_file_is_put_right_with_the_same_certificate(file: str) -> None:
    made = with_keystores(BOTH, p12=FIRST, jks=OTHER)
    before = made.secret.data[file]
    for tampered in (None, b"x", before[:-1]):
        made.secret.edit(**{file.replace(".", "__"): tampered})
        assert isinstance(decide(made.observe()), Rewrite)
        made.look()
        assert serial_in(made) == serial_of(made)
        assert len(made.secret.data[file]) == len(before)
    assert made.status.revision == 1


def test_keystores_of_another_certificate_with_their_digest_are_put_right() -> None:
    """Whoever can copy annotations has not the key by which they are made."""
    made, other = with_keystores(), with_keystores()
    theirs = other.secret.body
    assert theirs is not None
    assert made.secret.view is not None
    said = theirs["metadata"]["annotations"][KEYSTORES_DIGEST]
    made.secret.edit_metadata(annotations={**made.secret.view.annotations, KEYSTORES_DIGEST: said})
    made.secret.edit(keystore__p12=base64.b64decode(theirs["data"]["keystore.p12"]))
    made.look()
    assert serial_in(made) == serial_of(made)


def test_an_annotation_that_is_no_digest_is_no_defect() -> None:
    made = with_keystores()
    assert made.secret.view is not None
    made.secret.edit_metadata(annotations={**made.secret.view.annotations, KEYSTORES_DIGEST: "größer"})
    made.look()
    assert made.secret.written == 2
    assert made.ready()


@pytest.mark.parametrize(
    "change",
    [
        {"pkcs12": {"passwordSecretRef": {"name": "p12"}, "alias": "billing"}},
        {"pkcs12": {"passwordSecretRef": {"name": "p12"}, "profile": "LegacyDES"}},
        {"pkcs12": {"passwordSecretRef": {"name": "p12", "key": "x"}}},
        BOTH,
        {"pkcs12": {"passwordSecretRef": {"name": "p12"}, "create": False}},
    ],
)
def test_an_edited_spec_is_written_with_the_same_certificate(change: dict[str, Any]) -> None:
    made = with_keystores(P12, p12=PasswordSecret("u/1", {"password": b"first one", "x": b"x"}), jks=OTHER)
    made.edit_spec(keystores=change)
    assert isinstance(decide(made.observe()), Rewrite)
    made.look()
    assert made.ready()
    made.look()
    assert (made.secret.written, made.status.revision) == (2, 1)


def test_a_secret_without_keystores_is_as_it_was_before_there_were_any() -> None:
    """The digest of what stands beside the certificate did not change with this version."""
    plain, none = issued(), issued({"keystores": {"pkcs12": {**P12["pkcs12"], "create": False}}})
    assert plain.secret.view is not None
    assert none.secret.view is not None
    assert (
        plain.secret.view.annotations["mintls.dev/contents-digest"]
        == none.secret.view.annotations["mintls.dev/contents-digest"]
    )
    assert not {KEYSTORES_DIGEST, PASSWORDS_VERSION} & plain.secret.view.annotations.keys()


def test_no_password_and_nothing_made_of_it_is_in_a_status_or_an_annotation() -> None:
    made = with_keystores(BOTH, p12=FIRST, jks=OTHER)
    assert made.secret.body is not None
    shown = repr((made.item, made.said, made.secret.body["metadata"], made.observe(), FIRST))
    assert "first one" not in shown
    assert "other one" not in shown
