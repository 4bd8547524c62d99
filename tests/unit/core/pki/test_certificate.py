"""What is read from a certificate, with openssl as the other reader."""

import base64
import subprocess
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from builders import pki
from mintls.core.pki.certificate import (
    InvalidCertificate,
    encode_pem,
    first_break,
    key_fingerprint,
    load_pem_chain,
    read_certificate,
    thumbprint,
)
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.names import SubjectKind, SubjectName, normalize

AUTHORITY = pki.authority()


def test_the_facts_of_a_client_certificate() -> None:
    leaf = AUTHORITY.client(pki.uri(pki.CLIENT_ID) + pki.dns("a.shop.svc"), subject="CN=Billing, O=Shop")
    facts = read_certificate(leaf.der)
    assert facts.certificate == leaf.certificate
    assert facts.serial == leaf.certificate.serial_number
    assert (facts.not_before, facts.not_after) == (pki.NOW - 5 * pki.MINUTE, pki.NOW + pki.DAY)
    assert facts.subject == normalize(SubjectName(SubjectKind.SUBJECT_DN, "cn=billing,o=shop"))
    assert facts.public_key == leaf.key.public_key()
    assert facts.spki_sha256.hex() == key_fingerprint(leaf.certificate) == key_fingerprint(leaf.key.public_key())
    assert facts.names == {
        facts.subject,
        *map(normalize, pki.uri(pki.CLIENT_ID)),
        *map(normalize, pki.dns("A.SHOP.SVC")),
    }


def test_all_five_kinds_of_names_are_found() -> None:
    san = pki.uri(pki.CLIENT_ID) + pki.dns("a.svc") + pki.ip("10.0.0.7", "2001:db8::7") + pki.email("a@b.example")
    facts = AUTHORITY.client(san, subject="CN=a").facts
    assert {name.kind for name in facts.names} == set(SubjectKind)
    assert facts.names >= {normalize(name) for name in san}


def test_a_certificate_without_a_subject_has_no_subject_name() -> None:
    facts = AUTHORITY.client().facts
    assert facts.subject is None
    assert facts.names == {normalize(*pki.uri(pki.CLIENT_ID))}


@pytest.mark.parametrize(
    "name",
    [
        x509.DNSName._init_without_validation("a.shop.svc\0.evil.example"),
        x509.DNSName("*.shop.svc"),
        x509.UniformResourceIdentifier._init_without_validation(pki.CLIENT_ID + "\0"),
        x509.RFC822Name._init_without_validation("a@b.example\0.evil.example"),
        x509.DirectoryName(parse_dn("CN=billing")),
        x509.RegisteredID(NameOID.COMMON_NAME),
    ],
    ids=["NUL in DNS", "wildcard", "NUL in URI", "NUL in mailbox", "directory name", "registered id"],
)
def test_a_name_that_cannot_be_registered_is_left_out(name: x509.GeneralName) -> None:
    leaf = pki.raw_client(AUTHORITY, san=[name, x509.DNSName("honest.svc")])
    assert leaf.facts.names == {normalize(*pki.dns("honest.svc"))}


def test_a_subject_with_nul_is_left_out_and_the_rest_stays() -> None:
    leaf = pki.raw_client(AUTHORITY, subject=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "billing\0.evil")]))
    assert leaf.facts.subject is None
    assert leaf.facts.names == {normalize(*pki.uri(pki.CLIENT_ID))}


def test_the_issuers_names_are_not_the_leafs() -> None:
    leaf = AUTHORITY.client()
    assert not any(name.kind is SubjectKind.SUBJECT_DN for name in leaf.facts.names)


@pytest.mark.parametrize("der", [b"", b"\x30\x00", b"-----BEGIN CERTIFICATE-----", b"\x00" * 64])
def test_bytes_that_are_no_certificate_are_refused(der: bytes) -> None:
    with pytest.raises(InvalidCertificate, match="certificate in DER"):
        read_certificate(der)


def test_a_certificate_cut_short_is_refused() -> None:
    with pytest.raises(InvalidCertificate):
        read_certificate(AUTHORITY.client().der[:-1])


