"""What is signed, and what is refused and why."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from builders import pki
from mintls.core.pki.certificate import facts
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.core.pki.origin import Origin
from mintls.core.pki.profiles import EMPTY_NAME, IntermediateProfile, LeafProfile, RootProfile
from mintls.core.pki.signing import (
    CertificateAuthorityKey,
    Refusal,
    SigningRefused,
    serial_number,
    sign_intermediate,
    sign_leaf,
    sign_root,
)

AUTHORITY = pki.authority()
KEY = pki.ec_key()
CLIENT = LeafProfile(EMPTY_NAME, pki.uri(pki.CLIENT_ID), "client", pki.NOW - pki.HOUR, pki.NOW + pki.DAY)
INTERMEDIATE = IntermediateProfile("i", pki.NOW - pki.HOUR, pki.NOW + pki.DAY)


def _sign(profile: LeafProfile, authority: pki.Authority = AUTHORITY, key: PrivateKey = KEY) -> x509.Certificate:
    return sign_leaf(profile, key.public_key(), authority.signer, pki.serial())


def _extension[T: x509.ExtensionType](certificate: x509.Certificate, type_: type[T]) -> tuple[T, bool]:
    extension = certificate.extensions.get_extension_for_class(type_)
    return extension.value, extension.critical


def _refused(reason: Refusal, sign: Callable[[], object], told: str | None = None) -> None:
    with pytest.raises(SigningRefused, match=told) as caught:
        sign()
    assert caught.value.reason is reason


# Profiles


def test_a_clients_leaf_says_what_the_profile_says_and_no_more() -> None:
    leaf = _sign(CLIENT)
    assert leaf.subject == EMPTY_NAME
    assert leaf.issuer == AUTHORITY.intermediate.subject
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (CLIENT.not_before, CLIENT.not_after)
    assert _extension(leaf, x509.BasicConstraints) == (x509.BasicConstraints(ca=False, path_length=None), True)
    assert _extension(leaf, x509.ExtendedKeyUsage)[0] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    usage, critical = _extension(leaf, x509.KeyUsage)
    assert critical
    assert usage.digital_signature
    assert not usage.key_encipherment
    assert not usage.key_agreement
    assert not usage.key_cert_sign
    assert len(leaf.extensions) == 6


def test_key_identifiers_lead_from_leaf_to_authority() -> None:
    leaf = _sign(CLIENT)
    own = _extension(AUTHORITY.intermediate, x509.SubjectKeyIdentifier)[0]
    assert _extension(leaf, x509.AuthorityKeyIdentifier)[0].key_identifier == own.digest
    assert _extension(leaf, x509.SubjectKeyIdentifier)[0] == x509.SubjectKeyIdentifier.from_public_key(KEY.public_key())


@pytest.mark.parametrize(("subject", "critical"), [("", True), ("CN=billing", False)])
def test_the_alternative_name_is_critical_if_and_only_if_the_subject_is_empty(subject: str, critical: bool) -> None:  # noqa: FBT001 - a parameter of the table
    leaf = _sign(replace(CLIENT, subject=parse_dn(subject) if subject else EMPTY_NAME))
    assert _extension(leaf, x509.SubjectAlternativeName)[1] is critical


def test_a_leaf_may_have_a_subject_alone() -> None:
    leaf = _sign(replace(CLIENT, subject=parse_dn("CN=billing"), san=()))
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(("key", "enciphers"), [(KEY, False), (pki.rsa_key(), True)], ids=["ECDSA", "RSA"])
def test_only_a_server_with_rsa_may_encipher_keys(key: PrivateKey, enciphers: bool) -> None:  # noqa: FBT001 - as above
    server = _sign(replace(CLIENT, san=pki.dns("issuer.svc"), usage="server"), key=key)
    assert _extension(server, x509.KeyUsage)[0].key_encipherment is enciphers
    assert _extension(server, x509.ExtendedKeyUsage)[0] == x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    assert not _extension(_sign(CLIENT, key=key), x509.KeyUsage)[0].key_encipherment


def test_a_root_and_an_intermediate_have_room_for_just_what_is_below_them() -> None:
    for certificate, length in ((AUTHORITY.root, 1), (AUTHORITY.intermediate, 0)):
        assert _extension(certificate, x509.BasicConstraints) == (
            x509.BasicConstraints(ca=True, path_length=length),
            True,
        )
        usage, critical = _extension(certificate, x509.KeyUsage)
        assert critical
        assert usage.key_cert_sign
        assert not usage.digital_signature


def test_fractions_of_a_second_are_cut_off() -> None:
    late = timedelta(microseconds=999_999)
    leaf = _sign(replace(CLIENT, not_before=CLIENT.not_before + late, not_after=CLIENT.not_after + late))
    assert (leaf.not_valid_before_utc, leaf.not_valid_after_utc) == (CLIENT.not_before, CLIENT.not_after)


@pytest.mark.parametrize(
    ("curve", "hash_"), [(ec.SECP256R1(), "sha256"), (ec.SECP384R1(), "sha384"), (ec.SECP521R1(), "sha512")]
)
def test_the_hash_is_as_strong_as_the_authoritys_curve(curve: ec.EllipticCurve, hash_: str) -> None:
    leaf = pki.authority(intermediate_key=pki.ec_key(curve)).client()
    assert leaf.certificate.signature_hash_algorithm is not None
    assert leaf.certificate.signature_hash_algorithm.name == hash_


# Serial numbers


def test_a_serial_number_has_159_bits_of_the_entropy() -> None:
    assert serial_number(b"\xff" * 20) == 2**159 - 1
    assert serial_number(b"\x00" * 19 + b"\x02") == 1


@pytest.mark.parametrize("entropy", [b"", b"\x01" * 19, b"\x01" * 21])
def test_another_amount_of_entropy_is_refused(entropy: bytes) -> None:
    with pytest.raises(ValueError, match="20 random octets"):
        serial_number(entropy)


def test_zero_is_no_serial_number() -> None:
    with pytest.raises(ValueError, match="all zero"):
        serial_number(b"\x00" * 19 + b"\x01")


# Refusals of leaves


def test_a_leaf_without_any_name_is_refused() -> None:
    _refused(Refusal.NO_NAMES, lambda: _sign(replace(CLIENT, san=())))


@pytest.mark.parametrize(
    "name",
    [
        *pki.dns("*.shop.svc"),
        *pki.uri("spiffe://a/../b"),
        *pki.ip("10.0.0"),
        *pki.email("billing"),
        SubjectName(SubjectKind.SUBJECT_DN, "CN=a"),
    ],
    ids=str,
)
def test_an_alternative_name_that_nothing_could_match_is_refused(name: SubjectName) -> None:
    _refused(Refusal.INVALID_NAME, lambda: _sign(replace(CLIENT, san=(name,))), name.kind)


def test_a_subject_that_nothing_could_match_is_refused() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\0b")])
    _refused(Refusal.INVALID_NAME, lambda: _sign(replace(CLIENT, subject=subject)), "NUL")


@pytest.mark.parametrize("length", [timedelta(0), -pki.HOUR, timedelta(microseconds=900_000)])
def test_an_empty_validity_is_refused(length: timedelta) -> None:
    _refused(Refusal.INVALID_VALIDITY, lambda: _sign(replace(CLIENT, not_after=CLIENT.not_before + length)))


def test_a_leaf_lives_as_long_as_its_authority_but_not_a_second_longer() -> None:
    end, begin = AUTHORITY.signer.not_after, AUTHORITY.signer.not_before
    second = timedelta(seconds=1)
    assert _sign(replace(CLIENT, not_before=begin, not_after=end)).not_valid_after_utc == end
    _refused(Refusal.OUTSIDE_AUTHORITY_VALIDITY, lambda: _sign(replace(CLIENT, not_after=end + second)))
    _refused(Refusal.OUTSIDE_AUTHORITY_VALIDITY, lambda: _sign(replace(CLIENT, not_before=begin - second)))


def test_a_wanted_validity_is_clipped_to_the_authoritys() -> None:
    signer = AUTHORITY.signer
    assert signer.clip(pki.NOW, pki.NOW + pki.DAY) == (pki.NOW, pki.NOW + pki.DAY)
    assert signer.clip(pki.NOW - 999 * pki.DAY, pki.NOW + 999 * pki.DAY) == (signer.not_before, signer.not_after)
    _refused(
        Refusal.OUTSIDE_AUTHORITY_VALIDITY,
        lambda: signer.clip(signer.not_after, signer.not_after + pki.DAY),
    )


def test_the_whole_chain_counts_for_the_validity() -> None:
    root_key, upper_key, key = pki.ec_key(), pki.ec_key(), pki.ec_key()
    upper = _ca(upper_key, x509.Name([]), root_key, subject="CN=upper", not_after=pki.NOW + pki.HOUR)
    lower = _ca(key, upper, upper_key, subject="CN=lower", not_after=pki.NOW + 99 * pki.DAY)
    signer = CertificateAuthorityKey(lower, key, (lower, upper))
    _refused(
        Refusal.OUTSIDE_AUTHORITY_VALIDITY,
        lambda: sign_leaf(CLIENT, KEY.public_key(), signer, pki.serial()),
    )


@pytest.mark.parametrize(
    ("key", "told"),
    [(pki.rsa_key(1024), "2048"), (pki.ec_key(ec.SECP256K1()), "P-256"), (ed448.Ed448PrivateKey.generate(), "Ed25519")],
    ids=["RSA-1024", "secp256k1", "Ed448"],
)
def test_a_key_that_verifiers_refuse_is_refused(key: PrivateKey, told: str) -> None:
    _refused(Refusal.UNSUPPORTED_KEY, lambda: _sign(CLIENT, key=key), told)


def test_a_leaf_may_have_an_ed25519_key_but_an_authority_may_not() -> None:
    key = pki.ed25519_key()
    assert _sign(CLIENT, key=key).public_key() == key.public_key()
    root = RootProfile("r", pki.NOW, pki.NOW + pki.DAY)
    _refused(Refusal.UNSUPPORTED_KEY, lambda: sign_root(root, key, pki.serial()), "ECDSA or RSA")
    _refused(
        Refusal.UNSUPPORTED_KEY,
        lambda: sign_intermediate(INTERMEDIATE, key.public_key(), AUTHORITY.root_signer, pki.serial()),
    )


def test_names_outside_of_the_authoritys_constraints_are_refused() -> None:
    authority = pki.authority(permitted_dns=("svc",))
    inside = replace(CLIENT, san=CLIENT.san + pki.dns("billing.shop.svc"))
    assert _sign(inside, authority).issuer == authority.intermediate.subject
    outside = replace(CLIENT, san=CLIENT.san + pki.dns("billing.example.com"))
    _refused(Refusal.NAME_NOT_PERMITTED, lambda: _sign(outside, authority), r"billing\.example\.com")


def test_a_mailbox_in_the_subject_is_held_to_the_constraints_too() -> None:
    key = pki.ec_key()
    limited = x509.NameConstraints([x509.RFC822Name("shop.example")], None)
    ca = _ca(key, x509.Name([]), pki.ec_key(), subject="CN=ca", extensions=[(limited, True)])
    signer = CertificateAuthorityKey(ca, key, (ca,))
    inside = replace(CLIENT, subject=parse_dn("CN=a,emailAddress=a@shop.example"))
    outside = replace(CLIENT, subject=parse_dn("CN=a,emailAddress=a@evil.example"))
    assert sign_leaf(inside, KEY.public_key(), signer, pki.serial()).subject == inside.subject
    _refused(
        Refusal.NAME_NOT_PERMITTED, lambda: sign_leaf(outside, KEY.public_key(), signer, pki.serial()), r"evil\.example"
    )


def test_a_ca_with_constraints_on_directory_names_signs_for_no_object_outside_of_them() -> None:
    """Strict verifiers would refuse such a leaf."""
    key, leaf = pki.ec_key(), replace(CLIENT, origin=Origin("ClientCertificate", "4f6c8f1e"))

    def signed(organization: str) -> x509.Certificate:
        limited = x509.NameConstraints([x509.DirectoryName(parse_dn(f"O={organization}"))], None)
        ca = _ca(key, x509.Name([]), pki.ec_key(), subject="CN=ca", extensions=[(limited, True)])
        return sign_leaf(leaf, KEY.public_key(), CertificateAuthorityKey(ca, key, (ca,)), pki.serial())

    assert facts(signed("mintls.dev")).origin == leaf.origin
    _refused(Refusal.NAME_NOT_PERMITTED, lambda: signed("example.com"), "mintls")


# Refusals of authorities


def test_an_intermediate_signs_no_intermediate() -> None:
    _refused(
        Refusal.PATH_LENGTH,
        lambda: sign_intermediate(INTERMEDIATE, KEY.public_key(), AUTHORITY.signer, pki.serial()),
        "pathLenConstraint 0",
    )


def test_path_lengths_further_up_count_too() -> None:
    root_key, upper_key, key = pki.ec_key(), pki.ec_key(), pki.ec_key()
    upper = _ca(upper_key, x509.Name([]), root_key, subject="CN=upper", path_length=0)
    lower = _ca(key, upper, upper_key, subject="CN=lower")
    signer = CertificateAuthorityKey(lower, key, (lower, upper))
    _refused(Refusal.PATH_LENGTH, lambda: sign_leaf(CLIENT, KEY.public_key(), signer, pki.serial()))


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b"], ids=["empty", "long", "NUL"])
def test_a_ca_needs_a_proper_common_name(name: str) -> None:
    root = RootProfile(name, pki.NOW, pki.NOW + pki.DAY)
    _refused(Refusal.INVALID_NAME, lambda: sign_root(root, KEY, pki.serial()))


def test_a_wildcard_is_no_permitted_tree() -> None:
    profile = replace(INTERMEDIATE, permitted_dns=("*.svc",))
    _refused(
        Refusal.INVALID_NAME,
        lambda: sign_intermediate(profile, KEY.public_key(), AUTHORITY.root_signer, pki.serial()),
        "permitted DNS tree",
    )


def test_a_key_of_another_certificate_makes_no_authority() -> None:
    _refused(Refusal.KEY_MISMATCH, lambda: CertificateAuthorityKey(AUTHORITY.root, KEY))


def test_a_leaf_makes_no_authority() -> None:
    leaf = AUTHORITY.client()
    _refused(Refusal.NOT_AN_AUTHORITY, lambda: CertificateAuthorityKey(leaf.certificate, leaf.key), "CA:TRUE")


@pytest.mark.parametrize("missing", [x509.BasicConstraints, x509.KeyUsage, x509.SubjectKeyIdentifier])
def test_a_ca_that_strict_verifiers_refuse_makes_no_authority(missing: type[x509.ExtensionType]) -> None:
    key = pki.ec_key()
    certificate = _ca(key, x509.Name([]), key, subject="CN=ca", leave_out=[missing])
    _refused(Refusal.NOT_AN_AUTHORITY, lambda: CertificateAuthorityKey(certificate, key), missing.oid._name)


def test_a_chain_has_to_begin_with_the_certificate_and_hold_together() -> None:
    signer, twin = AUTHORITY.signer, pki.authority()
    _refused(
        Refusal.BROKEN_CHAIN,
        lambda: CertificateAuthorityKey(signer.certificate, signer.key, (twin.intermediate,)),
        "does not begin",
    )
    _refused(
        Refusal.BROKEN_CHAIN,
        lambda: CertificateAuthorityKey(signer.certificate, signer.key, (signer.certificate, twin.root)),
        "not signed by",
    )


def test_an_authoritys_key_is_not_in_its_repr() -> None:
    assert "key" not in repr(AUTHORITY.signer)
    assert "PrivateKey" not in repr(AUTHORITY)


def _ca(
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    subject: str,
    path_length: int | None = None,
    not_after: datetime = pki.NOW + 30 * pki.DAY,
    extensions: list[tuple[x509.ExtensionType, bool]] | None = None,
    leave_out: list[type[x509.ExtensionType]] | None = None,
) -> x509.Certificate:
    """A CA that somebody else made."""
    return pki.raw(
        key.public_key(),
        issuer,
        issuer_key,
        subject=parse_dn(subject),
        san=(),
        usages=None,
        ca=True,
        path_length=path_length,
        not_before=pki.NOW - pki.DAY,
        not_after=not_after,
        extensions=extensions or (),
        leave_out=leave_out or (),
    )
