"""Other people's verifiers look at what we sign: the openssl command, and Python's ssl in a real handshake."""

import itertools
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from builders import pki
from mintls.core.pki.certificate import encode_pem, read_certificate
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.trust import render_bundle

AUTHORITY = pki.authority()
IMPOSTOR = pki.authority()

KEYS: dict[str, PrivateKey] = {
    "P-256": pki.ec_key(),
    "P-384": pki.ec_key(ec.SECP384R1()),
    "RSA-2048": pki.rsa_key(),
    "Ed25519": pki.ed25519_key(),
}
AUTHORITIES = {
    "ECDSA": AUTHORITY,
    "RSA": pki.authority(root_key=pki.rsa_key(), intermediate_key=pki.rsa_key()),
    "mixed": pki.authority(root_key=pki.rsa_key(), intermediate_key=pki.ec_key(ec.SECP384R1())),
    "limited to svc": pki.authority(permitted_dns=("svc", "localhost")),
}


def _verify(leaf: pki.Leaf, root: x509.Certificate, purpose: str, directory: Path) -> tuple[bool, str]:
    """What ``openssl verify`` says of a leaf, its chain untrusted."""
    (directory / "root.pem").write_text(render_bundle([root]))
    (directory / "chain.pem").write_bytes(encode_pem(*leaf.chain))
    crt = directory / "leaf.pem"
    crt.write_bytes(encode_pem(leaf.certificate))
    options = ["-x509_strict", "-check_ss_sig", "-purpose", purpose, "-no-CApath", "-no-CAstore"]
    done = subprocess.run(
        ["openssl", "verify", *options, "-CAfile", directory / "root.pem", "-untrusted", directory / "chain.pem", crt],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("authority", AUTHORITIES.values(), ids=AUTHORITIES)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_openssl_strictly_verifies_a_clients_leaf(authority: pki.Authority, key: PrivateKey, tmp_path: Path) -> None:
    for leaf in (authority.client(key=key), authority.client(key=key, subject="CN=billing,O=shop")):
        verified, told = _verify(leaf, authority.root, "sslclient", tmp_path)
        assert verified, told


def test_openssl_strictly_verifies_a_leaf_named_by_its_subject_alone(tmp_path: Path) -> None:
    verified, told = _verify(AUTHORITY.client((), subject="CN=billing"), AUTHORITY.root, "sslclient", tmp_path)
    assert verified, told


@pytest.mark.parametrize("authority", AUTHORITIES.values(), ids=AUTHORITIES)
def test_openssl_strictly_verifies_a_servers_leaf(authority: pki.Authority, tmp_path: Path) -> None:
    for key in (KEYS["P-256"], KEYS["RSA-2048"]):
        verified, told = _verify(authority.server(pki.dns("a.svc"), key=key), authority.root, "sslserver", tmp_path)
        assert verified, told


REFUSED = {
    "an impostor": (IMPOSTOR.client(), "sslclient", "unable to get local issuer certificate"),
    "an impostor with copied key identifiers": (pki.forged_client(AUTHORITY), "sslclient", "signature failure"),
    "expired": (AUTHORITY.expired_client(), "sslclient", "expired"),
    "not yet valid": (AUTHORITY.future_client(), "sslclient", "not yet valid"),
    "a server as a client": (AUTHORITY.server(), "sslclient", "purpose"),
    "a client as a server": (AUTHORITY.client(), "sslserver", "purpose"),
}


@pytest.mark.parametrize(("leaf", "purpose", "told"), REFUSED.values(), ids=REFUSED)
def test_openssl_refuses_what_the_builders_made_wrong(leaf: pki.Leaf, purpose: str, told: str, tmp_path: Path) -> None:
    verified, output = _verify(leaf, AUTHORITY.root, purpose, tmp_path)
    assert not verified
    assert told in output


def test_openssl_reads_what_a_leaf_says(tmp_path: Path) -> None:
    crt, _ = AUTHORITY.client().write(tmp_path)
    text = subprocess.run(
        ["openssl", "x509", "-in", crt, "-noout", "-text"], capture_output=True, text=True, check=True
    )
    lines = [line.strip() for line in text.stdout.splitlines()]
    pairs = set(itertools.pairwise(lines))
    assert ("X509v3 Basic Constraints: critical", "CA:FALSE") in pairs
    assert ("X509v3 Key Usage: critical", "Digital Signature") in pairs
    assert ("X509v3 Extended Key Usage:", "TLS Web Client Authentication") in pairs
    assert ("X509v3 Subject Alternative Name: critical", f"URI:{pki.CLIENT_ID}") in pairs


# A handshake in memory: no socket, no thread, and every alert an exception.


def _context(side: int, own: pki.Leaf, trusted: x509.Certificate, directory: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.load_cert_chain(*own.write(directory, f"side-{int(side)}"))
    context.load_verify_locations(cadata=render_bundle([trusted]))
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def _handshake(
    client: pki.Leaf, server: pki.Leaf, directory: Path, trusted: x509.Certificate = AUTHORITY.root
) -> ssl.SSLObject:
    """The server's side of a finished mutual TLS 1.3 handshake; raises what either side refuses."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = _context(ssl.PROTOCOL_TLS_SERVER, server, trusted, directory).wrap_bio(
        to_server, to_client, server_side=True
    )
    theirs = _context(ssl.PROTOCOL_TLS_CLIENT, client, trusted, directory).wrap_bio(
        to_client, to_server, server_hostname="localhost"
    )
    waiting = [theirs, ours]
    for _ in range(10):
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
        if not waiting:
            return ours
    raise AssertionError("the handshake does not end")


@pytest.mark.parametrize("authority", AUTHORITIES.values(), ids=AUTHORITIES)
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_python_strictly_trusts_client_and_server(authority: pki.Authority, key: PrivateKey, tmp_path: Path) -> None:
    client = authority.client(key=key)
    server = authority.server(pki.dns("localhost"))
    connection = _handshake(client, server, tmp_path, authority.root)
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    assert read_certificate(der) == client.facts
    assert [read_certificate(chained).certificate for chained in connection.get_verified_chain()] == [
        client.certificate,
        authority.intermediate,
        authority.root,
    ]


def test_python_strictly_trusts_a_client_named_by_its_subject_alone(tmp_path: Path) -> None:
    client = AUTHORITY.client((), subject="CN=billing")
    assert _handshake(client, AUTHORITY.server(), tmp_path).version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (IMPOSTOR.client(), "unable to get local issuer certificate"),
        (pki.forged_client(AUTHORITY), "signature failure"),
        (AUTHORITY.expired_client(), "expired"),
        (AUTHORITY.server(), "(unsuitable certificate|unsupported certificate) purpose"),
        (pki.self_signed_client(), "self-signed certificate"),
        (pki.raw_client(AUTHORITY, leave_out=[x509.AuthorityKeyIdentifier]), "Missing Authority Key Identifier"),
    ],
    ids=[
        "impostor",
        "impostor with copied key identifiers",
        "expired",
        "server's leaf",
        "self-signed",
        "no authority key identifier",
    ],
)
def test_python_refuses_what_the_builders_made_wrong(client: pki.Leaf, told: str, tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=told):
        _handshake(client, AUTHORITY.server(), tmp_path)
