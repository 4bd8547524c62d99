"""Signing: every rule is checked before, and a violation is refused with its reason. Keys and entropy are arguments."""

from collections.abc import Iterator
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from mintls.core.pki import profiles
from mintls.core.pki.authority import CertificateAuthorityKey, check_public_key, interval, signature_hash
from mintls.core.pki.errors import InvalidName, Refusal, SigningRefused
from mintls.core.pki.keys import PrivateKey, PublicKey
from mintls.core.pki.names import (
    NormalizedName,
    SubjectKind,
    SubjectName,
    general_name,
    normalize,
    normalize_subject,
)
from mintls.core.pki.origin import origin_name
from mintls.core.pki.profiles import IntermediateProfile, LeafProfile, Profile, RootProfile, serial_number

__all__ = [
    "CertificateAuthorityKey",
    "Refusal",
    "SigningRefused",
    "serial_number",
    "sign_intermediate",
    "sign_leaf",
    "sign_root",
]


def sign_root(profile: RootProfile, key: PrivateKey, serial: int) -> x509.Certificate:
    """A self-signed root with room for one CA below it.

    Args:
        profile: What it says.
        key: Its own key, ECDSA or RSA.
        serial: From :func:`serial_number`.

    Raises:
        SigningRefused: INVALID_NAME, INVALID_VALIDITY or UNSUPPORTED_KEY.
    """
    _check_order(profile)
    algorithm = signature_hash(key)
    subject = _common_name(profile.common_name)
    builder = _fill(profiles.ROOT_TEMPLATE, profile, subject, key.public_key(), serial)
    return builder.issuer_name(subject).sign(key, algorithm)


def sign_intermediate(
    profile: IntermediateProfile, public_key: PublicKey, authority: CertificateAuthorityKey, serial: int
) -> x509.Certificate:
    """A CA certificate that signs leaves only.

    Args:
        profile: What it says.
        public_key: The new CA's key, ECDSA or RSA.
        authority: The CA above.
        serial: From :func:`serial_number`.

    Raises:
        SigningRefused: INVALID_NAME, NAME_NOT_PERMITTED, INVALID_VALIDITY, OUTSIDE_AUTHORITY_VALIDITY, PATH_LENGTH or
            UNSUPPORTED_KEY.
    """
    _check_validity(profile, authority)
    authority.check_path_length(cas_below=1)
    check_public_key(public_key, ca=True)
    subject = _common_name(profile.common_name)
    authority.check_permitted((normalize_subject(subject),))
    builder = _fill(profiles.INTERMEDIATE_TEMPLATE, profile, subject, public_key, serial)
    if profile.permitted_dns:
        builder = builder.add_extension(_permitted_dns(profile.permitted_dns), critical=True)
    return authority.sign(builder)


def sign_leaf(
    profile: LeafProfile, public_key: PublicKey, authority: CertificateAuthorityKey, serial: int
) -> x509.Certificate:
    """An end-entity certificate for one usage.

    Args:
        profile: What it says.
        public_key: The leaf's key; from a request too: that the requester holds the private key is the caller's check.
        authority: The CA that signs.
        serial: From :func:`serial_number`.

    Raises:
        SigningRefused: NO_NAMES, INVALID_NAME, NAME_NOT_PERMITTED, INVALID_VALIDITY, OUTSIDE_AUTHORITY_VALIDITY,
            PATH_LENGTH or UNSUPPORTED_KEY.
    """
    _check_validity(profile, authority)
    authority.check_path_length(cas_below=0)
    check_public_key(public_key, ca=False)
    names, alternatives = _leaf_names(profile)
    authority.check_permitted(names)
    template = profiles.leaf_template(profile.usage, is_rsa=isinstance(public_key, rsa.RSAPublicKey))
    builder = _fill(template, profile, profile.subject, public_key, serial)
    if alternatives:
        # RFC 5280 section 4.2.1.6: critical if and only if the subject is empty.
        san = x509.SubjectAlternativeName(alternatives)
        builder = builder.add_extension(san, critical=not profile.subject.rdns)
    return authority.sign(builder)


def _fill(
    template: x509.CertificateBuilder, profile: Profile, subject: x509.Name, key: PublicKey, serial: int
) -> x509.CertificateBuilder:
    """What differs from certificate to certificate of a template."""
    not_before, not_after = _validity(profile)
    return (
        template.subject_name(subject)
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _check_order(profile: Profile) -> None:
    not_before, not_after = _validity(profile)
    if not_after <= not_before:
        raise SigningRefused(
            Refusal.INVALID_VALIDITY,
            f"validity {interval(not_before, not_after)} is empty; notAfter has to be the later one",
        )


def _check_validity(profile: IntermediateProfile | LeafProfile, authority: CertificateAuthorityKey) -> None:
    _check_order(profile)
    authority.check_validity(*_validity(profile))


def _validity(profile: Profile) -> tuple[datetime, datetime]:
    return profile.not_before.replace(microsecond=0), profile.not_after.replace(microsecond=0)


def _leaf_names(profile: LeafProfile) -> tuple[tuple[NormalizedName, ...], list[x509.GeneralName]]:
    """The names that constraints apply to, and the entries of the alternative name extension."""
    if not profile.subject.rdns and not profile.san:
        raise SigningRefused(Refusal.NO_NAMES, "a leaf needs a subject or a subject alternative name")
    try:
        names = [normalize(name) for name in profile.san]
        alternatives = [general_name(name) for name in profile.san]
        if profile.subject.rdns:
            names += [normalize_subject(profile.subject), *_subject_mailboxes(profile.subject)]
        if profile.origin is not None:
            alternatives.append(origin := origin_name(profile.origin))
            names.append(normalize_subject(origin.value))
    except InvalidName as error:
        raise SigningRefused(Refusal.INVALID_NAME, str(error)) from error
    return tuple(names), alternatives


def _subject_mailboxes(subject: x509.Name) -> Iterator[NormalizedName]:
    """RFC 5280 section 4.2.1.10: constraints on mailboxes hold for emailAddress attributes of the subject as well."""
    for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield normalize(SubjectName(SubjectKind.SAN_EMAIL, str(attribute.value)))


def _common_name(value: str) -> x509.Name:
    try:
        name = profiles.common_name(value)
        normalize_subject(name)
    except ValueError as error:
        raise SigningRefused(Refusal.INVALID_NAME, f"common name {value!r}: {error}") from error
    return name


def _permitted_dns(trees: tuple[str, ...]) -> x509.NameConstraints:
    try:
        for tree in trees:
            normalize(SubjectName(SubjectKind.SAN_DNS, tree))
    except InvalidName as error:
        raise SigningRefused(Refusal.INVALID_NAME, f"permitted DNS tree: {error}") from error
    return profiles.permitted_dns(trees)
