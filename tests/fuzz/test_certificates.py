"""Whatever comes as a certificate, from a handshake, a header or a JWK: facts, or the error that is documented."""

import base64
import warnings
from contextlib import suppress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from builders.fuzz import JSON_VALUES, changed, changed_object, fuzzed
from builders.jwks import jwk
from builders.pki import NOW, authority, dns, email, ip, raw, self_signed_client, uri
from mintls.core.oauth.client_assertion import KeyNotUsable, keys_of_jwks
from mintls.core.oauth.errors import InvalidClient
from mintls.core.oauth.self_signed import (
    CertificateNotUsable,
    Jwk,
    certificates_of_jwks,
    certificates_of_pem,
    may_be_registered,
)
from mintls.core.pki.certificate import (
    CertificateFacts,
    InvalidCertificate,
    facts,
    first_break,
    is_authority,
    load_pem_chain,
    read_certificate,
)
from mintls.core.pki.origin import Origin
from mintls.core.pki.trust import PathInvalid, validate_path
from mintls.issuer.handshake import leaf_of
from mintls.issuer.peer import Peers

pytestmark = pytest.mark.fuzz

AUTHORITY = authority()
OWN = self_signed_client(uri("spiffe://a/b") + dns("a.example"))
NAMED = AUTHORITY.client(
    uri("https://a.example/x") + dns("a.example") + ip("10.0.0.7", "2001:db8::7") + email("a@b.example"),
    subject="CN=billing+OU=shop,O=Example,C=DE,DC=example,2.5.4.45=x",
    origin=Origin("ClientCertificate", "5b7a2c0e"),
)
RARE = raw(
    AUTHORITY.client().key.public_key(),
    AUTHORITY.intermediate,
    AUTHORITY.signer.key,
    san=[
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x0c\x01a"),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])),
    ],
    extensions=[(x509.OCSPNoCheck(), False), (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"x"), False)],
)
SAMPLES = (NAMED.der, OWN.der, RARE.public_bytes(Encoding.DER), AUTHORITY.root.public_bytes(Encoding.DER))


@pytest.fixture(autouse=True)
def _no_warning_is_an_answer() -> Any:
    """cryptography warns of certificates that it will refuse some day: here that day has not come."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@fuzzed(400)
@given(changed(*SAMPLES, most=3))
def test_a_certificate(der: bytes) -> None:
    with suppress(InvalidCertificate):
        _ask_all(read_certificate(der))


@fuzzed(400)
@given(st.sampled_from(SAMPLES), st.integers(0, 4000), st.integers(1, 255))
def test_a_certificate_with_one_octet_changed(der: bytes, at: int, by: int) -> None:
    at %= len(der)
    with suppress(InvalidCertificate):
        _ask_all(read_certificate(der[:at] + bytes([(der[at] + by) % 256]) + der[at + 1 :]))


def _ask_all(found: CertificateFacts) -> None:
    """Every question that a request asks of a certificate."""
    certificate = found.certificate
    with suppress(PathInvalid):
        validate_path(certificate, (AUTHORITY.intermediate, certificate), AUTHORITY.anchors, NOW)
    assert isinstance(may_be_registered(certificate), bool)
    assert isinstance(is_authority(certificate), bool)
    assert first_break((certificate, AUTHORITY.intermediate)) in {0, None}
    assert facts(certificate) == found


@fuzzed(200)
@given(st.lists(changed(*SAMPLES, most=2), min_size=1, max_size=3))
def test_what_a_peer_presents(chain: list[bytes]) -> None:
    with suppress(InvalidClient):
        peer = Peers().presenting(chain)
        assert peer is not None
        with suppress(PathInvalid):
            validate_path(peer.certificate.certificate, peer.presented, AUTHORITY.anchors, NOW)


def _sized(octets: bytes, size: int = 3) -> bytes:
    return len(octets).to_bytes(size) + octets


@fuzzed(200)
@given(changed(*SAMPLES, most=2), changed(b"\x00" * 4), st.booleans())
def test_a_message_of_a_handshake(der: bytes, context: bytes, tls13: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    body = (_sized(context, 1) if tls13 and len(context) < 256 else b"") + _sized(_sized(der) + _sized(b"", 2))
    leaf = leaf_of(b"\x0b" + _sized(body), tls13=tls13)
    assert leaf is None or isinstance(may_be_registered(leaf), bool)


@fuzzed(200)
@given(changed(OWN.tls_crt, NAMED.tls_crt))
def test_pem(pem: bytes) -> None:
    with suppress(InvalidCertificate):
        assert load_pem_chain(pem)
    with suppress(CertificateNotUsable):
        assert certificates_of_pem([pem.decode("latin-1")], "spec.certificates")


RSA = {"kty": "RSA", "n": base64.urlsafe_b64encode(b"\xff" * 256).decode().rstrip("="), "e": "AQAB"}
OKP = {"kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(b"\x01" * 32).decode().rstrip("=")}
KEY = jwk(OWN)


def _base64(der: bytes) -> str:
    return base64.b64encode(der).decode()


@fuzzed(200)
@given(
    changed_object(KEY, RSA, OKP, names=("kid", "use", "alg", "d", "x5t", "key_ops")),
    st.lists(st.just(KEY["x5c"][0]) | st.text(max_size=20) | changed(OWN.der, most=2).map(_base64), max_size=2),
)
def test_a_key(members: dict[str, Any], x5c: list[str]) -> None:
    found = Jwk(members, tuple(x5c))
    with suppress(KeyNotUsable):
        [key] = keys_of_jwks([found], "keys")
        assert key.algorithms
    with suppress(CertificateNotUsable):
        assert certificates_of_jwks([found], "keys")


@fuzzed(200)
@given(st.lists(st.dictionaries(st.sampled_from(sorted({*KEY, *RSA, "kid"})), JSON_VALUES), max_size=2))
def test_keys_of_any_content(keys: list[dict[str, Any]]) -> None:
    with suppress(KeyNotUsable):
        keys_of_jwks([Jwk(key, ()) for key in keys], "keys")
