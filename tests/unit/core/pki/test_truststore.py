"""Keystores of CA certificates, read by Java's own keytool."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat

from builders.java import keytool
from builders.pki import authority
from mintls.core.pki.truststore import PASSWORD, holds_pkcs12, render_jks, render_pkcs12

ROOTS = (authority("one").root, authority("other").root)


@pytest.mark.witness
@pytest.mark.parametrize(("kind", "render"), [("JKS", render_jks), ("PKCS12", render_pkcs12)])
def test_java_reads_it(kind: str, render: Callable[[Sequence[x509.Certificate]], bytes], tmp_path: Path) -> None:
    file = tmp_path / "truststore"
    file.write_bytes(render(ROOTS))
    listed = subprocess.run(
        [keytool(), "-list", "-keystore", str(file), "-storetype", kind, "-storepass", PASSWORD, "-v"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "contains 2 entries" in listed
    assert listed.count("Entry type: trustedCertEntry") == 2
    for root in ROOTS:
        assert root.fingerprint(hashes.SHA256()).hex(":").upper() in listed


@pytest.mark.witness
def test_java_finds_a_damaged_jks(tmp_path: Path) -> None:
    file = tmp_path / "truststore"
    file.write_bytes(render_jks(ROOTS).replace(b"X.509", b"X.508", 1))
    command = [keytool(), "-list", "-keystore", str(file), "-storetype", "JKS", "-storepass", PASSWORD]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_jks_is_always_the_same() -> None:
    assert render_jks(ROOTS) == render_jks(ROOTS) != render_jks(ROOTS[:1])


def test_pkcs12_is_known_by_what_it_holds() -> None:
    keystore = render_pkcs12(ROOTS)
    assert holds_pkcs12(keystore, ROOTS)
    assert holds_pkcs12(keystore, ROOTS[::-1])
    assert not holds_pkcs12(keystore, ROOTS[:1])
    assert not holds_pkcs12(keystore[:-1], ROOTS)
    assert not holds_pkcs12(b"", ROOTS)


def test_a_keystore_that_would_take_long_to_open_is_not_opened() -> None:
    """Whoever may write a ConfigMap of ours decides how many iterations it has."""
    builder = PrivateFormat.PKCS12.encryption_builder().hmac_hash(hashes.SHA256())
    for iterations, opened in ((100_000, True), (100_001, False)):
        protection = builder.kdf_rounds(iterations).build(PASSWORD.encode())
        assert holds_pkcs12(render_pkcs12(ROOTS, protection), ROOTS) is opened


@pytest.mark.parametrize("damage", [b"\x30", b"\x30\x80\x00\x00", b"\x30\x84\xff\xff\xff\xff", b"\x30\x82" * 3])
def test_what_is_no_der_holds_nothing(damage: bytes) -> None:
    assert not holds_pkcs12(damage, ROOTS)
    assert not holds_pkcs12(render_pkcs12(ROOTS)[:-9] + damage, ROOTS)


def test_a_structure_within_a_structure_is_no_defect() -> None:
    nested = b""
    for _ in range(2000):
        nested = b"\x30\x84" + len(nested).to_bytes(4) + nested
    assert not holds_pkcs12(nested, ROOTS)
