"""CertificateAuthority (``secretRef``): a CA that somebody else made and keeps, such as cert-manager or step-ca.

The Secret is read and never written. It has ``tls.crt`` (the CA that signs first, then each one's issuer), ``tls.key``,
and ``ca.crt``: the root, and any further roots that are to be trusted, before a change or after one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from mintls.api.v1alpha1.certificateauthority import (
    AuthorityKey,
    CertificateAuthority,
    CertificateAuthorityStatus,
    Rotation,
)
from mintls.core.pki.certificate import (
    InvalidCertificate,
    describe_certificate,
    encode_pem,
    first_break,
    is_authority,
    key_fingerprint,
    load_pem_chain,
)
from mintls.core.pki.credential import check_credential
from mintls.core.pki.errors import CredentialBroken, SigningRefused
from mintls.core.pki.keys import load_private_key
from mintls.core.pki.signing import CertificateAuthorityKey
from mintls.reconcile import conditions as conds
from mintls.reconcile.allowednames import unreadable
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import Contents, Violation, bundle_digest
from mintls.reconcile.reasons import Reason
from mintls.reconcile.rootrotation import Leaves

_PROGRESS = timedelta(seconds=5)
"""How often it is told how far the reissuing has come."""
_ASK_AGAIN = timedelta(minutes=1)
"""How often the Secret is read: it is somebody else's, and only one with our label is watched."""

_BROKEN_HASHES = (hashes.MD5, hashes.SHA1)


@dataclass(frozen=True, slots=True)
class Supplied:
    """A CA that can sign.

    Attributes:
        signer: The CA that signs leaves.
        root: The root above it; itself, if it is one.
        trusted: All roots of ``ca.crt``.
    """

    signer: CertificateAuthorityKey
    root: x509.Certificate
    trusted: tuple[x509.Certificate, ...]

    @property
    def fingerprint(self) -> str:
        """Another one as soon as another key signs, whatever the CAs are called: then leaves are issued anew."""
        keys = (key_fingerprint(self.root), key_fingerprint(self.signer.certificate))
        return keys[0] if keys[0] == keys[1] else bundle_digest(" ".join(keys))


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        authority: The object.
        secret: Namespace and name of the Secret.
        contents: Its data; ``None`` if there is no such Secret.
        leaves: The authority's leaves; ``of_others`` are those that are not of ``fingerprint_of(contents)``.
        now: The time.
    """

    authority: CertificateAuthority
    secret: str
    contents: Contents | None
    leaves: Leaves
    now: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """Sign with it.

    Attributes:
        supplied: The CA.
        retiring: Roots that are in the Secret no more, and that leaves of before still need.
        retire: Until when they are trusted.
    """

    supplied: Supplied
    retiring: tuple[x509.Certificate, ...] = ()
    retire: datetime | None = None

    @property
    def also_trusted(self) -> tuple[x509.Certificate, ...]:
        """The roots beside the one that is signed under."""
        others = (*self.supplied.trusted, *self.retiring)
        return tuple(root for root in others if root != self.supplied.root)


type Decision = Violation | Use


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What to say, and when to look again."""

    status: CertificateAuthorityStatus
    look_again: datetime
    announcement: Announcement | None = field(default=None)


def decide(seen: Observed) -> Decision:
    """Whether the Secret holds a CA that can sign, or what is wrong with it."""
    if names := unreadable(seen.authority.spec.policy.allowed_names):
        return Violation(Reason.INVALID_SPEC, names)
    if seen.contents is None:
        return Violation(
            Reason.SECRET_MISSING,
            f"there is no Secret {seen.secret}: create it with tls.crt, tls.key and ca.crt, or correct "
            "spec.secretRef.name",
        )
    try:
        supplied = _read(seen.contents)
    except (CredentialBroken, InvalidCertificate, SigningRefused) as broken:
        return Violation(Reason.KEY_BROKEN, f"Secret {seen.secret} cannot be used: {broken}")
    problem = next(_problems(supplied, seen.now), None)
    if problem:
        return Violation(problem.reason, f"Secret {seen.secret} cannot be used: {problem.message}")
    return _with_retiring(seen, supplied)


def fingerprint_of(contents: Contents | None) -> str:
    """By which the leaves of the CA in a Secret are known; "" if there is none that could be used."""
    try:
        return _read(contents).fingerprint if contents else ""
    except (CredentialBroken, InvalidCertificate, SigningRefused):
        return ""


