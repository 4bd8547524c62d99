"""Valid authorities and leaves, each with one thing that can be made different.

``authority()`` gives a root and an intermediate; ``authority().client()`` a leaf that everything accepts. What the
product would refuse to sign (a CA as a leaf, no usage, a validity beyond the CA's) comes from ``raw()``, which signs
whatever it is told.

Times lie around :data:`NOW`, the moment of import, so that real TLS stacks accept the leaves, too.
"""

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from itertools import cycle
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mintls.core.pki.certificate import CertificateFacts, encode_pem, facts
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.keys import PrivateKey, PublicKey, encode_private_key
from mintls.core.pki.names import SubjectKind, SubjectName, general_name
from mintls.core.pki.origin import Origin
from mintls.core.pki.profiles import EMPTY_NAME, IntermediateProfile, LeafProfile, RootProfile, Usage
from mintls.core.pki.signing import (
    CertificateAuthorityKey,
    serial_number,
    sign_intermediate,
    sign_leaf,
    sign_root,
)
from mintls.core.pki.trust import TrustAnchors, render_bundle

NOW = datetime.now(UTC).replace(microsecond=0)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

CLIENT_ID = "spiffe://cluster.local/ns/shop/client/billing"


def ec_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_key(size: int = 2048) -> rsa.RSAPrivateKey:
    """Another one than the last two times: to make one takes longer than most tests."""
    return next(_rsa_keys(size))


@cache
def _rsa_keys(size: int) -> Iterator[rsa.RSAPrivateKey]:
    return cycle(rsa.generate_private_key(65537, size) for _ in range(3))


def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def serial() -> int:
    return serial_number(secrets.token_bytes(20))


def dns(*hosts: str) -> tuple[SubjectName, ...]:
    return tuple(SubjectName(SubjectKind.SAN_DNS, host) for host in hosts)


def uri(*uris: str) -> tuple[SubjectName, ...]:
    return tuple(SubjectName(SubjectKind.SAN_URI, value) for value in uris)


def email(*mailboxes: str) -> tuple[SubjectName, ...]:
    return tuple(SubjectName(SubjectKind.SAN_EMAIL, mailbox) for mailbox in mailboxes)


def ip(*addresses: str) -> tuple[SubjectName, ...]:
    return tuple(SubjectName(SubjectKind.SAN_IP, address) for address in addresses)


@dataclass(frozen=True)
class Leaf:
    """A certificate, its key, and what to send after it."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @cached_property
    def facts(self) -> CertificateFacts:
        return facts(self.certificate)

    @property
    def thumbprint(self) -> str:
        return self.facts.thumbprint

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def tls_crt(self) -> bytes:
        return encode_pem(self.certificate, *self.chain)

    @property
    def tls_key(self) -> bytes:
        return encode_private_key(self.key)

    def write(self, directory: Path, name: str = "tls") -> tuple[Path, Path]:
        """``name.crt`` and ``name.key`` in a directory: what curl's --cert and --key take.

        Each appears whole: another program may be reading it, which was started with the same leaf a moment ago.
        """
        crt, key = directory / f"{name}.crt", directory / f"{name}.key"
        for path, content in ((crt, self.tls_crt), (key, self.tls_key)):
            fresh = path.with_name(f".{path.name}")
            fresh.write_bytes(content)
            fresh.replace(path)
        return crt, key


@dataclass(frozen=True)
class Authority:
    """A root with one intermediate below it, which signs the leaves."""

    root: x509.Certificate
    root_key: PrivateKey = field(repr=False)
    signer: CertificateAuthorityKey

    @property
    def intermediate(self) -> x509.Certificate:
        return self.signer.certificate

    @property
    def root_signer(self) -> CertificateAuthorityKey:
        return CertificateAuthorityKey(self.root, self.root_key)

    @cached_property
    def anchors(self) -> TrustAnchors:
        return TrustAnchors((self.root,))

    @property
    def bundle(self) -> str:
        return render_bundle((self.root,))

    def client(
        self,
        san: Sequence[SubjectName] = uri(CLIENT_ID),
        *,
        subject: str = "",
        key: PrivateKey | None = None,
        not_before: datetime = NOW - 5 * MINUTE,
        not_after: datetime = NOW + DAY,
        origin: Origin | None = None,
    ) -> Leaf:
        """A client's leaf; ``subject`` is an RFC 4514 string, empty for none."""
        profile = _profile("client", san, subject, not_before, not_after)
        return self._leaf(replace(profile, origin=origin), key)

    def server(
        self,
        san: Sequence[SubjectName] = dns("localhost") + ip("127.0.0.1", "::1"),
        *,
        subject: str = "",
        key: PrivateKey | None = None,
        not_before: datetime = NOW - 5 * MINUTE,
        not_after: datetime = NOW + DAY,
    ) -> Leaf:
        """A server's leaf."""
        return self._leaf(_profile("server", san, subject, not_before, not_after), key)

    def expired_client(self, san: Sequence[SubjectName] = uri(CLIENT_ID), *, subject: str = "") -> Leaf:
        """A client's leaf that ended an hour ago."""
        return self.client(san, subject=subject, not_before=NOW - 3 * HOUR, not_after=NOW - HOUR)

    def future_client(self, san: Sequence[SubjectName] = uri(CLIENT_ID), *, subject: str = "") -> Leaf:
        """A client's leaf that begins in an hour."""
        return self.client(san, subject=subject, not_before=NOW + HOUR, not_after=NOW + 3 * HOUR)

    def _leaf(self, profile: LeafProfile, key: PrivateKey | None) -> Leaf:
        key = key or ec_key()
        return Leaf(sign_leaf(profile, key.public_key(), self.signer, serial()), key, self.signer.chain)


