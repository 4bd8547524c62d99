"""Keystores with a client's key, read by openssl and by Java's own keytool."""

import subprocess
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from builders import pki
from builders.java import keytool
from builders.pki import Leaf, authority
from mintls.core.pki import jks
from mintls.core.pki.errors import PKIError
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.keystore import Credentials, Profile, read_credentials, render, unusable

CA = authority()
OTHER = authority("other")
PASSWORD = "a pass ~!\"word'"
SALT = bytes(range(jks.SALT_OCTETS))
KEYS = {
    "ECDSA": pki.ec_key,
    "RSA": pki.rsa_key,
    "Ed25519": pki.ed25519_key,
}
PROFILES: tuple[Profile, ...] = ("Modern2023", "LegacyDES")


def leaf_of(key: PrivateKey) -> Leaf:
    return CA.client(key=key)


def made(kind: Literal["PKCS12", "JKS"], leaf: Leaf, folder: Path, profile: Profile = "Modern2023") -> tuple[Path, ...]:
    """The files of a kind, written to a folder."""
    credentials = Credentials(leaf.key, (leaf.certificate, *leaf.chain), (CA.root, OTHER.root))
    files = render(kind, credentials, PASSWORD, alias="billing", profile=profile, salt=SALT)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return tuple(folder / name for name in files)


def listed(file: Path, kind: str) -> str:
    command = [keytool(), "-list", "-v", "-keystore", str(file), "-storetype", kind, "-storepass", PASSWORD]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def openssl(file: Path, *arguments: str, password: str = PASSWORD) -> bytes:
    """What openssl reads, the key unencrypted; its legacy algorithms are in a provider of their own."""
    command = ["openssl", "pkcs12", "-in", str(file), "-noenc", "-passin", f"pass:{password}", *arguments]
    return subprocess.run(command, capture_output=True, check=True).stdout


def plain(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.witness
@pytest.mark.parametrize("algorithm", KEYS)
@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_java_reads_key_and_chain(kind: Literal["PKCS12", "JKS"], algorithm: str, tmp_path: Path) -> None:
    leaf = leaf_of(KEYS[algorithm]())
    keystore, _ = made(kind, leaf, tmp_path)
    found = listed(keystore, kind)
    assert "contains 1 entry" in found
    assert "Alias name: billing" in found
    assert "Entry type: PrivateKeyEntry" in found
    assert f"Certificate chain length: {1 + len(leaf.chain)}" in found
    assert all(fingerprint(one) in found for one in (leaf.certificate, *leaf.chain))


@pytest.mark.witness
@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_java_reads_the_trusted_certificates(kind: Literal["PKCS12", "JKS"], tmp_path: Path) -> None:
    found = listed(made(kind, CA.client(), tmp_path)[1], kind)
    assert found.count("Entry type: trustedCertEntry") == 2
    assert all(fingerprint(one) in found for one in (CA.root, OTHER.root))


@pytest.mark.witness
@pytest.mark.parametrize("algorithm", KEYS)
def test_java_takes_the_very_key_out_of_a_jks_keystore(algorithm: str, tmp_path: Path) -> None:
    """By keytool into PKCS #12, from where openssl hands it out: neither shares code with us."""
    leaf = leaf_of(KEYS[algorithm]())
    keystore, _ = made("JKS", leaf, tmp_path)
    target = tmp_path / "converted.p12"
    passwords = ("-srcstorepass", PASSWORD, "-deststorepass", PASSWORD)
    stores = ("-srckeystore", str(keystore), "-srcstoretype", "JKS", "-destkeystore", str(target))
    command = [keytool(), "-importkeystore", *stores, "-deststoretype", "PKCS12", *passwords]
    subprocess.run(command, capture_output=True, check=True)
    assert plain(load_pem_private_key(openssl(target, "-nocerts"), None)) == plain(leaf.key)  # type: ignore[arg-type] # of ours


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("algorithm", KEYS)
def test_openssl_reads_pkcs12(algorithm: str, profile: Profile, tmp_path: Path) -> None:
    leaf = leaf_of(KEYS[algorithm]())
    keystore, truststore = made("PKCS12", leaf, tmp_path, profile)
    assert plain(load_pem_private_key(openssl(keystore, "-nocerts"), None)) == plain(leaf.key)  # type: ignore[arg-type] # of ours
    assert x509.load_pem_x509_certificates(openssl(keystore, "-nokeys")) == [leaf.certificate, *leaf.chain]
    assert set(x509.load_pem_x509_certificates(openssl(truststore, "-nokeys"))) == {CA.root, OTHER.root}


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("Modern2023", ("MAC: sha256", "PBES2, PBKDF2, AES-256-CBC", "hmacWithSHA256")),
        ("LegacyDES", ("MAC: sha1", "pbeWithSHA1And3-KeyTripleDES-CBC")),
    ],
)
def test_a_profile_is_what_openssl_sees(profile: Profile, words: tuple[str, ...], tmp_path: Path) -> None:
    keystore, _ = made("PKCS12", CA.client(), tmp_path, profile)
    command = ["openssl", "pkcs12", "-in", str(keystore), "-info", "-noout", "-passin", f"pass:{PASSWORD}"]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert all(word in seen for word in words), seen


@pytest.mark.witness
@pytest.mark.parametrize("kind", ["PKCS12", "JKS"])
def test_another_password_opens_nothing(kind: Literal["PKCS12", "JKS"], tmp_path: Path) -> None:
    for file in made(kind, CA.client(), tmp_path):
        command = [keytool(), "-list", "-keystore", str(file), "-storetype", kind, "-storepass", "another"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_jks_has_the_salt_that_it_is_given_and_is_else_the_same() -> None:
    leaf = CA.client()
    entry = jks.KeyEntry("a", leaf.certificate.not_valid_before_utc, leaf.key, (leaf.certificate,), SALT)
    assert SALT in jks.render([entry], "x") == jks.render([entry], "x") != jks.render([entry], "y")
    assert plain(leaf.key) not in jks.render([entry], "x")


def test_what_is_read_is_what_stands_in_a_secret() -> None:
    leaf = CA.client()
    found = read_credentials(leaf.tls_crt, leaf.tls_key, CA.bundle.encode())
    assert (found.key.public_key(), found.chain) == (leaf.key.public_key(), (leaf.certificate, *leaf.chain))
    assert found.roots == (CA.root,)
    with pytest.raises(PKIError):
        read_credentials(leaf.tls_crt, b"", CA.bundle.encode())


def test_no_key_is_in_a_repr() -> None:
    leaf = CA.client()
    entry = jks.KeyEntry("a", leaf.certificate.not_valid_before_utc, leaf.key, (), SALT)
    shown = repr(entry) + repr(Credentials(leaf.key, (), ()))
    assert "PrivateKey" not in shown
    assert repr(SALT) not in shown


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        (b"changeit", ""),
        (b" ~", ""),
        (b"", "is empty"),
        (b"secret\n", "ends with a line break, which is part of it"),
        (b"secret\r\n", "ends with a line break, which is part of it"),
        ("passwört".encode(), "has other characters than printable ASCII"),
        (b"a\tb", "has other characters than printable ASCII"),
        (b"a\x7fb", "has other characters than printable ASCII"),
        (b"\xff", "has other characters than printable ASCII"),
    ],
)
def test_a_password_has_to_be_printable_ascii(password: bytes, problem: str) -> None:
    assert unusable(password) == problem
