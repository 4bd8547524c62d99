"""A CA that somebody else keeps: what is taken, what is wrong with what is not, and what a change leaves trusted."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from builders import pki
from builders.objects import ca_object, with_status
from builders.pki import DAY, HOUR, MINUTE, NOW
from mintls.api.v1alpha1 import CertificateAuthority
from mintls.core.pki.certificate import encode_pem, key_fingerprint
from mintls.core.pki.keys import encode_private_key
from mintls.core.pki.signing import CertificateAuthorityKey
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.rootrotation import Leaves
from mintls.reconcile.suppliedauthority import Decision, Observed, Use, conclude, decide, fingerprint_of

CA = pki.authority("corporate")
OTHER = pki.authority("corporate")
AUTHORITY = ca_object(spec={"secretRef": {"name": "corporate-ca"}})
SECRET = "mintls-system/corporate-ca"


def contents(**files: bytes) -> Contents:
    whole = {
        "tls.crt": encode_pem(CA.intermediate),
        "tls.key": encode_private_key(CA.signer.key),
        "ca.crt": encode_pem(CA.root),
    }
    return Contents(whole | {name.replace("_", "."): content for name, content in files.items()})


def seen(
    data: Contents | None = None,
    authority: CertificateAuthority = AUTHORITY,
    leaves: Leaves | None = None,
    now: datetime = NOW,
) -> Observed:
    return Observed(authority, SECRET, data or contents(), leaves or Leaves(), now)


def used(decision: Decision) -> Use:
    assert isinstance(decision, Use), decision
    return decision


def after(observation: Observed) -> CertificateAuthority:
    """The object as it is after that was concluded."""
    return with_status(observation.authority, conclude(observation, decide(observation)).status)


class TestWhatIsTaken:
    def test_an_intermediate_below_a_root_that_is_elsewhere(self) -> None:
        supplied = used(decide(seen())).supplied
        assert (supplied.root, supplied.signer.chain) == (CA.root, (CA.intermediate,))

    def test_a_root_that_signs_leaves_itself_as_cert_manager_keeps_it(self) -> None:
        root = encode_pem(CA.root)
        own = contents(tls_crt=root, tls_key=encode_private_key(CA.root_key), ca_crt=root)
        supplied = used(decide(seen(own))).supplied
        assert (supplied.root, supplied.signer.chain) == (CA.root, ())

    def test_a_chain_with_its_root_at_the_end_and_no_ca_crt(self) -> None:
        whole = contents(tls_crt=encode_pem(CA.intermediate, CA.root), ca_crt=b"")
        supplied = used(decide(seen(whole))).supplied
        assert (supplied.root, supplied.signer.chain) == (CA.root, (CA.intermediate,))

    def test_further_roots_are_trusted_and_sign_nothing(self) -> None:
        use = used(decide(seen(contents(ca_crt=encode_pem(OTHER.root, CA.root)))))
        assert (use.supplied.root, use.also_trusted) == (CA.root, (OTHER.root,))
        conclusion = conclude(seen(contents(ca_crt=encode_pem(OTHER.root, CA.root))), use)
        assert [(key.role, key.fingerprint) for key in conclusion.status.keys] == [
            ("active", key_fingerprint(CA.root)),
            ("next", key_fingerprint(OTHER.root)),
        ]

    def test_and_the_status_says_with_what_it_signs_and_until_when(self) -> None:
        conclusion = conclude(seen(), decide(seen()))
        ready = find(conclusion.status.conditions, "Ready")
        assert ready is not None
        assert "CN=corporate intermediate" in ready.message
        assert f"{CA.intermediate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}" in ready.message
        assert conclusion.announcement is not None
        assert conclusion.look_again == NOW + timedelta(minutes=1)
        again = replace(seen(), authority=after(seen()))
        assert conclude(again, decide(again)).announcement is None
        assert "PRIVATE" not in repr(conclusion.status)


def ca(**changes: Any) -> tuple[x509.Certificate, Any]:
    key = pki.ec_key()
    whole: dict[str, Any] = {"ca": True, "usages": None, "san": (), "subject": pki.parse_dn("CN=made")} | changes
    return pki.raw(key.public_key(), CA.root, CA.root_key, **whole), key


def made(**changes: Any) -> Contents:
    certificate, key = ca(**changes)
    return contents(tls_crt=encode_pem(certificate), tls_key=encode_private_key(key))


@pytest.mark.parametrize(
    ("data", "reason", "text"),
    [
        (contents(tls_crt=b""), Reason.KEY_BROKEN, "tls.crt: this is not a certificate in PEM"),
        (contents(tls_key=b"x"), Reason.KEY_BROKEN, "tls.key: "),
        (contents(tls_key=encode_private_key(pki.ec_key())), Reason.KEY_BROKEN, "tls.key is not the key of"),
        (contents(ca_crt=b""), Reason.KEY_BROKEN, "ca.crt: it is empty, and nothing there signed"),
        (contents(ca_crt=encode_pem(OTHER.root)), Reason.KEY_BROKEN, "none of its 1 certificates signed"),
        (contents(ca_crt=b"x"), Reason.KEY_BROKEN, "ca.crt: this is not a certificate"),
        (contents(ca_crt=encode_pem(CA.root, CA.client().certificate)), Reason.KEY_BROKEN, "is no CA"),
        (contents(tls_crt=encode_pem(CA.intermediate, OTHER.root)), Reason.KEY_BROKEN, "certificate 1 is not signed"),
        (made(ca=False), Reason.KEY_BROKEN, "is no CA: it lacks basicConstraints CA:TRUE"),
        (made(leave_out=[x509.KeyUsage]), Reason.KEY_BROKEN, "has no keyUsage extension"),
        (made(not_before=NOW - DAY, not_after=NOW - HOUR), Reason.EXPIRED, "CN=made' (serial number"),
        (made(not_before=NOW + HOUR, not_after=NOW + DAY), Reason.NOT_YET_VALID, "compare the clocks"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_secret(data: Contents, reason: Reason, text: str) -> None:
    decision = decide(seen(data))
    assert isinstance(decision, Violation)
    assert decision.reason == reason
    assert decision.message.startswith(f"Secret {SECRET} cannot be used: ")
    assert text in decision.message


def test_a_root_without_room_for_the_cas_below_it_is_refused() -> None:
    key = pki.ec_key()
    name = pki.parse_dn("CN=narrow")
    root = pki.raw(key.public_key(), name, key, ca=True, path_length=0, usages=None, san=(), subject=name)
    below = pki.ec_key()
    certificate = pki.raw(below.public_key(), root, key, ca=True, path_length=0, usages=None, san=(), subject=name)
    data = contents(tls_crt=encode_pem(certificate), tls_key=encode_private_key(below), ca_crt=encode_pem(root))
    decision = decide(seen(data))
    assert isinstance(decision, Violation)
    assert "pathLenConstraint 0" in decision.message


def test_a_signature_that_verifiers_refuse_is_refused_before_they_do(tmp_path: Path) -> None:
    """No library of today makes one; openssl still does."""
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=root -keyout root.key -out root.crt"
        " && openssl req -newkey rsa:2048 -nodes -subj /CN=weak -keyout ca.key -out ca.csr"
        " && printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nsubjectKeyIdentifier=hash' >ext"
        " && openssl x509 -req -sha1 -in ca.csr -CA root.crt -CAkey root.key -extfile ext -out ca.crt"
    )
    subprocess.run(["bash", "-c", make], cwd=tmp_path, check=True, capture_output=True)
    files = {"tls_crt": "ca.crt", "tls_key": "ca.key", "ca_crt": "root.crt"}
    data = contents(**{name: (tmp_path / path).read_bytes() for name, path in files.items()})
    decision = decide(seen(data, now=datetime.now(UTC)))
    assert isinstance(decision, Violation)
    assert "is signed with SHA1, which verifiers refuse" in decision.message


def test_a_secret_that_is_not_there_is_named() -> None:
    decision = decide(Observed(AUTHORITY, SECRET, None, Leaves(), NOW))
    assert isinstance(decision, Violation)
    assert decision.reason == Reason.SECRET_MISSING
    assert SECRET in decision.message


class TestAChange:
    RENEWED = pki.Authority(CA.root, CA.root_key, CertificateAuthorityKey(*ca()))
    ANOTHER = contents(
        tls_crt=encode_pem(OTHER.intermediate),
        tls_key=encode_private_key(OTHER.signer.key),
        ca_crt=encode_pem(OTHER.root),
    )

    def test_of_the_signing_key_alone_makes_leaves_be_issued_anew(self) -> None:
        renewed = contents(
            tls_crt=encode_pem(self.RENEWED.intermediate), tls_key=encode_private_key(self.RENEWED.signer.key)
        )
        before, now = used(decide(seen())).supplied, used(decide(seen(renewed))).supplied
        assert before.root == now.root
        assert before.fingerprint != now.fingerprint
        assert fingerprint_of(renewed) == now.fingerprint
        assert fingerprint_of(contents(tls_key=b"x")) == fingerprint_of(None) == "", "there is nothing to sign with"

    def test_of_the_root_leaves_the_one_before_trusted_until_its_last_leaf_has_ended(self) -> None:
        known = after(seen())
        moment = seen(self.ANOTHER, known, Leaves(3, 3, NOW + DAY))
        use = used(decide(moment))
        assert (use.supplied.root, use.also_trusted) == (OTHER.root, (CA.root,))
        assert use.retire == NOW + DAY + timedelta(seconds=1)
        status = conclude(moment, use).status
        assert [key.role for key in status.keys] == ["active", "retiring"]
        assert status.rotation is not None
        assert (status.rotation.phase, status.rotation.retire_at) == ("Reissuing", use.retire)
        assert conclude(moment, use).look_again == NOW + timedelta(seconds=5), "progress is told"

        later = seen(self.ANOTHER, with_status(known, status), Leaves(3, 0, NOW + 2 * DAY), NOW + HOUR)
        assert used(decide(later)).retire == use.retire, "later leaves are of the new root"
        assert conclude(later, decide(later)).status.rotation.phase == "Retiring"  # type: ignore[union-attr] # it is there
        end = replace(later, now=NOW + DAY + timedelta(seconds=1))
        assert used(decide(end)).also_trusted == ()
        assert [key.role for key in conclude(end, decide(end)).status.keys] == ["active"]

    def test_of_the_root_a_second_time_gives_the_second_one_its_time_too(self) -> None:
        known = after(seen())
        first = seen(self.ANOTHER, known, Leaves(3, 3, NOW + HOUR))
        known = with_status(known, conclude(first, decide(first)).status)
        third = pki.authority("corporate")
        files = {"tls_crt": encode_pem(third.intermediate), "tls_key": encode_private_key(third.signer.key)}
        second = seen(contents(**files, ca_crt=encode_pem(third.root)), known, Leaves(3, 3, NOW + DAY), NOW + MINUTE)
        use = used(decide(second))
        assert use.also_trusted == (OTHER.root, CA.root)
        assert use.retire == NOW + DAY + timedelta(seconds=1)

    def test_to_something_broken_leaves_what_was_known_in_the_status(self) -> None:
        known = after(seen())
        broken = seen(contents(tls_key=b"x"), known)
        conclusion = conclude(broken, decide(broken))
        assert conclusion.status.keys == known.status.keys
        assert not holds(conclusion.status.conditions, "Ready")
        assert conclusion.announcement is not None
        assert conclusion.announcement.warning
        again = seen(contents(tls_key=b"x"), with_status(known, conclusion.status))
        assert conclude(again, decide(again)).announcement is None, "it was said"
