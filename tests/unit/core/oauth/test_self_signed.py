"""Which certificates may be registered (RFC 8705 section 2.2), and in which words the others are refused."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders.pki import Leaf, authority, ec_key, ed25519_key, raw, rsa_key, self_signed_client
from mintls.core.oauth.self_signed import (
    CertificateNotUsable,
    Jwk,
    certificates_of_jwks,
    certificates_of_pem,
    jwks_of,
)
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.profiles import EMPTY_NAME

NAME = parse_dn("CN=billing")
OWN = self_signed_client()


def made(key: PrivateKey | None = None, **changes: Any) -> Leaf:
    key = key or ec_key()
    subject = changes.pop("subject", NAME)
    return Leaf(raw(key.public_key(), subject, key, subject=subject, **changes), key)


def registered(*leaves: Leaf) -> tuple[x509.Certificate, ...]:
    pems = [leaf.tls_crt.decode() for leaf in leaves]
    return tuple(found.certificate for found in certificates_of_pem(pems, "spec.certificates"))


def jwk(leaf: Leaf = OWN, **changes: Any) -> Jwk:
    [members] = jwks_of([leaf.certificate])["keys"]
    members = {**members, **changes}
    return Jwk({name: value for name, value in members.items() if value is not None}, tuple(members["x5c"]))


def usage(**changes: bool) -> tuple[x509.ExtensionType, bool]:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    off = dict.fromkeys((*names, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**{**off, **changes}), True


@pytest.mark.parametrize(
    "key", [ec_key, lambda: ec_key(ec.SECP384R1()), rsa_key, ed25519_key], ids=["P-256", "P-384", "RSA", "Ed25519"]
)
def test_each_kind_of_key_can_be_registered_both_ways(key: Callable[[], PrivateKey]) -> None:
    leaf = made(key())
    assert registered(leaf) == (leaf.certificate,)
    [found] = certificates_of_jwks([jwk(leaf)], "spec.jwks.keys")
    assert found.certificate == leaf.certificate


def test_several_keep_their_order_and_each_counts_once() -> None:
    first, second = made(), made()
    assert registered(second, first, second) == (second.certificate, first.certificate)


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (
            replace(authority().client(subject="CN=billing"), chain=()),
            "is not signed by its own key: a certificate of a CA is for",
        ),
        (Leaf(raw(OWN.key.public_key(), NAME, ec_key(), subject=NAME), OWN.key), "is not signed by its own key"),
        (made(ca=True, usages=None), "basicConstraints=critical,CA:FALSE"),
        (made(leave_out=(x509.BasicConstraints,)), "basicConstraints=critical,CA:FALSE"),
        (made(usages=[ExtendedKeyUsageOID.SERVER_AUTH]), "extended key usage without clientAuth"),
        (made(leave_out=(x509.KeyUsage,), extensions=[usage(key_agreement=True)]), "digitalSignature"),
        (
            made(leave_out=(x509.KeyUsage,), extensions=[usage(digital_signature=True, key_cert_sign=True)]),
            "not keyCertSign",
        ),
        (made(rsa_key(1024)), "too weak or of an unknown kind: use ECDSA, Ed25519, or RSA from 2048 bits on"),
        (made(ec_key(ec.SECP192R1())), "too weak"),
        (made(subject=EMPTY_NAME), "has no subject that can be read"),
    ],
)
def test_what_could_never_authenticate_or_could_vouch_for_others_is_refused(leaf: Leaf, words: str) -> None:
    with pytest.raises(CertificateNotUsable) as refused:
        registered(OWN, leaf)
    assert str(refused.value).startswith("spec.certificates[1] ")
    assert words in str(refused.value)


def test_without_a_key_usage_and_an_extended_one_it_is_for_everything() -> None:
    leaf = made(usages=None, leave_out=(x509.KeyUsage,))
    assert registered(leaf) == (leaf.certificate,)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("", "spec.certificates[0] cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "spec.certificates[0] cannot be read"),
        (OWN.tls_crt.decode() + made().tls_crt.decode(), "spec.certificates[0] holds 2 certificates"),
    ],
)
def test_a_pem_item_is_one_certificate(pem: str, words: str) -> None:
    with pytest.raises(CertificateNotUsable, match=words.replace("[", r"\[")):
        certificates_of_pem([pem], "spec.certificates")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (jwk(x5c=[]), "keys[0] has no x5c"),
        (jwk(x5c=["!"]), "keys[0].x5c[0] is not base64 of a certificate in DER"),
        (jwk(x5c=["AAAA"]), "keys[0].x5c[0] is not base64 of a certificate in DER"),
        (jwk(x5c=[base64.b64encode(made().der).decode()]), "keys[0].x5c[0] is a certificate of another key"),
        (jwk(x5c=[base64.b64encode(made(ca=True, key=OWN.key).der).decode()]), "keys[0].x5c[0] does not say"),
        (jwk(y=None), "keys[0] is not a public key in JWK"),
        (jwk(x="AAAA"), "keys[0] is not a public key in JWK"),
        (jwk(crv="P-999"), "keys[0] is not a public key in JWK"),
        (jwk(kty="oct"), "keys[0] is not a public key in JWK"),
    ],
)
def test_a_jwk_is_a_public_key_with_its_certificate(key: Jwk, words: str) -> None:
    with pytest.raises(CertificateNotUsable) as refused:
        certificates_of_jwks([key], "keys")
    assert words in str(refused.value)


def test_what_a_jwk_says_beside_its_key_does_not_matter() -> None:
    [found] = certificates_of_jwks([jwk(alg="ECDH-ES", use="enc", kid="a", key_ops=["verify"])], "keys")
    assert found.certificate == OWN.certificate
