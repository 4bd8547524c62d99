"""A CA that can sign, and what it must not sign."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mintls.core.pki import constraints
from mintls.core.pki.certificate import describe_certificate, first_break
from mintls.core.pki.errors import InvalidKey, Refusal, SigningRefused
from mintls.core.pki.keys import PrivateKey, PublicKey, describe, matches
from mintls.core.pki.names import NormalizedName

type SignatureHash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

# As strong as the curve (RFC 5758 section 3.2); SHA-256 for RSA.
_HASHES: dict[int, SignatureHash] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}


@dataclass(frozen=True, slots=True)
class CertificateAuthorityKey:
    """A CA that can sign: its certificate, its key, and what its leaves have to be sent with.

    What makes a CA unfit is found when this is made, not when a leaf of it is refused.

    Attributes:
        certificate: The CA's certificate.
        key: Its private key, ECDSA or RSA: path validation in ``cryptography`` takes no other CA key. Not in the repr.
        chain: The certificates to send after a leaf: this one first unless it is a root, each signed by the next, up to
            but not including the root.
        not_before: When everything from the certificate up to (not including) the root has begun to be valid.
        not_after: When the first of them ends.

    Raises:
        SigningRefused: NOT_AN_AUTHORITY, KEY_MISMATCH, UNSUPPORTED_KEY or BROKEN_CHAIN.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    not_before: datetime = field(init=False, repr=False, compare=False)
    not_after: datetime = field(init=False, repr=False, compare=False)
    _hash: SignatureHash = field(init=False, repr=False, compare=False)
    _identifier: x509.AuthorityKeyIdentifier = field(init=False, repr=False, compare=False)
    _name_constraints: tuple[x509.NameConstraints, ...] = field(init=False, repr=False, compare=False)
    _path_lengths: tuple[int | None, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not matches(self.certificate, self.key):
            raise SigningRefused(
                Refusal.KEY_MISMATCH, f"the private key is not that of {describe_certificate(self.certificate)}"
            )
        path = self.chain or (self.certificate,)
        _check_chain(self.certificate, path)
        # What every signature needs, found once.
        derived = {
            "not_before": max(certificate.not_valid_before_utc for certificate in path),
            "not_after": min(certificate.not_valid_after_utc for certificate in path),
            "_hash": signature_hash(self.key),
            "_identifier": x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_check_ca(self.certificate)),
            "_name_constraints": tuple(_name_constraints(path)),
            "_path_lengths": tuple(_path_length(certificate) for certificate in path),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)  # frozen for everybody else

    def sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """The certificate of a builder that lacks only issuer, authority key identifier and signature."""
        return (
            builder.issuer_name(self.certificate.subject)
            .add_extension(self._identifier, critical=False)
            .sign(self.key, self._hash)
        )

    def check_validity(self, not_before: datetime, not_after: datetime) -> None:
        """A certificate must not be valid when its CA is not.

        Raises:
            SigningRefused: OUTSIDE_AUTHORITY_VALIDITY.
        """
        if not_before < self.not_before or not_after > self.not_after:
            raise SigningRefused(
                Refusal.OUTSIDE_AUTHORITY_VALIDITY,
                f"validity {interval(not_before, not_after)} is not within that of "
                f"{describe_certificate(self.certificate)}, {interval(self.not_before, self.not_after)}",
            )

    def clip(self, not_before: datetime, not_after: datetime) -> tuple[datetime, datetime]:
        """The part of a wanted validity that this CA covers: what to ask for when the CA ends sooner than the leaf.

        Raises:
            SigningRefused: OUTSIDE_AUTHORITY_VALIDITY when nothing of it is left.
        """
        clipped = max(not_before, self.not_before), min(not_after, self.not_after)
        if clipped[0] >= clipped[1]:
            self.check_validity(not_before, not_after)
        return clipped

    def check_path_length(self, *, cas_below: int) -> None:
        """RFC 5280 section 4.2.1.9: how many CAs may stand between a CA and a leaf.

        Args:
            cas_below: How many would stand between this CA and a leaf.

        Raises:
            SigningRefused: PATH_LENGTH.
        """
        for between, limit in enumerate(self._path_lengths, start=cas_below):
            if limit is not None and between > limit:
                raise SigningRefused(
                    Refusal.PATH_LENGTH,
                    f"{describe_certificate(self.certificate)} has no room below: pathLenConstraint {limit} in its "
                    f"chain, and {between} CAs would stand between that CA and a leaf",
                )

    def check_permitted(self, names: Sequence[NormalizedName]) -> None:
        """RFC 5280 section 4.2.1.10: name constraints of this CA and of those in its chain.

        Raises:
            SigningRefused: NAME_NOT_PERMITTED.
        """
        for constraint in self._name_constraints:
            violation = constraints.first_violation(names, constraint)
            if violation is not None:
                raise SigningRefused(
                    Refusal.NAME_NOT_PERMITTED,
                    f"{violation.kind} {violation.value!r} is outside of the name constraints of "
                    f"{describe_certificate(self.certificate)} or of a CA above it",
                )