def _read(contents: Contents) -> Supplied:
    """The CA of a Secret.

    Raises:
        CredentialBroken: ``tls.crt`` and ``tls.key`` are no credential.
        InvalidCertificate: ``ca.crt`` has no root for it, or something that is no CA; or a signature is too weak.
        SigningRefused: It is no CA that could sign leaves.
    """
    data = contents.data
    _refuse_weak_signatures(data.get("tls.crt", b""))
    credential = check_credential(data.get("tls.crt", b""), data.get("tls.key", b""))
    certificates = (credential.leaf.certificate, *credential.chain)
    roots = _roots(data.get("ca.crt", b""))
    top = certificates[-1]
    if first_break([top, top]) is None:
        root, chain = top, certificates[:-1]
    else:
        root, chain = _root_of(top, roots), certificates
    signer = CertificateAuthorityKey(certificates[0], load_private_key(data["tls.key"]), chain)
    signer.check_path_length(cas_below=0)
    return Supplied(signer, root, roots or (root,))


def _refuse_weak_signatures(pem: bytes) -> None:
    """First of all: to whoever verifies, ours included, such a signature is none, and the message would be another."""
    for certificate in _parsed("tls.crt", pem):
        algorithm = certificate.signature_hash_algorithm
        # A root is trusted as it is; what it signed of itself convinces nobody.
        if isinstance(algorithm, _BROKEN_HASHES) and certificate.subject != certificate.issuer:
            name = describe_certificate(certificate)
            raise InvalidCertificate(
                f"{name} is signed with {algorithm.name.upper()}, which verifiers refuse: renew it"
            )


