"""CRLs, with openssl as the witness of what they say and of who signed them."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from builders import pki
from builders.pki import DAY, NOW, Authority, authority
from builders.witness import openssl
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.crl import (
    InvalidRevocationList,
    RevocationList,
    Revoked,
    can_sign_lists,
    encode_lists,
    is_of,
    key_identifier,
    read_lists,
    sign_list,
    signing_key_identifier,
)

CESSATION = x509.ReasonFlags.cessation_of_operation


def made(of: Authority, revoked: dict[int, Revoked] | None = None, number: int = 7) -> RevocationList:
    ca, key = of.intermediate, of.signer.key
    return sign_list(ca, key, revoked or {}, number=number, this_update=NOW, next_update=NOW + 7 * DAY)


def verify(of: Authority, lists: bytes, leaf: pki.Leaf, folder: Path, check: str = "-crl_check") -> str:
    (folder / "ca.crt").write_bytes(encode_pem(of.root))
    (folder / "chain.crt").write_bytes(leaf.tls_crt + encode_pem(of.intermediate))
    (folder / "crl.pem").write_bytes(lists)
    at = str(int((NOW + timedelta(minutes=1)).timestamp()))
    command = ["openssl", "verify", check, "-attime", at, "-CAfile", "ca.crt", "-CRLfile", "crl.pem"]
    done = subprocess.run(
        [*command, "-untrusted", "chain.crt", "chain.crt"], cwd=folder, capture_output=True, check=False
    )
    return "OK" if done.returncode == 0 else done.stderr.decode()


def test_openssl_takes_it_and_refuses_who_is_on_it(tmp_path: Path) -> None:
    ca = authority()
    good, bad = ca.client(), ca.client()
    lists = encode_lists([made(ca, {bad.facts.serial: Revoked(NOW, CESSATION)})])
    assert verify(ca, lists, good, tmp_path) == "OK"
    assert "certificate revoked" in verify(ca, lists, bad, tmp_path)


def test_openssl_takes_the_list_of_another_key_for_none(tmp_path: Path) -> None:
    ca, other = authority("one"), authority("one")
    assert "OK" not in verify(ca, encode_lists([made(other)]), ca.client(), tmp_path)


def test_a_verifier_of_the_whole_path_needs_the_roots_list_as_well(tmp_path: Path) -> None:
    ca = authority()
    of_root = sign_list(ca.root, ca.root_key, {}, number=1, this_update=NOW, next_update=NOW + DAY)
    assert "unable to get certificate CRL" in verify(
        ca, encode_lists([made(ca)]), ca.client(), tmp_path, "-crl_check_all"
    )
    assert verify(ca, encode_lists([made(ca), of_root]), ca.client(), tmp_path, "-crl_check_all") == "OK"


def test_it_says_what_it_was_given() -> None:
    ca = authority()
    entries = {5: Revoked(NOW, CESSATION), 2**158: Revoked(NOW - DAY)}
    [found] = read_lists(encode_lists([made(ca, entries, number=2**40)]))
    assert dict(found.revoked) == entries
    assert (found.number, found.this_update, found.next_update) == (2**40, NOW, NOW + 7 * DAY)
    assert found.key_id == key_identifier(ca.intermediate) == signing_key_identifier(ca.client().certificate)
    text = openssl("crl", "-inform", "DER", "-noout", "-text", given=found.der).decode()
    assert text.count("Serial Number:") == 2
    assert text.count("X509v3 CRL Reason Code") == 1, "a reason that nobody gave is left out"


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
def test_what_is_no_list_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidRevocationList):
        read_lists(pem)


def test_a_list_is_of_the_key_that_signed_it_and_of_no_other() -> None:
    ca, other, rsa = authority("one"), authority("one"), authority("one", intermediate_key=pki.rsa_key())
    assert is_of(made(ca), ca.intermediate)
    assert not any(is_of(made(ca), one.intermediate) for one in (other, rsa))
    assert not is_of(made(ca), ca.root)


def test_a_ca_without_crl_sign_may_sign_none() -> None:
    ca = authority()
    assert can_sign_lists(ca.intermediate)
    assert can_sign_lists(ca.root)
    assert not can_sign_lists(ca.client().certificate)


def test_ca_keys_of_both_kinds_sign() -> None:
    ca = authority(intermediate_key=pki.rsa_key())
    assert is_of(made(ca), ca.intermediate)
