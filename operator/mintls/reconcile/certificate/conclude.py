"""What to say of a ClientCertificate after something was decided and done about it."""

from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from mintls.api.v1alpha1.clientcertificate import (
    REKEY_REQUESTED,
    RENEW_REQUESTED,
    ClientCertificateStatus,
)
from mintls.api.v1alpha1.meta import Condition, request_of
from mintls.core.pki.certificate import CertificateFacts
from mintls.core.schedule import backoff
from mintls.reconcile import conditions as conds
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.certificate.values import (
    Blocked,
    Conclusion,
    Decision,
    Failed,
    Issue,
    Keep,
    Observed,
    Outcome,
    Postponed,
    Rewrite,
    Written,
)
from mintls.reconcile.conditions import Finding
from mintls.reconcile.credential import Validity, Violation, validity_of
from mintls.reconcile.keystores import password_problem, wanted_keystores
from mintls.reconcile.reasons import Reason

_ASK_AGAIN = timedelta(minutes=1)
"""How often somebody else's Secret is asked for: nobody tells us when it is gone."""


def conclude(seen: Observed, decision: Decision, outcome: Outcome) -> Conclusion:
    """Status, next look and event, from what was decided and what became of it."""
    match decision, outcome:
        case Blocked(), _:
            return _conclude_blocked(seen, decision)
        case Postponed(), _:
            return _conclude_postponed(seen, decision)
        case ((Issue() | Rewrite()), Failed(violation)):
            return _conclude_failed(seen, decision, violation)
        case ((Issue() | Rewrite()), Written()):
            return _conclude_written(seen, decision, outcome)
        case Keep(), _:
            return _conclude_kept(seen, decision)
    raise ValueError(f"{type(decision).__name__} cannot have come to {type(outcome).__name__}")


def conclude_unread(seen: Observed, violation: Violation) -> Conclusion:
    """The Secret could not be read: whether it is right is not known, unless it is the version that was found so."""
    current = _remembered(seen)
    if current and seen.secret and seen.secret.resource_version == seen.whole_version and seen.now < current.not_after:
        status = _status(seen, _ready_but(seen, current, violation))
        return Conclusion(status, None, _warn_of_renewal(seen, current, violation))
    findings = (*conds.waiting(violation.reason, violation.message), _issuing(violation))
    return Conclusion(_status(seen, findings), None, _warn_once(seen, violation, "Ready"))


def _remembered(seen: Observed) -> Validity | None:
    status = seen.certificate.status
    if status.not_before is None or status.not_after is None or status.renewal_time is None:
        return None
    return Validity(status.not_before, status.not_after, status.renewal_time)


def _conclude_blocked(seen: Observed, blocked: Blocked) -> Conclusion:
    violation, current = blocked.violation, blocked.current
    if current and seen.now < current.not_after:
        status = _idle_status(seen, _ready_but(seen, current, violation))
        return Conclusion(status, _next_mark(seen, current), _warn_of_renewal(seen, current, violation))
    findings = (conds.stalled if blocked.stalled else conds.waiting)(violation.reason, violation.message)
    again = seen.now + _ASK_AGAIN if violation.reason == Reason.SECRET_NOT_OWNED else None
    return Conclusion(_idle_status(seen, findings), again, _warn_once(seen, violation, "Ready"))


def _conclude_postponed(seen: Observed, postponed: Postponed) -> Conclusion:
    """The failure was said already; but what waited for a renewal then may be worse now."""
    until, violation, current = postponed.until, postponed.violation, postponed.current
    if current and seen.now < current.not_after:
        return Conclusion(seen.certificate.status, min(until, current.not_after))
    if not conds.holds(seen.certificate.status.conditions, "Ready"):
        return Conclusion(seen.certificate.status, until)
    now = Violation(violation.reason, f"{violation.message}; the next attempt is at {_time(until)}")
    status = _status(seen, (*conds.waiting(now.reason, now.message), _issuing(now)))
    return Conclusion(status, until, _warn_once(seen, now, "Ready"))