def check_public_key(key: PublicKey, *, ca: bool) -> None:
    """Whether verifiers take such a key in a leaf, or in a CA.

    Raises:
        SigningRefused: UNSUPPORTED_KEY.
    """
    try:
        describe(key)
    except InvalidKey as error:
        raise SigningRefused(Refusal.UNSUPPORTED_KEY, str(error)) from error
    if ca and not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise SigningRefused(Refusal.UNSUPPORTED_KEY, "a CA's key has to be ECDSA or RSA")


def signature_hash(key: PrivateKey) -> SignatureHash:
    """The hash that a CA's key signs with.

    Raises:
        SigningRefused: UNSUPPORTED_KEY.
    """
    public_key = key.public_key()
    check_public_key(public_key, ca=True)
    return _HASHES[public_key.key_size] if isinstance(public_key, ec.EllipticCurvePublicKey) else hashes.SHA256()


def interval(not_before: datetime, not_after: datetime) -> str:
    """A validity, for a message."""
    return f"{not_before.isoformat()} to {not_after.isoformat()}"


def _check_chain(certificate: x509.Certificate, path: tuple[x509.Certificate, ...]) -> None:
    if path[0] != certificate:
        raise SigningRefused(Refusal.BROKEN_CHAIN, f"the chain does not begin with {describe_certificate(certificate)}")
    position = first_break(path)
    if position is not None:
        raise SigningRefused(
            Refusal.BROKEN_CHAIN,
            f"{describe_certificate(path[position])} is not signed by "
            f"{describe_certificate(path[position + 1])}, which follows it in the chain",
        )


def _check_ca(certificate: x509.Certificate) -> x509.SubjectKeyIdentifier:
    """RFC 5280 sections 4.2.1.2, 4.2.1.3 and 4.2.1.9, as strict verifiers hold a CA to them; its key identifier."""
    try:
        extensions = certificate.extensions
        is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        signs = extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as error:
        raise SigningRefused(
            Refusal.NOT_AN_AUTHORITY,
            f"{describe_certificate(certificate)} has no {error.oid._name} extension; "  # noqa: SLF001 - the only name it has
            "a CA needs basicConstraints with CA:TRUE, keyUsage with keyCertSign, and subjectKeyIdentifier",
        ) from error
    if not is_ca or not signs:
        wanted = "keyUsage keyCertSign" if is_ca else "basicConstraints CA:TRUE"
        raise SigningRefused(
            Refusal.NOT_AN_AUTHORITY, f"{describe_certificate(certificate)} is no CA: it lacks {wanted}"
        )
    return identifier


def _name_constraints(path: tuple[x509.Certificate, ...]) -> Iterator[x509.NameConstraints]:
    for certificate in path:
        try:
            yield certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            continue


def _path_length(certificate: x509.Certificate) -> int | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    except x509.ExtensionNotFound:
        return None