def authority(
    name: str = "test",
    *,
    root_key: PrivateKey | None = None,
    intermediate_key: PrivateKey | None = None,
    not_before: datetime = NOW - 2 * DAY,
    root_not_after: datetime = NOW + 365 * DAY,
    intermediate_not_after: datetime = NOW + 90 * DAY,
    permitted_dns: tuple[str, ...] = (),
) -> Authority:
    """An authority with keys of its own. Two of one name differ in their keys alone: each is the other's impostor."""
    root_key, intermediate_key = root_key or ec_key(), intermediate_key or ec_key()
    root = sign_root(RootProfile(f"{name} root", not_before, root_not_after), root_key, serial())
    profile = IntermediateProfile(f"{name} intermediate", not_before, intermediate_not_after, permitted_dns)
    signed = sign_intermediate(
        profile, intermediate_key.public_key(), CertificateAuthorityKey(root, root_key), serial()
    )
    return Authority(root, root_key, CertificateAuthorityKey(signed, intermediate_key, (signed,)))


def self_signed_client(san: Sequence[SubjectName] = uri(CLIENT_ID), *, subject: str = "CN=billing") -> Leaf:
    """A client's certificate signed by its own key, not a CA's: what self_signed_tls_client_auth registers."""
    key = ec_key()
    return Leaf(raw(key.public_key(), parse_dn(subject), key, subject=parse_dn(subject), san=_general(san)), key)


def raw(
    key: PublicKey,
    issuer: x509.Name | x509.Certificate,
    issuer_key: PrivateKey,
    *,
    subject: x509.Name = EMPTY_NAME,
    san: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(CLIENT_ID),),
    usages: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    ca: bool = False,
    path_length: int | None = None,
    not_before: datetime = NOW - 5 * MINUTE,
    not_after: datetime = NOW + DAY,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    leave_out: Sequence[type[x509.ExtensionType]] = (),
) -> x509.Certificate:
    """Any certificate, checked by nobody: a proper leaf except for what the caller changes.

    ``extensions`` are added with their criticality; ``leave_out`` names types that would else be there, so that one
    given in ``extensions`` takes their place.
    """
    issuer_name = issuer.subject if isinstance(issuer, x509.Certificate) else issuer
    wanted: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=ca, path_length=path_length), True),
        (_key_usage(ca=ca), True),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    if usages is not None:
        wanted.append((x509.ExtendedKeyUsage(usages), False))
    if san:
        wanted.append((x509.SubjectAlternativeName(san), not subject.rdns))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key)
        .serial_number(serial())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    kept = [(extension, critical) for extension, critical in wanted if not isinstance(extension, tuple(leave_out))]
    for extension, critical in [*kept, *extensions]:
        builder = builder.add_extension(extension, critical=critical)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm)


def raw_client(issued_by: Authority, **changes: object) -> Leaf:
    """A client's leaf by an authority's intermediate, with :func:`raw`'s freedom."""
    key = ec_key()
    signer = issued_by.signer
    return Leaf(raw(key.public_key(), signer.certificate, signer.key, **changes), key, signer.chain)  # type: ignore[arg-type] # raw() says what may be changed


def forged_client(victim: Authority) -> Leaf:
    """A client's leaf that names a foreign authority in every way but the signature: names, key identifiers."""
    impostor_key, key = ec_key(), ec_key()
    real = victim.intermediate
    intermediate = raw(
        impostor_key.public_key(),
        victim.root,
        ec_key(),
        subject=real.subject,
        san=(),
        usages=None,
        ca=True,
        path_length=0,
        leave_out=(x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier),
        extensions=[(identifier, False) for identifier in _key_identifiers(real)],
    )
    # The leaf names the intermediate by the victim's key identifier.
    identifier = real.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    leaf = raw(
        key.public_key(),
        intermediate,
        impostor_key,
        leave_out=(x509.AuthorityKeyIdentifier,),
        extensions=[(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False)],
    )
    return Leaf(leaf, key, (intermediate,))


def _key_identifiers(certificate: x509.Certificate) -> tuple[x509.ExtensionType, ...]:
    extensions = certificate.extensions
    return (
        extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value,
        extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value,
    )


def _profile(usage: Usage, san: Sequence[SubjectName], subject: str, begin: datetime, end: datetime) -> LeafProfile:
    name = parse_dn(subject) if subject else EMPTY_NAME
    return LeafProfile(name, tuple(san), usage, begin, end)


def _general(san: Sequence[SubjectName]) -> list[x509.GeneralName]:
    return [general_name(name) for name in san]


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
