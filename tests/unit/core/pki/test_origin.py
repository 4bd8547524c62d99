"""Which object a certificate was issued for, as it says itself."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from builders import pki
from mintls.core.pki.certificate import encode_pem, facts
from mintls.core.pki.origin import Origin, origin_name, origin_subject, read_origin

ORIGIN = Origin("ClientCertificate", "4f6c8f1e-0000-4000-8000-000000000001")
OTHER = Origin("ClientCertificate", "4f6c8f1e-0000-4000-8000-000000000002")
URI = x509.UniformResourceIdentifier(pki.CLIENT_ID)


def directory(*attributes: tuple[x509.ObjectIdentifier, str]) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(*attribute) for attribute in attributes]))


ORG, UNIT, UID = NameOID.ORGANIZATION_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.USER_ID


def test_a_leaf_says_which_object_it_was_issued_for_and_its_names_stay_what_they_were() -> None:
    leaf = pki.authority().client(origin=ORIGIN)
    assert leaf.facts.origin == ORIGIN
    assert leaf.facts.names == pki.authority().client().facts.names


def test_a_leaf_that_does_not_says_nothing() -> None:
    assert pki.authority().client().facts.origin is None
    assert pki.self_signed_client().facts.origin is None


@pytest.mark.parametrize(
    "names",
    [
        [URI],
        [URI, directory((ORG, "mintls.dev"), (UNIT, "ClientCertificate"))],
        [URI, directory((ORG, "example.com"), (UNIT, "ClientCertificate"), (UID, "1"))],
        [URI, directory((UNIT, "ClientCertificate"), (ORG, "mintls.dev"), (UID, "1"))],
        [URI, directory((ORG, "mintls.dev"), (UNIT, "ClientCertificate"), (UID, "1"), (UID, "2"))],
        [origin_name(ORIGIN), origin_name(OTHER)],
        [
            x509.DirectoryName(
                x509.Name(
                    [x509.RelativeDistinguishedName([x509.NameAttribute(ORG, "a"), x509.NameAttribute(UNIT, "b")])]
                )
            )
        ],
    ],
    ids=["none", "no uid", "somebody else's", "another order", "too many", "two objects", "several in one"],
)
def test_what_is_not_exactly_that_says_nothing(names: list[x509.GeneralName]) -> None:
    assert read_origin(x509.SubjectAlternativeName(names)) is None
    leaf = pki.raw_client(pki.authority(), san=names)
    assert facts(leaf.certificate).origin is None


def test_openssl_shows_it_and_takes_the_leaf(tmp_path: Path) -> None:
    made = pki.authority()
    leaf = made.client(origin=ORIGIN)
    (tmp_path / "leaf.pem").write_bytes(encode_pem(leaf.certificate))
    (tmp_path / "chain.pem").write_bytes(encode_pem(*leaf.chain))
    (tmp_path / "root.pem").write_bytes(encode_pem(made.root))
    shown = subprocess.check_output(["openssl", "x509", "-in", tmp_path / "leaf.pem", "-noout", "-text"], text=True)
    assert "DirName:/O=mintls.dev/OU=ClientCertificate/UID=4f6c8f1e" in shown.replace(" = ", "=").replace(", ", "/")
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslclient"]
    chain = ["-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "chain.pem"]
    assert "OK" in subprocess.check_output([*verify, *chain, tmp_path / "leaf.pem"], text=True)


def test_a_subject_says_it_too_where_a_ca_elsewhere_takes_no_directory_name() -> None:
    subject = origin_subject(ORIGIN).rfc4514_string()
    assert subject == f"CN=mintls:ClientCertificate:{ORIGIN.uid}"
    assert pki.authority().client(subject=subject).facts.origin == ORIGIN
    assert pki.authority().client(subject=subject, origin=OTHER).facts.origin == OTHER


@pytest.mark.parametrize(
    "subject", ["", "CN=billing", f"CN=mintls:ClientCertificate:{ORIGIN.uid},O=x", "CN=mintls:ClientCertificate:"]
)
def test_another_subject_says_nothing(subject: str) -> None:
    assert pki.authority().client(subject=subject).facts.origin is None
