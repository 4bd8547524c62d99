"""CertificateAuthority (``external``): a CA that runs elsewhere and is asked for each certificate.

What is decided here is what is said of whether it can be asked: its roots are in the object, and whether it answers was
tried a moment ago, in the way that the object names.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from mintls.api.v1alpha1.certificateauthority import (
    AuthorityKey,
    CertificateAuthority,
    CertificateAuthorityStatus,
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
from mintls.core.schedule import backoff
from mintls.reconcile import conditions as conds
from mintls.reconcile.allowednames import unreadable
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason

_ASK_AGAIN = timedelta(minutes=1)
"""How often it is asked whether it is still there, and no wait after a failure is longer."""

_BLIP = 1
"""So many failures in a row are not told of an authority that was well: a restart of the CA is no outage."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known before the CA is asked.

    Attributes:
        authority: The object.
        issuer_authority: Name of the authority that signs the token issuer's own certificate.
        failures: How often in a row the CA could not be asked before.
        now: The time.
    """

    authority: CertificateAuthority
    issuer_authority: str
    failures: int
    now: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """It can be asked.

    Attributes:
        roots: Its roots.
        asked: How it is asked, for people.
    """

    roots: tuple[x509.Certificate, ...]
    asked: str


@dataclass(frozen=True, slots=True)
class Unusable:
    """It cannot be asked at present.

    Attributes:
        violation: Why.
        passing: Whether it may pass by itself.
        roots: Its roots, if they can be read: certificates of it stay good.
    """

    violation: Violation
    passing: bool
    roots: tuple[x509.Certificate, ...] = ()


type Decision = Use | Unusable


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What to say, and when to look again."""

    status: CertificateAuthorityStatus
    look_again: datetime
    announcement: Announcement | None = None


def roots_of(authority: CertificateAuthority, now: datetime) -> tuple[x509.Certificate, ...] | Violation:
    """The roots of ``caBundle``, or what is wrong with it."""
    if authority.spec.external is None:
        raise AssertionError("only an authority with spec.external is looked at here")
    try:
        roots = tuple(dict.fromkeys(load_pem_chain(authority.spec.external.ca_bundle.encode())))
        problem = next(_root_problems(roots, now), "")
    except InvalidCertificate as error:
        problem = str(error)
    return Violation(Reason.INVALID_SPEC, f"spec.external.caBundle: {problem}") if problem else roots


def _root_problems(roots: Sequence[x509.Certificate], now: datetime) -> Iterator[str]:
    for root in roots:
        name = describe_certificate(root)
        if not is_authority(root):
            yield f"{name} is no CA (basicConstraints): put the CA's root there"
        if first_break([root, root]) is not None:
            yield f"{name} is not signed by itself: put the root there, not an intermediate"
    if all(now >= root.not_valid_after_utc for root in roots):
        yield "every root in it has ended: put the CA's present root there"


def first_problem(seen: Observed) -> Violation | None:
    """What keeps any CA from being asked at all."""
    return next(_problems(seen), None)


def _problems(seen: Observed) -> Iterator[Violation]:
    if names := unreadable(seen.authority.spec.policy.allowed_names):
        yield Violation(Reason.INVALID_SPEC, names)
    if seen.authority.metadata.name == seen.issuer_authority:
        yield Violation(
            Reason.INVALID_SPEC,
            "this authority signs the token issuer's own certificate, which a CA elsewhere cannot: leave spec.external "
            "out here, and make another CertificateAuthority with it",
        )


def wait(seen: Observed) -> timedelta:
    """How long to wait after one more failure."""
    return backoff(seen.failures + 1, seen.authority.metadata.uid, ceiling=_ASK_AGAIN)


def conclude(seen: Observed, decision: Decision) -> Conclusion:
    """Status, event and next look."""
    if isinstance(decision, Unusable):
        again = seen.now + (wait(seen) if decision.passing else _ASK_AGAIN)
        if is_blip(seen, decision):
            return Conclusion(seen.authority.status, again)
        violation = decision.violation
        findings = (conds.waiting if decision.passing else conds.stalled)(violation.reason, violation.message)
        keys = _keys(decision.roots) if decision.roots else seen.authority.status.keys
        return Conclusion(_status(seen, keys, findings), again, _warn_once(seen, violation))
    text = decision.asked
    findings = conds.ready(Reason.AVAILABLE, text)
    news = Announcement(warning=False, reason=Reason.AVAILABLE, message=text) if _was_not(seen, text) else None
    return Conclusion(_status(seen, _keys(decision.roots), findings), seen.now + _ASK_AGAIN, news)


def is_blip(seen: Observed, unusable: Unusable) -> bool:
    """Whether a failure is not to be told yet."""
    well = conds.holds(seen.authority.status.conditions, "Ready")
    current = seen.authority.status.observed_generation == seen.authority.metadata.generation
    return unusable.passing and well and current and seen.failures < _BLIP


def _was_not(seen: Observed, text: str) -> bool:
    before = conds.find(seen.authority.status.conditions, "Ready")
    return before is None or before.message != text


def _keys(roots: Sequence[x509.Certificate]) -> tuple[AuthorityKey, ...]:
    """Any of them may be signed under."""
    by_key = {key_fingerprint(root): root for root in roots}
    return tuple(
        AuthorityKey(
            role="active",
            fingerprint=fingerprint,
            not_after=root.not_valid_after_utc,
            certificate=encode_pem(root).decode(),
        )
        for fingerprint, root in by_key.items()
    )


def _status(
    seen: Observed, keys: tuple[AuthorityKey, ...], findings: tuple[conds.Finding, ...]
) -> CertificateAuthorityStatus:
    meta, before = seen.authority.metadata, seen.authority.status
    return CertificateAuthorityStatus(
        observed_generation=meta.generation,
        conditions=conds.conditions(before.conditions, findings, generation=meta.generation, now=seen.now),
        keys=keys,
        observed_rotate_request=before.observed_rotate_request,
    )


def _warn_once(seen: Observed, violation: Violation) -> Announcement | None:
    before = conds.find(seen.authority.status.conditions, "Ready")
    if before is not None and before.reason == violation.reason and before.message == violation.message:
        return None
    return Announcement(warning=True, reason=violation.reason, message=violation.message)