def _conclude_failed(seen: Observed, decision: Issue | Rewrite, violation: Violation) -> Conclusion:
    failures = seen.certificate.status.failed_attempts + 1
    again = (seen.now + backoff(failures, seen.certificate.metadata.uid) + timedelta(seconds=1)).replace(microsecond=0)
    current = decision.current if isinstance(decision, Issue) else None
    still_good = current is not None and seen.now < current.not_after
    findings = (
        _ready_but(seen, current, violation)
        if current and still_good
        else (*conds.waiting(violation.reason, violation.message), _issuing(violation))
    )
    status = msgspec.structs.replace(
        _status(seen, findings),
        failed_attempts=failures,
        last_failure_time=seen.now.replace(microsecond=0),
        next_attempt_time=again,
    )
    if current and still_good:
        return Conclusion(status, min(again, _next_mark(seen, current)), _warn_of_renewal(seen, current, violation))
    return Conclusion(status, again, _warn_once(seen, violation, "Issuing"))


def _conclude_written(seen: Observed, decision: Issue | Rewrite, written: Written) -> Conclusion:
    issued = isinstance(decision, Issue)
    validity = validity_of(written.leaf, decision.wanted, seen.certificate.metadata.uid)
    status = _good_status(
        seen, written.leaf, validity, written.resource_version, decision.revision, chain=written.chain
    )
    done = _deed(decision)
    announcement = Announcement(
        warning=False,
        reason=Reason.ISSUED if issued else Reason.SECRET_REPAIRED,
        message=f'{done} into Secret "{seen.certificate.spec.secret_name}", because {decision.violation.message}; '
        f"serial {written.leaf.serial:x}, valid until {_time(validity.not_after)}",
    )
    reissue = decision.reissue if isinstance(decision, Rewrite) else None
    return Conclusion(status, _next_look(validity, reissue), _warn_of_keystores(seen) or announcement)


def _next_look(validity: Validity, reissue: datetime | None) -> datetime:
    return min(validity.renewal_time, reissue) if reissue else validity.renewal_time


def _deed(done: Issue | Rewrite) -> str:
    if isinstance(done, Rewrite):
        return "wrote the Secret again with the same certificate"
    return "issued a certificate for the same key" if done.kept_key is not None else "issued a certificate"


def _conclude_kept(seen: Observed, kept: Keep) -> Conclusion:
    if kept.leaf is not None:
        status = _good_status(
            seen,
            kept.leaf,
            kept.validity,
            kept.secret.resource_version,
            kept.revision,
            chain=seen.contents.data["tls.crt"] if seen.contents else b"",
        )
        if _same_but_version(status, seen.certificate.status):
            # A foreign label on the Secret changes its version and nothing that matters: remembered, not written.
            return Conclusion(seen.certificate.status, _next_look(kept.validity, kept.reissue))
        return Conclusion(status, _next_look(kept.validity, kept.reissue), _warn_of_keystores(seen))
    status = msgspec.structs.replace(
        _status(seen, _issued(seen, kept.validity)),
        renewal_time=kept.validity.renewal_time,
        failed_attempts=0,
        last_failure_time=None,
        next_attempt_time=None,
    )
    return Conclusion(status, _next_look(kept.validity, kept.reissue))


def _same_but_version(new: ClientCertificateStatus, old: ClientCertificateStatus) -> bool:
    return msgspec.structs.replace(new, secret_resource_version=old.secret_resource_version) == old


def _good_status(
    seen: Observed, leaf: CertificateFacts, validity: Validity, version: str, revision: int, *, chain: bytes
) -> ClientCertificateStatus:
    return ClientCertificateStatus(
        observed_generation=seen.certificate.metadata.generation,
        observed_renew_request=request_of(seen.certificate.metadata, RENEW_REQUESTED),
        observed_rekey_request=request_of(seen.certificate.metadata, REKEY_REQUESTED),
        conditions=_conditions(seen, _issued(seen, validity)),
        serial_number=f"{leaf.serial:x}",
        not_before=validity.not_before,
        not_after=validity.not_after,
        renewal_time=validity.renewal_time,
        thumbprint=leaf.thumbprint,
        key_fingerprint=leaf.spki_sha256.hex(),
        revision=revision,
        secret_resource_version=version,
        # Whoever asked for it may not be able to read Secrets; a certificate is none.
        certificate=chain.decode() if seen.certificate.spec.request else "",
    )


def _issued(seen: Observed, validity: Validity) -> tuple[Finding, ...]:
    lacking = _keystores_lacking(seen)
    if lacking:
        return _without_keystores(lacking)
    message = f'Secret "{seen.certificate.spec.secret_name}" has a certificate until {_time(validity.not_after)}'
    return conds.ready(Reason.ISSUED, message)


