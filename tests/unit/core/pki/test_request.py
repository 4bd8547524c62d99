"""Certification requests: what is read of one, and which prove nothing."""

import base64
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from builders import pki
from mintls.core.pki.credential import CredentialBroken, check_certificate
from mintls.core.pki.errors import RequestBroken
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.core.pki.request import read_request

KEY = pki.ec_key()
NAMES = (x509.DNSName("billing.shop.svc"), x509.RFC822Name("a@shop.example"), x509.UniformResourceIdentifier("urn:a:b"))


def request(*names: x509.GeneralName, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(pki.parse_dn("CN=somebody"))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_the_key_and_the_alternative_names_are_taken_and_the_subject_is_not() -> None:
    found = read_request(request(*NAMES))
    assert found.key == KEY.public_key()
    assert found.names == (
        SubjectName(SubjectKind.SAN_DNS, "billing.shop.svc"),
        SubjectName(SubjectKind.SAN_EMAIL, "a@shop.example"),
        SubjectName(SubjectKind.SAN_URI, "urn:a:b"),
    )
    assert read_request(request()).names == ()


def forged() -> str:
    """Another key in a request that somebody else signed."""
    der = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
    point = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    mine, theirs = (key.public_key().public_bytes(*point) for key in (KEY, pki.ec_key()))
    assert mine in der
    made = x509.load_der_x509_csr(der.replace(mine, theirs))
    return made.public_bytes(serialization.Encoding.PEM).decode()


def of_another_version() -> str:
    """RFC 2986 section 4.1: there is version 0."""
    der = x509.load_pem_x509_csr(request().encode()).public_bytes(serialization.Encoding.DER)
    encoded = base64.encodebytes(der.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{encoded}-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (of_another_version, "1 is not a valid CSR version"),
        (lambda: "", "is no certificate request in PEM"),
        (lambda: pki.authority().bundle, "is no certificate request in PEM"),
        (lambda: request().replace("M", "!", 3), "is no certificate request in PEM"),
        (forged, "is not signed by the key that it is for"),
        (lambda: request(key=pki.rsa_key(1024)), "is for a key that cannot be used"),
        (lambda: request(x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))), "asks for a RegisteredID"),
        (lambda: request(x509.DirectoryName(pki.parse_dn("O=mintls.dev"))), "asks for a DirectoryName"),
    ],
)
def test_what_cannot_be_used_is_named(make: Callable[[], str], message: str) -> None:
    with pytest.raises(RequestBroken, match=message):
        read_request(make())


def test_a_certificate_has_to_be_of_the_key_that_was_asked_for() -> None:
    leaf = pki.authority().client(key=KEY)
    assert check_certificate(leaf.tls_crt, KEY.public_key()).leaf.certificate == leaf.certificate
    with pytest.raises(CredentialBroken, match="is not of the key that was asked for"):
        check_certificate(leaf.tls_crt, pki.ec_key().public_key())
    with pytest.raises(CredentialBroken, match=r"tls\.crt: "):
        check_certificate(b"", KEY.public_key())
