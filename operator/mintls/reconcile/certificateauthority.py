"""CertificateAuthority (``selfSigned``): a root made once for all, an intermediate replaced at half of its life."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mintls.api.v1alpha1.certificateauthority import (
    ROTATE_REQUESTED,
    AuthorityKey,
    CertificateAuthority,
    CertificateAuthorityStatus,
    Rotation,
)
from mintls.api.v1alpha1.keyspec import PrivateKey
from mintls.api.v1alpha1.meta import request_of
from mintls.core.durations import DurationError, parse_duration
from mintls.core.pki.certificate import InvalidCertificate, is_authority, key_fingerprint
from mintls.core.pki.credential import Credential, check_credential
from mintls.core.pki.errors import CredentialBroken
from mintls.core.pki.keys import KeySpec
from mintls.core.schedule import backoff
from mintls.reconcile import conditions as conds
from mintls.reconcile import rootrotation
from mintls.reconcile.allowednames import unreadable
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import COMPONENT, Contents, SecretView, Violation
from mintls.reconcile.distribution import distribution_of
from mintls.reconcile.formerkeys import FormerKey, former_after, former_keys
from mintls.reconcile.keyspec import key_problem, key_spec
from mintls.reconcile.reasons import Reason
from mintls.reconcile.rootrotation import NO_LEAVES, Leaves, Reach

AUTHORITY = "mintls.dev/authority"
"""Label of a Secret that says which authority's key it holds."""

_NAME_LIMIT = 64  # RFC 5280 appendix A.1, ub-common-name
_BACKDATE = timedelta(minutes=5)
_ASK_AGAIN = timedelta(minutes=1)
"""How often a Secret that blocks is read again: one that is restored by hand may lack the label that we watch."""


@dataclass(frozen=True, slots=True)
class KeySecret:
    """A Secret with a key pair of the authority, read whole."""

    name: str
    view: SecretView
    contents: Contents


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        authority: The object.
        root: The Secret with the root; ``None`` if there is none.
        intermediate: The Secret with the intermediate; ``None`` if there is none.
        root_name: Name of the root's Secret.
        namespace: Namespace of both.
        now: The time.
        next: The Secret with the next root; ``None`` if there is none.
        reach: How far the next root has come; ``None`` if nobody looked.
        leaves: The authority's leaves.
    """

    authority: CertificateAuthority
    root: KeySecret | None
    intermediate: KeySecret | None
    root_name: str
    namespace: str
    now: datetime
    next: KeySecret | None = None
    reach: Reach | None = None
    leaves: Leaves = NO_LEAVES

    @property
    def intermediate_name(self) -> str:
        """Name of the intermediate's Secret."""
        return self.root_name.removesuffix("-root") + "-intermediate"

    @property
    def next_name(self) -> str:
        """Name of the next root's Secret."""
        return f"{self.root_name}-next"


@dataclass(frozen=True, slots=True)
class Blocked:
    """The authority cannot sign before somebody acts."""

    violation: Violation


@dataclass(frozen=True, slots=True)
class CreateRoot:
    """Make a key and a self-signed root, and create its Secret; never overwrite one.

    ``why`` is for people: why there is to be another root; "" for the first.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    key: KeySpec
    why: str = ""


@dataclass(frozen=True, slots=True)
class DropNextRoot:
    """Delete the next root's Secret; ``aborted`` if it never took the root's place."""

    secret: KeySecret
    aborted: bool


@dataclass(frozen=True, slots=True)
class SwitchRoot:
    """Put the next root into the root's Secret, in one write."""

    order: rootrotation.Switch
    root: KeySecret
    next: KeySecret


@dataclass(frozen=True, slots=True)
class RetireRoot:
    """Take the certificate of the root before out of the root's Secret."""

    root: KeySecret