def test_a_malformed_alternative_name_is_refused() -> None:
    broken = x509.UnrecognizedExtension(
        x509.SubjectAlternativeName.oid, b"\x30\x03\x87\x01\x00"
    )  # an address of 1 octet
    leaf = pki.raw_client(AUTHORITY, san=(), extensions=[(broken, True)])
    with pytest.raises(InvalidCertificate, match="cannot be read"):
        read_certificate(leaf.der)


def test_a_teletex_string_that_is_not_utf_8_is_refused() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Zuerich", _ASN1Type.T61String)])
    leaf = pki.raw_client(AUTHORITY, subject=subject)
    with pytest.raises(InvalidCertificate, match="cannot be read"):
        read_certificate(leaf.der.replace(b"Zuerich", b"Z\xfcerich"))


def test_a_chain_is_read_in_its_order_with_comments_between() -> None:
    leaf = AUTHORITY.client()
    text = b"subject=\n" + encode_pem(leaf.certificate) + b"issuer\n" + encode_pem(AUTHORITY.intermediate)
    assert load_pem_chain(text) == (leaf.certificate, AUTHORITY.intermediate)


@pytest.mark.parametrize("pem", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidCertificate, match="PEM"):
        load_pem_chain(pem)


def test_where_a_chain_breaks() -> None:
    leaf, twin = AUTHORITY.client(), pki.authority()
    assert first_break([]) is None
    assert first_break([leaf.certificate, AUTHORITY.intermediate, AUTHORITY.root]) is None
    assert first_break([leaf.certificate, AUTHORITY.root]) == 0
    assert first_break([leaf.certificate, AUTHORITY.intermediate, twin.root]) == 1


def test_the_thumbprint_is_the_one_that_openssl_computes(tmp_path: Path) -> None:
    leaf = AUTHORITY.client()
    crt, _ = leaf.write(tmp_path)
    der = subprocess.run(["openssl", "x509", "-in", crt, "-outform", "DER"], capture_output=True, check=True).stdout
    digest = subprocess.run(
        ["openssl", "dgst", "-sha256", "-binary"], input=der, capture_output=True, check=True
    ).stdout
    assert thumbprint(leaf.certificate) == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    assert len(thumbprint(leaf.certificate)) == 43
    assert der == leaf.certificate.public_bytes(Encoding.DER)


def test_the_key_fingerprint_is_the_one_that_openssl_computes(tmp_path: Path) -> None:
    crt, _ = AUTHORITY.client().write(tmp_path)
    pem = subprocess.run(["openssl", "x509", "-in", crt, "-noout", "-pubkey"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem, capture_output=True, check=True)
    digest = subprocess.run(["openssl", "dgst", "-sha256"], input=der.stdout, capture_output=True, check=True).stdout
    assert key_fingerprint(load_pem_chain(crt.read_bytes())[0]) == digest.decode().split()[-1]


@pytest.mark.parametrize("version", [1, 3, 127])
def test_a_version_that_x509_does_not_know_is_refused(version: int) -> None:
    der = _of_version(AUTHORITY.client().der, version)
    with pytest.raises(InvalidCertificate, match=r"is not an X\.509 certificate in DER"):
        read_certificate(der)
    with pytest.raises(InvalidCertificate, match="is not a certificate in PEM"):
        load_pem_chain(DER_cert_to_PEM_cert(der).encode())


def _of_version(der: bytes, version: int) -> bytes:
    """RFC 5280 section 4.1.2.1: the version is the first thing in it, and 2 stands for 3."""
    before = b"\xa0\x03\x02\x01"
    assert der.count(before + b"\x02") == 1
    return der.replace(before + b"\x02", before + bytes([version]))


def test_an_issuer_that_cannot_be_decoded_is_refused() -> None:
    der = AUTHORITY.client().der
    assert der.count(b"test intermediate") == 1
    with pytest.raises(InvalidCertificate, match="cannot be read"):
        read_certificate(der.replace(b"test intermediate", b"test\xffintermediate"))
