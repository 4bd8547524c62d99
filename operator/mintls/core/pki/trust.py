"""Trust: whether a leaf leads to one of the CAs that a client pins, by signatures and keys, never by names."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.errors import PathInvalid, PathProblem

__all__ = ["Path", "PathInvalid", "PathProblem", "TrustAnchors", "render_bundle", "sorted_bundle", "validate_path"]

# The WebPKI's rules, but: a client may be named by its subject alone, which a web server may not, and whether its usage
# fits is checked here first, for an error that says so.
_POLICY = PolicyBuilder().extension_policies(
    ca_policy=ExtensionPolicy.webpki_defaults_ca(),
    ee_policy=ExtensionPolicy.webpki_defaults_ee()
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, None),
)


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """The CAs that may vouch for a client; make it once and keep it. Equal if the certificates are the same ones.

    Attributes:
        roots: The anchors. An intermediate may be one, too: then no path needs to go beyond it.
        intermediates: CA certificates that help to find a path when a client does not send them. Not trusted as such.
        accountable: Whether every leaf of them that counts was issued for an object, and says for which.
    """

    roots: tuple[x509.Certificate, ...] = field(compare=False)
    intermediates: tuple[x509.Certificate, ...] = field(default=(), compare=False)
    accountable: bool = False

    fingerprints: tuple[frozenset[bytes], frozenset[bytes]] = field(init=False, repr=False)
    _policy: PolicyBuilder | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fingerprints = _fingerprints(self.roots), _fingerprints(self.intermediates)
        object.__setattr__(self, "fingerprints", fingerprints)
        # An empty Store is an error of its own; without anchors nothing is trusted, which is no error.
        object.__setattr__(self, "_policy", _POLICY.store(Store(list(self.roots))) if self.roots else None)

    def find_chain(
        self, leaf: x509.Certificate, presented: Sequence[x509.Certificate], at: datetime
    ) -> tuple[x509.Certificate, ...]:
        """Leaf, intermediates and anchor of a path that holds at a time.

        Raises:
            VerificationError: When there is none.
        """
        if self._policy is None:
            raise VerificationError("there are no trust anchors")
        verifier = self._policy.time(at).build_client_verifier()
        return tuple(verifier.verify(leaf, [*presented, *self.intermediates]).chain)


@dataclass(frozen=True, slots=True)
class Path:
    """A path that holds.

    Attributes:
        chain: Leaf first, the anchor last.
        not_before: When all of it has begun to be valid: the latest notBefore, aware UTC.
        not_after: When the first of it ends: the earliest notAfter, aware UTC, inclusive.
        accountable: Whether the leaf has to say for which object it was issued.
    """

    chain: tuple[x509.Certificate, ...]
    not_before: datetime
    not_after: datetime
    accountable: bool = False


def validate_path(
    leaf: x509.Certificate, presented: Sequence[x509.Certificate], anchors: TrustAnchors, now: datetime
) -> Path:
    """Path validation of a client's certificate (RFC 5280 section 6).

    Args:
        leaf: The certificate whose key the client proved.
        presented: Further certificates that it sent, in any order, trusted for nothing.
        anchors: The only CAs that count.
        now: Aware UTC.

    Returns:
        The path and the time in which it holds: within that time it need not be validated again.

    Raises:
        PathInvalid: EXPIRED, NOT_YET_VALID, NOT_A_LEAF, WRONG_USAGE or UNTRUSTED.
    """
    _check_time(leaf, now)
    _check_leaf(leaf)
    try:
        chain = anchors.find_chain(leaf, presented, now)
    except (VerificationError, ValueError) as error:
        raise _path_problem(leaf, presented, anchors, error) from error
    return Path(
        chain=chain,
        not_before=max(certificate.not_valid_before_utc for certificate in chain),
        not_after=min(certificate.not_valid_after_utc for certificate in chain),
        accountable=anchors.accountable,
    )


def render_bundle(certificates: Iterable[x509.Certificate]) -> str:
    """A trust bundle in PEM: each certificate once, ordered by SHA-256 fingerprint: equal sets render equally."""
    return encode_pem(*sorted_bundle(certificates)).decode()


def sorted_bundle(certificates: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """The certificates of a trust bundle: each once, ordered by SHA-256 fingerprint."""
    unique = {certificate.fingerprint(hashes.SHA256()): certificate for certificate in certificates}
    return tuple(certificate for _, certificate in sorted(unique.items()))


def _fingerprints(certificates: Iterable[x509.Certificate]) -> frozenset[bytes]:
    return frozenset(certificate.fingerprint(hashes.SHA256()) for certificate in certificates)


def _check_time(leaf: x509.Certificate, now: datetime) -> None:
    if now < leaf.not_valid_before_utc:
        begin = leaf.not_valid_before_utc.isoformat()
        raise PathInvalid(PathProblem.NOT_YET_VALID, f"the certificate is valid from {begin} on; check the clocks")
    if now > leaf.not_valid_after_utc:
        end = leaf.not_valid_after_utc.isoformat()
        raise PathInvalid(PathProblem.EXPIRED, f"the certificate ended at {end}; present a renewed one")


def _check_leaf(leaf: x509.Certificate) -> None:
    try:
        extensions = leaf.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise PathInvalid(PathProblem.UNTRUSTED, f"the certificate's extensions cannot be read: {error}") from error
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise PathInvalid(PathProblem.NOT_A_LEAF, "the certificate is a CA's; present an end-entity one")
            case x509.ExtendedKeyUsage() as usage if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
                raise PathInvalid(
                    PathProblem.WRONG_USAGE,
                    "the certificate's extended key usage lacks clientAuth; present one with it",
                )


def _path_problem(
    leaf: x509.Certificate, presented: Sequence[x509.Certificate], anchors: TrustAnchors, cause: Exception
) -> PathInvalid:
    """Whether there was a path when the leaf began: then a CA in it has expired since."""
    try:
        anchors.find_chain(leaf, presented, leaf.not_valid_before_utc)
    except (VerificationError, ValueError):
        return PathInvalid(PathProblem.UNTRUSTED, f"no path from the certificate to a trusted CA: {cause}")
    return PathInvalid(PathProblem.EXPIRED, "a CA above the certificate has expired; present one of a renewed CA")
