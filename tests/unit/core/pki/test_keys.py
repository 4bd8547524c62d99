"""Keys: what is taken, what is refused, and that nothing of them is told."""

import traceback

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x25519

from builders import pki
from mintls.core.pki.keys import (
    InvalidKey,
    KeySpec,
    PrivateKey,
    describe,
    encode_private_key,
    encoding_of,
    key_fingerprint,
    key_fits,
    load_private_key,
    matches,
)

KEYS: dict[str, tuple[PrivateKey, KeySpec]] = {
    "P-256": (pki.ec_key(), KeySpec("ECDSA", 256)),
    "P-384": (pki.ec_key(ec.SECP384R1()), KeySpec("ECDSA", 384)),
    "P-521": (pki.ec_key(ec.SECP521R1()), KeySpec("ECDSA", 521)),
    "RSA-2048": (pki.rsa_key(), KeySpec("RSA", 2048)),
    "Ed25519": (pki.ed25519_key(), KeySpec("Ed25519", 256)),
}


@pytest.mark.parametrize(("key", "spec"), KEYS.values(), ids=KEYS)
def test_a_key_survives_its_encoding_and_is_described(key: PrivateKey, spec: KeySpec) -> None:
    pem = encode_private_key(key)
    assert pem.startswith(b"-----BEGIN PRIVATE KEY-----\n")
    loaded = load_private_key(pem)
    assert loaded.public_key() == key.public_key()
    assert describe(loaded.public_key()) == spec


@pytest.mark.parametrize(
    ("name", "label"), [("P-256", "EC PRIVATE KEY"), ("P-384", "EC PRIVATE KEY"), ("RSA-2048", "RSA PRIVATE KEY")]
)
def test_a_key_survives_the_form_of_its_own_kind(name: str, label: str) -> None:
    key, _ = KEYS[name]
    pem = encode_private_key(key, "PKCS1")
    assert pem.startswith(f"-----BEGIN {label}-----\n".encode())
    assert load_private_key(pem).public_key() == key.public_key()
    assert (encoding_of(pem), encoding_of(encode_private_key(key))) == ("PKCS1", "PKCS8")


def test_ed25519_has_no_form_of_its_own() -> None:
    with pytest.raises(InvalidKey, match="use PKCS8"):
        encode_private_key(KEYS["Ed25519"][0], "PKCS1")


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN CERTIFICATE-----", b"-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_what_is_no_key_has_no_encoding(pem: bytes) -> None:
    assert encoding_of(pem) is None


def test_parameters_before_a_key_do_not_hide_how_it_is_encoded() -> None:
    """As ``openssl ecparam -genkey`` writes it."""
    pem = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert encoding_of(pem + encode_private_key(KEYS["P-256"][0], "PKCS1")) == "PKCS1"


@pytest.mark.parametrize(("key", "spec"), KEYS.values(), ids=KEYS)
def test_a_key_fits_its_own_specification_only(key: PrivateKey, spec: KeySpec) -> None:
    assert [other for _, other in KEYS.values() if key_fits(key, other)] == [spec]
    assert key_fits(key.public_key(), spec)


def test_an_unsupported_public_key_fits_nothing() -> None:
    assert not key_fits(ed448.Ed448PrivateKey.generate().public_key(), KeySpec("Ed25519", 256))


@pytest.mark.parametrize("format_", [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8])
def test_the_older_forms_are_read(format_: serialization.PrivateFormat) -> None:
    key = KEYS["P-256"][0]
    pem = key.private_bytes(serialization.Encoding.PEM, format_, serialization.NoEncryption())
    assert load_private_key(pem).public_key() == key.public_key()


def _pem(key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    ("pem", "told"),
    [
        (b"", "not a private key in PEM"),
        (b"nonsense", "not a private key in PEM"),
        (encode_private_key(KEYS["P-256"][0])[:-60], "not a private key in PEM"),
        (_pem(x25519.X25519PrivateKey.generate()), "unsupported kind"),
        (_pem(ec.generate_private_key(ec.SECP256K1())), "unsupported key"),
        (encode_private_key(pki.rsa_key(1024)), "unsupported key"),
    ],
    ids=["empty", "nonsense", "cut short", "X25519", "secp256k1", "RSA-1024"],
)
def test_anything_else_is_refused(pem: bytes, told: str) -> None:
    with pytest.raises(InvalidKey, match=told):
        load_private_key(pem)


def test_an_encrypted_key_is_refused_and_told_so() -> None:
    encrypted = KEYS["P-256"][0].private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    with pytest.raises(InvalidKey, match="encrypted"):
        load_private_key(encrypted)


def test_a_broken_key_is_not_told_in_the_traceback() -> None:
    lines = encode_private_key(KEYS["P-256"][0]).splitlines()
    broken = b"\n".join([lines[0], lines[1][:-4] + b"!!!!", *lines[2:]])
    with pytest.raises(InvalidKey) as caught:
        load_private_key(broken)
    told = "".join(traceback.format_exception(caught.value))
    assert lines[1][8:40].decode() not in told
    assert caught.value.__suppress_context__, "no cause that might tell"


def test_a_certificate_matches_its_own_key_only() -> None:
    leaf = pki.authority().client()
    assert matches(leaf.certificate, leaf.key)
    assert not matches(leaf.certificate, pki.ec_key())
    assert not matches(leaf.certificate, KEYS["RSA-2048"][0])


def test_renewing_a_certificate_keeps_the_keys_fingerprint() -> None:
    key, authority = pki.ec_key(), pki.authority()
    assert key_fingerprint(authority.client(key=key).certificate) == key_fingerprint(key.public_key())
    assert key_fingerprint(authority.client(key=key).certificate) == key_fingerprint(
        pki.authority().client(key=key).certificate
    )