@dataclass(frozen=True, slots=True)
class CreateIntermediate:
    """Make a key and an intermediate signed by the root, and write its Secret.

    ``current`` is the one that still signs until then, if there is one; ``former`` are those that sign CRLs afterwards.
    """

    root: Credential
    common_name: str
    not_before: datetime
    not_after: datetime
    key: KeySpec
    replaced: SecretView | None
    current: "Keep | None"
    former: tuple[FormerKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Root and intermediate are there and good.

    Attributes:
        root: The root.
        intermediate: The intermediate.
        rotation: When the next intermediate is made; ``None`` if it could not live longer than this one.
        roots: Where the replacement of the root is.
        former: Intermediates of before that sign CRLs.
    """

    root: Credential
    intermediate: Credential
    rotation: datetime | None
    roots: rootrotation.Stay = rootrotation.NO_ROTATION
    former: tuple[FormerKey, ...] = ()


type Write = CreateRoot | CreateIntermediate | DropNextRoot | SwitchRoot | RetireRoot
type Decision = Blocked | Write | Keep


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What to say, and when to look again."""

    status: CertificateAuthorityStatus
    look_again: datetime | None = None
    announcement: Announcement | None = None


def decide(seen: Observed) -> Decision:
    """What to do now; after a ``Create...`` was carried out, observe and decide again."""
    unfit = _spec_unfit(seen.authority)
    if unfit:
        return Blocked(Violation(Reason.INVALID_SPEC, unfit))
    durations = _Durations.of(seen.authority)
    if seen.root is None:
        return _without_root(seen, durations)
    secrets = (seen.root, seen.intermediate, seen.next)
    problem = next((found for secret in secrets if secret and (found := _foreign(seen, secret))), None)
    if problem:
        return Blocked(problem)
    root = _read(seen.root)
    if isinstance(root, Violation):
        return Blocked(root)
    problem = _root_unusable(seen, seen.root, root)
    return Blocked(problem) if problem else _with_root(seen, seen.root, root, durations)


def _with_root(seen: Observed, secret: KeySecret, root: Credential, durations: "_Durations") -> Decision:
    following = _read(seen.next) if seen.next else None
    if seen.next and isinstance(following, Violation):
        return DropNextRoot(seen.next, aborted=True)  # it has signed nothing, and can be made again
    decision = rootrotation.decide(
        rootrotation.Observed(
            authority=seen.authority,
            root=root,
            view=secret.view,
            contents=secret.contents,
            next=following if isinstance(following, Credential) else None,
            reach=seen.reach,
            leaves=seen.leaves,
            now=seen.now,
        )
    )
    match decision:
        case rootrotation.Begin(why):
            return _new_root(seen, durations, why)
        case rootrotation.Drop(aborted) if seen.next:
            return DropNextRoot(seen.next, aborted)
        case rootrotation.Switch() if seen.next:
            return SwitchRoot(decision, secret, seen.next)
        case rootrotation.Retire():
            return RetireRoot(secret)
        case rootrotation.Stay():
            return _intermediate(seen, root, durations, decision)
    raise AssertionError("there is no next root, and something is to be done with it")


@dataclass(frozen=True, slots=True)
class _Durations:
    root: timedelta
    intermediate: timedelta

    @classmethod
    def of(cls, authority: CertificateAuthority) -> "_Durations":
        spec = authority.spec
        parse_duration(spec.policy.min_duration)
        parse_duration(spec.policy.max_duration)
        parse_duration(spec.policy.backdate)
        source = spec.own_ca
        return cls(parse_duration(source.root.duration), parse_duration(source.intermediate.duration))


def _spec_unfit(authority: CertificateAuthority) -> str:
    try:
        _Durations.of(authority)
        distribution_of(authority)
    except DurationError as invalid:
        return f"a duration in the spec cannot be read: {invalid}"
    except InvalidCertificate as invalid:
        return str(invalid)
    if names := unreadable(authority.spec.policy.allowed_names):
        return names
    unfit = _key_unfit(authority.spec.own_ca.private_key)
    return f"spec.selfSigned.{unfit}" if unfit else ""


def _key_unfit(private_key: PrivateKey) -> str:
    if private_key.algorithm == "Ed25519":
        return "privateKey: algorithm Ed25519: few verifiers take a CA with such a key; write ECDSA or RSA"
    return key_problem(private_key)


def _without_root(seen: Observed, durations: _Durations) -> Decision:
    lost = _lost(seen)
    if lost:
        return Blocked(
            Violation(
                Reason.KEY_LOST,
                f'Secret "{seen.root_name}" in namespace {seen.namespace} with {lost} is gone, '
                "and nothing is signed without it. Restore the Secret from a backup. To begin anew with another root, "
                "which ends the trust in every certificate of this authority, delete the CertificateAuthority and "
                f'Secret "{seen.intermediate_name}", and create the CertificateAuthority again',
            )
        )
    return _new_root(seen, durations, "")


def _new_root(seen: Observed, durations: _Durations, why: str) -> CreateRoot:
    start = seen.now.replace(microsecond=0)
    return CreateRoot(
        common_name=_common_name(seen.authority, "Root", start),
        not_before=start - _BACKDATE,
        not_after=start + durations.root,
        key=key_spec(seen.authority.spec.own_ca.private_key),
        why=why,
    )


def _lost(seen: Observed) -> str:
    """What is known of a root that was there; "" if there never was one.

    The status names its key. An object that was created again, or restored without its status, has none; then the
    intermediate that the root signed still tells that there was one.
    """
    recorded = _recorded(seen.authority)
    if recorded:
        return f"root key {recorded[:16]}..."
    ours = seen.intermediate is not None and _foreign(seen, seen.intermediate) is None
    return f'the root that signed the certificate in Secret "{seen.intermediate_name}"' if ours else ""


def _recorded(authority: CertificateAuthority) -> str:
    """Fingerprint of the root key that the authority is known by; "" before it has one."""
    return next((key.fingerprint for key in authority.status.keys if key.role == "active"), "")


def _foreign(seen: Observed, secret: KeySecret) -> Violation | None:
    """A Secret of that name without our mark is somebody else's: not used, not touched."""
    if secret.view.labels.get(AUTHORITY) == seen.authority.metadata.name:
        return None
    return Violation(
        Reason.SECRET_NOT_OWNED,
        f'Secret "{secret.name}" in namespace {seen.namespace} lacks the label '
        f"{AUTHORITY}={seen.authority.metadata.name}: if it holds this authority's key, add the label; "
        "if not, delete it or move it away",
    )


def _read(secret: KeySecret) -> Credential | Violation:
    data = secret.contents.data
    try:
        return check_credential(data.get("tls.crt", b""), data.get("tls.key", b""))
    except CredentialBroken as broken:
        return Violation(
            Reason.KEY_BROKEN,
            f'Secret "{secret.name}" cannot be used: {broken}. Restore it from a backup; nothing is signed meanwhile',
        )


def _root_unusable(seen: Observed, secret: KeySecret, root: Credential) -> Violation | None:
    recorded, found = _recorded(seen.authority), key_fingerprint(root.leaf.certificate)
    retiring = rootrotation.retiring_of(seen.authority, secret.view, secret.contents)
    # The status is written after the switch: until then it knows the root that the Secret names as the one before.
    if recorded and recorded not in {found, retiring.fingerprint if retiring else found}:
        return Violation(
            Reason.KEY_REPLACED,
            f'Secret "{seen.root_name}" holds the root key {found[:16]}..., but the authority is known by '
            f"{recorded[:16]}...: restore the right Secret from a backup; nothing is signed meanwhile",
        )
    if not is_authority(root.leaf.certificate):
        return Violation(
            Reason.KEY_BROKEN, f'Secret "{seen.root_name}" holds a certificate that is not a CA: restore the right one'
        )
    if seen.now >= root.leaf.not_after:
        return Violation(
            Reason.ROOT_EXPIRED,
            f'the root in Secret "{seen.root_name}" ended at {root.leaf.not_after:%Y-%m-%dT%H:%M:%SZ}, and with it '
            "every certificate of this authority. To begin anew with another root, delete the CertificateAuthority, "
            f'this Secret and "{seen.intermediate_name}", and create the CertificateAuthority again',
        )
    return None


def _intermediate(
    seen: Observed, root: Credential, durations: _Durations, roots: rootrotation.Stay
) -> CreateIntermediate | Keep:
    current = None
    trusted = (root.leaf.certificate, *((roots.retiring.root,) if roots.retiring else ()))
    if seen.intermediate is not None:
        found = _read(seen.intermediate)
        if not isinstance(found, Violation) and _good_intermediate(seen, root, found):
            # One that ends with the root would only be replaced by another that ends with the root.
            rotation = rotation_time(found) if found.leaf.not_after < root.leaf.not_after else None
            former = former_keys(seen.intermediate.contents, trusted, seen.now)
            current = Keep(root, found, rotation, roots, former)
            if rotation is None or seen.now < rotation:
                return current
    start = seen.now.replace(microsecond=0)
    return CreateIntermediate(
        root=root,
        common_name=_common_name(seen.authority, "Intermediate", start),
        not_before=max(start - _BACKDATE, root.leaf.not_before),
        not_after=min(start + durations.intermediate, root.leaf.not_after),
        key=key_spec(seen.authority.spec.own_ca.private_key),
        replaced=seen.intermediate.view if seen.intermediate else None,
        current=current,
        former=former_after(seen.intermediate.contents, trusted, seen.now) if seen.intermediate else (),
    )


def rotation_time(intermediate: Credential) -> datetime:
    """When the next intermediate is made: at half of its life.

    The other half is for its leaves, none of which outlives it, and for an operator that is away.
    """
    leaf = intermediate.leaf
    return (leaf.not_before + (leaf.not_after - leaf.not_before) / 2).replace(microsecond=0)


def _good_intermediate(seen: Observed, root: Credential, found: Credential) -> bool:
    certificate = found.leaf.certificate
    try:
        certificate.verify_directly_issued_by(root.leaf.certificate)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is replaced
        return False
    wanted = key_spec(seen.authority.spec.own_ca.private_key)
    return is_authority(certificate) and found.key == wanted and seen.now < found.leaf.not_after


def _common_name(authority: CertificateAuthority, what: str, start: datetime) -> str:
    """A name that says what it is and that no other key of ours has, so that openssl's output can be told apart."""
    tail = f" {what} {start:%Y%m%d%H%M%S}"
    return f"Mintls {authority.metadata.name}"[: _NAME_LIMIT - len(tail)] + tail


# --- the conclusion ---


def conclude(seen: Observed, decision: Blocked | Keep) -> Conclusion:
    """Status and next look, once nothing is left to create."""
    if isinstance(decision, Blocked):
        violation = decision.violation
        return Conclusion(
            _status(seen, seen.authority.status, conds.stalled(violation.reason, violation.message)),
            seen.now + _ASK_AGAIN,
            _warn_once(seen, violation),
        )
    looks = (decision.rotation or decision.root.leaf.not_after, decision.roots.look_again)
    return Conclusion(_good_status(seen, decision), min(look for look in looks if look))


def failed(seen: Observed, violation: Violation, attempt: int, current: Keep | None = None) -> Conclusion:
    """Status and next look after a write failed, with growing waits.

    Args:
        seen: What was observed.
        violation: What failed.
        attempt: How often in a row it failed before.
        current: Root and intermediate that sign meanwhile, if there are any.
    """
    again = seen.now + backoff(attempt + 1, seen.authority.metadata.uid)
    if current is not None:
        return Conclusion(
            _good_status(seen, current),
            again,
            Announcement(warning=True, reason=violation.reason, message=violation.message),
        )
    status = _status(seen, seen.authority.status, conds.waiting(violation.reason, violation.message))
    return Conclusion(status, again, _warn_once(seen, violation))


def _good_status(seen: Observed, kept: Keep) -> CertificateAuthorityStatus:
    root, intermediate = kept.root.leaf, kept.intermediate.leaf
    key = AuthorityKey(
        role="active",
        fingerprint=key_fingerprint(root.certificate),
        not_after=root.not_after,
        certificate=_pem(root.certificate),
        intermediate=_pem(intermediate.certificate),
        intermediate_not_after=intermediate.not_after,
    )
    following, retiring = kept.roots.next, kept.roots.retiring
    base = CertificateAuthorityStatus(
        keys=(
            key,
            *((_other_key("next", following),) if following else ()),
            *((_other_key("retiring", retiring.root),) if retiring else ()),
        ),
        next_rotation_time=kept.rotation,
        rotation=_rotation(kept.roots),
    )
    text = f"; root rotation: {kept.roots.message}" if kept.roots.phase else ""
    return _status(seen, base, conds.ready(Reason.AVAILABLE, f"root and intermediate are there and can sign{text}"))


def _other_key(role: Literal["next", "retiring"], root: x509.Certificate) -> AuthorityKey:
    return AuthorityKey(
        role=role,
        fingerprint=key_fingerprint(root),
        not_after=root.not_valid_after_utc,
        certificate=_pem(root),
    )


def _rotation(roots: rootrotation.Stay) -> Rotation | None:
    if not roots.phase:
        return None
    return Rotation(
        phase=roots.phase,
        message=roots.message,
        trusted_since=roots.trusted_since,
        switched_at=roots.retiring.since if roots.retiring else None,
        retire_at=roots.retire,
    )


def _status(
    seen: Observed, base: CertificateAuthorityStatus, findings: tuple[conds.Finding, ...]
) -> CertificateAuthorityStatus:
    meta = seen.authority.metadata
    return CertificateAuthorityStatus(
        observed_generation=meta.generation,
        conditions=conds.conditions(
            seen.authority.status.conditions, findings, generation=meta.generation, now=seen.now
        ),
        keys=base.keys,
        rotation=base.rotation,
        observed_rotate_request=_answered(seen, base),
        next_rotation_time=base.next_rotation_time,
    )


def _answered(seen: Observed, base: CertificateAuthorityStatus) -> str:
    """A request is answered by the rotation that is being prepared; one that comes later waits for its end."""
    if base.rotation is not None and base.rotation.phase == "Preparing":
        return request_of(seen.authority.metadata, ROTATE_REQUESTED)
    return seen.authority.status.observed_rotate_request


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def _warn_once(seen: Observed, violation: Violation) -> Announcement | None:
    before = conds.find(seen.authority.status.conditions, "Ready")
    if before is not None and before.reason == violation.reason:
        return None
    return Announcement(warning=True, reason=violation.reason, message=violation.message)


def secret_labels(authority: str) -> dict[str, str]:
    """Labels of the Secrets of an authority."""
    return {"app.kubernetes.io/managed-by": "mintls", COMPONENT: "authority", AUTHORITY: authority}
