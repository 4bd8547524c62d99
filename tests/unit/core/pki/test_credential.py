"""tls.crt and tls.key: what makes a credential, and what breaks one."""

import pytest
from cryptography import x509

from builders import pki
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.credential import Breakage, CredentialBroken, check_credential
from mintls.core.pki.keys import KeySpec

AUTHORITY = pki.authority()
LEAF = AUTHORITY.client()


def _broken(reason: Breakage, tls_crt: bytes = LEAF.tls_crt, tls_key: bytes = LEAF.tls_key) -> str:
    with pytest.raises(CredentialBroken) as caught:
        check_credential(tls_crt, tls_key)
    assert caught.value.reason is reason
    return str(caught.value)


def test_a_whole_credential() -> None:
    credential = check_credential(LEAF.tls_crt, LEAF.tls_key)
    assert credential.leaf == LEAF.facts
    assert credential.chain == (AUTHORITY.intermediate,)
    assert credential.key == KeySpec("ECDSA", 256)
    assert "PRIVATE" not in repr(credential)


def test_a_leaf_without_a_chain_is_whole_too() -> None:
    assert check_credential(encode_pem(LEAF.certificate), LEAF.tls_key).chain == ()


@pytest.mark.parametrize("tls_crt", [b"", b"x", LEAF.tls_crt.replace(b"M", b"!", 1), LEAF.tls_key])
def test_no_certificate(tls_crt: bytes) -> None:
    assert _broken(Breakage.INVALID_CERTIFICATE, tls_crt=tls_crt).startswith("tls.crt: ")


@pytest.mark.parametrize("tls_key", [b"", b"x", LEAF.tls_key[:-40], LEAF.tls_crt])
def test_no_key(tls_key: bytes) -> None:
    assert _broken(Breakage.INVALID_KEY, tls_key=tls_key).startswith("tls.key: ")


def test_the_key_of_another_leaf() -> None:
    told = _broken(Breakage.KEY_MISMATCH, tls_key=AUTHORITY.client().tls_key)
    assert f"{LEAF.facts.serial:x}" in told


def test_a_leaf_behind_its_issuer() -> None:
    _broken(Breakage.KEY_MISMATCH, tls_crt=encode_pem(AUTHORITY.intermediate, LEAF.certificate))


@pytest.mark.parametrize(
    ("chain", "place"),
    [
        ((pki.authority().intermediate,), "certificate 1"),
        ((AUTHORITY.root, AUTHORITY.intermediate), "certificate 1"),
        ((AUTHORITY.intermediate, pki.authority().root), "certificate 2"),
    ],
    ids=["an impostor's intermediate", "wrong order", "an impostor's root"],
)
def test_a_chain_that_does_not_hold_together(chain: tuple[x509.Certificate, ...], place: str) -> None:
    told = _broken(Breakage.BROKEN_CHAIN, tls_crt=encode_pem(LEAF.certificate, *chain))
    assert f"{place} is not signed by" in told