def _parsed(file: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return load_pem_chain(pem)
    except InvalidCertificate as error:
        raise InvalidCertificate(f"{file}: {error}") from error


def _roots(pem: bytes) -> tuple[x509.Certificate, ...]:
    if not pem.strip():
        return ()
    roots = _parsed("ca.crt", pem)
    for root in roots:
        if not is_authority(root):
            raise InvalidCertificate(f"ca.crt: {describe_certificate(root)} is no CA (basicConstraints): take it out")
    return roots


def _root_of(top: x509.Certificate, roots: tuple[x509.Certificate, ...]) -> x509.Certificate:
    for root in roots:
        if first_break([top, root]) is None:
            return root
    found = f"none of its {len(roots)} certificates signed" if roots else "it is empty, and nothing there signed"
    raise InvalidCertificate(
        f"ca.crt: {found} the last certificate of tls.crt, {describe_certificate(top)}: put its root into ca.crt"
    )


def _problems(supplied: Supplied, now: datetime) -> Iterator[Violation]:
    chain = supplied.signer.chain
    for certificate in dict.fromkeys((supplied.signer.certificate, *chain, supplied.root)):
        name = describe_certificate(certificate)
        if now < certificate.not_valid_before_utc:
            begin = f"{certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}"
            yield Violation(Reason.NOT_YET_VALID, f"{name} is valid from {begin} on: compare the clocks")
        if now >= certificate.not_valid_after_utc:
            end = f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
            yield Violation(Reason.EXPIRED, f"{name} ended at {end}: put a renewed CA into the Secret")
    room = supplied.root.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length
    if room is not None and room < len(chain):
        yield Violation(
            Reason.KEY_BROKEN,
            f"{describe_certificate(supplied.root)} has pathLenConstraint {room}, and {len(chain)} CAs below it",
        )


def _with_retiring(seen: Observed, supplied: Supplied) -> Use:
    """Roots that the Secret does not have any more stay trusted until the last leaf of them has ended."""
    current = {key_fingerprint(root) for root in (*supplied.trusted, supplied.root)}
    gone = [key for key in seen.authority.status.keys if key.role != "next" and key.fingerprint not in current]
    if not gone:
        return Use(supplied)
    retire = _retire_time(seen, gone)
    if seen.now >= retire:
        return Use(supplied)
    return Use(supplied, tuple(_certificates(gone)), retire)


def _retire_time(seen: Observed, gone: list[AuthorityKey]) -> datetime:
    """When the last leaf of these roots has ended: known since the one that signed last was replaced."""
    rotation = seen.authority.status.rotation
    known = rotation.retire_at if rotation else None
    if known is not None and not any(key.role == "active" for key in gone):
        return known
    last = (seen.leaves.last_end or seen.now).replace(microsecond=0) + timedelta(seconds=1)
    return max(known or last, last)


def _certificates(keys: list[AuthorityKey]) -> Iterator[x509.Certificate]:
    for key in keys:
        try:
            yield load_pem_chain(key.certificate.encode())[0]
        except InvalidCertificate:
            continue  # somebody's hand in the status


def conclude(seen: Observed, decision: Decision) -> Conclusion:
    """Status, event and next look."""
    again = seen.now + _ASK_AGAIN
    if isinstance(decision, Violation):
        findings = conds.stalled(decision.reason, decision.message)
        return Conclusion(_status(seen, seen.authority.status, findings), again, _warn_once(seen, decision))
    signer = decision.supplied.signer
    ends = f"{signer.not_after:%Y-%m-%dT%H:%M:%SZ}"
    text = f"signs with {describe_certificate(signer.certificate)} of Secret {seen.secret}, until {ends}"
    base = CertificateAuthorityStatus(keys=tuple(_keys(decision)), rotation=_rotation(seen, decision))
    if base.rotation and base.rotation.phase == "Reissuing":
        again = seen.now + _PROGRESS
    status = _status(seen, base, conds.ready(Reason.AVAILABLE, text))
    return Conclusion(status, min(again, decision.retire or again), _news(seen, decision))


def _keys(use: Use) -> Iterator[AuthorityKey]:
    supplied = use.supplied
    chain = supplied.signer.chain
    yield AuthorityKey(
        role="active",
        fingerprint=key_fingerprint(supplied.root),
        not_after=supplied.root.not_valid_after_utc,
        certificate=encode_pem(supplied.root).decode(),
        intermediate=encode_pem(*chain).decode() if chain else "",
        intermediate_not_after=supplied.signer.not_after if chain else None,
    )
    seen = {key_fingerprint(supplied.root)}
    for role, roots in (("next", supplied.trusted), ("retiring", use.retiring)):
        for root in roots:
            fingerprint = key_fingerprint(root)
            if fingerprint in seen:
                continue
            seen.add(fingerprint)
            yield AuthorityKey(
                role="next" if role == "next" else "retiring",
                fingerprint=fingerprint,
                not_after=root.not_valid_after_utc,
                certificate=encode_pem(root).decode(),
            )


def _rotation(seen: Observed, use: Use) -> Rotation | None:
    if not use.retiring:
        return None
    before = seen.authority.status.rotation
    behind = seen.leaves.of_others
    count = f"{seen.leaves.total - behind} of {seen.leaves.total} certificates were issued under the new root"
    return Rotation(
        phase="Reissuing" if behind else "Retiring",
        message=count if behind else f"the root before is trusted until {use.retire:%Y-%m-%dT%H:%M:%SZ}",
        switched_at=(before.switched_at if before else None) or seen.now.replace(microsecond=0),
        retire_at=use.retire,
    )


def _news(seen: Observed, use: Use) -> Announcement | None:
    before = next((key for key in seen.authority.status.keys if key.role == "active"), None)
    now = next(_keys(use))
    if before is not None and (before.fingerprint, before.intermediate) == (now.fingerprint, now.intermediate):
        return None
    signing = describe_certificate(use.supplied.signer.certificate)
    return Announcement(
        warning=False, reason=Reason.AVAILABLE, message=f"signs with {signing} of Secret {seen.secret} from now on"
    )


def _status(
    seen: Observed, base: CertificateAuthorityStatus, findings: tuple[conds.Finding, ...]
) -> CertificateAuthorityStatus:
    meta, before = seen.authority.metadata, seen.authority.status
    return CertificateAuthorityStatus(
        observed_generation=meta.generation,
        conditions=conds.conditions(before.conditions, findings, generation=meta.generation, now=seen.now),
        keys=base.keys,
        rotation=base.rotation,
        observed_rotate_request=before.observed_rotate_request,
    )


def _warn_once(seen: Observed, violation: Violation) -> Announcement | None:
    before = conds.find(seen.authority.status.conditions, "Ready")
    if before is not None and before.reason == violation.reason and before.message == violation.message:
        return None
    return Announcement(warning=True, reason=violation.reason, message=violation.message)