def _without_keystores(lacking: Violation) -> tuple[Finding, ...]:
    """A password may come a moment later, as a client may; one that is there and unusable needs somebody."""
    missing = lacking.reason == Reason.PASSWORD_MISSING
    return (conds.waiting if missing else conds.stalled)(lacking.reason, lacking.message)


def _keystores_lacking(seen: Observed) -> Violation | None:
    """Why not all keystores could be made; everything else of the Secret does not wait for that."""
    problem = password_problem(wanted_keystores(seen.certificate.spec), seen.passwords or {})
    if seen.passwords is None or problem is None:
        return None
    secret = seen.certificate.spec.secret_name
    message = f'Secret "{secret}" lacks a keystore, and has all else: {problem.message}'
    return Violation(problem.reason, message)


def _warn_of_keystores(seen: Observed) -> Announcement | None:
    lacking = _keystores_lacking(seen)
    return _warn_once(seen, lacking, "Ready") if lacking else None


def _ready_but(seen: Observed, current: Validity, violation: Violation) -> tuple[Finding, ...]:
    """Still good, but its renewal does not get on."""
    lacking = _keystores_lacking(seen)
    message = f"the certificate is good until {_time(current.not_after)}, but its renewal waits: {violation.message}"
    ready = _without_keystores(lacking) if lacking else conds.ready(Reason.ISSUED, message)
    return (*ready, _issuing(_as_urgent(seen, current, violation)))


def _as_urgent(seen: Observed, current: Validity, violation: Violation) -> Violation:
    """The same in other words when the end is near, so that it is told once more."""
    if not _ends_soon(seen, current):
        return violation
    return Violation(violation.reason, f"the certificate ends at {_time(current.not_after)}: {violation.message}")


def _ends_soon(seen: Observed, current: Validity) -> bool:
    return seen.now >= _half_time(current)


def _half_time(current: Validity) -> datetime:
    """When half of the time for a renewal is over: what has failed until then may well go on failing."""
    return current.renewal_time + (current.not_after - current.renewal_time) / 2


def _next_mark(seen: Observed, current: Validity) -> datetime:
    """When there is something else to say of a certificate whose renewal waits."""
    return current.not_after if _ends_soon(seen, current) else _half_time(current)


def _warn_of_renewal(seen: Observed, current: Validity, violation: Violation) -> Announcement | None:
    """An event when the renewal begins to wait, and a warning when the certificate ends soon."""
    announcement = _warn_once(seen, _as_urgent(seen, current, violation), "Issuing")
    if announcement is None:
        return None
    return replace(announcement, warning=_ends_soon(seen, current))


def _issuing(violation: Violation) -> Finding:
    return Finding("Issuing", status=True, reason=violation.reason, message=violation.message)


def _status(seen: Observed, findings: tuple[Finding, ...]) -> ClientCertificateStatus:
    return msgspec.structs.replace(
        seen.certificate.status,
        observed_generation=seen.certificate.metadata.generation,
        observed_renew_request=request_of(seen.certificate.metadata, RENEW_REQUESTED),
        observed_rekey_request=request_of(seen.certificate.metadata, REKEY_REQUESTED),
        conditions=_conditions(seen, findings),
    )


def _idle_status(seen: Observed, findings: tuple[Finding, ...]) -> ClientCertificateStatus:
    """Of a certificate that nothing is tried for; what keeps it may end at any time, and then it is tried at once."""
    return msgspec.structs.replace(_status(seen, findings), next_attempt_time=None)


def _conditions(seen: Observed, findings: tuple[Finding, ...]) -> tuple[Condition, ...]:
    return conds.conditions(
        seen.certificate.status.conditions,
        findings,
        generation=seen.certificate.metadata.generation,
        now=seen.now,
    )


def _warn_once(seen: Observed, violation: Violation, type_: str) -> Announcement | None:
    """An event when the condition begins to say this, not each time that it is seen again."""
    before = conds.find(seen.certificate.status.conditions, type_)
    if before is not None and before.reason == violation.reason and before.message == violation.message:
        return None
    return Announcement(warning=True, reason=violation.reason, message=violation.message)


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
