"""What to do about a ClientCertificate now."""

from datetime import datetime

from mintls.api.v1alpha1.clientcertificate import REKEY_REQUESTED, RENEW_REQUESTED, SecretTemplate
from mintls.api.v1alpha1.meta import request_of
from mintls.core.durations import parse_duration, parse_renew_before
from mintls.core.oauth.accounting import CLIENT_CERTIFICATE
from mintls.core.pki.credential import Credential
from mintls.core.pki.errors import InvalidKey
from mintls.core.pki.keys import PrivateKey, describe, key_fingerprint, key_fits, load_private_key
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.core.pki.origin import Origin, origin_subject
from mintls.core.pki.request import read_request
from mintls.reconcile import conditions as conds
from mintls.reconcile import policy
from mintls.reconcile.allowednames import further_names
from mintls.reconcile.certificate.foreignwriter import pause
from mintls.reconcile.certificate.obstacles import first_obstacle, is_ours
from mintls.reconcile.certificate.values import Assessment, Blocked, Decision, Issue, Keep, Observed, Postponed, Rewrite
from mintls.reconcile.credential import (
    Situation,
    Validity,
    Violation,
    Wanted,
    issued_under,
    leaf_validity,
    marked_revision,
    situation,
    unanswered_requests,
    validity,
    without_ours,
)
from mintls.reconcile.keyspec import key_spec
from mintls.reconcile.keystores import PASSWORDS_VERSION, passwords_version, wanted_keystores
from mintls.reconcile.reasons import Reason


def assess(seen: Observed) -> Assessment | Blocked:
    """What is wanted beside what is there, or what is in the way of saying so.

    It is the most expensive part of a look, and good for all of the functions below as long as nothing more is
    observed; each makes it for itself where it is not given.
    """
    wanted = wanted_credential(seen)
    return wanted if isinstance(wanted, Blocked) else Assessment(wanted, _situation(seen, wanted))


def must_read(seen: Observed, assessed: Assessment | Blocked | None = None) -> bool:
    """Whether the Secret's data has to be read before ``decide``.

    It does not while the Secret is the very version that was found whole and has what is wanted. So a restart with
    10,000 current Secrets reads none of them; a renewal reads its Secret only to keep the key. Somebody else's Secret
    has to be asked for each time: it may carry no label of ours, and then no watch tells that it is gone.
    """
    if seen.secret is None:
        return False
    if not is_ours(seen) or seen.secret.resource_version != seen.whole_version:
        return True
    assessed = assessed or assess(seen)
    if isinstance(assessed, Blocked):
        return False
    if not _is_remembered(seen) or assessed.rewrite is not None:
        return True
    if not _passwords_are_known(seen, assessed.wanted):
        return True
    return assessed.wanted.keeps_key and assessed.issue is not None and _postponed_until(seen) is None


def must_read_passwords(seen: Observed, assessed: Assessment | Blocked | None = None) -> bool:
    """Whether the passwords of keystores have to be read before ``decide``; asked after ``must_read``."""
    assessed = assessed or assess(seen)
    if isinstance(assessed, Blocked) or not assessed.wanted.keystores:
        return False
    return seen.contents is not None or assessed.issue is not None


def _passwords_are_known(seen: Observed, wanted: Wanted) -> bool:
    """Whether the keystores have the passwords that there are: by the memory of this process, or by the Secret."""
    if not wanted.keystores:
        return True
    version = passwords_version(wanted.keystores, seen.password_versions)
    said = seen.secret.annotations.get(PASSWORDS_VERSION, "") if seen.secret else ""
    return bool(version) and version in {seen.right_passwords, said}


def decide(seen: Observed, assessed: Assessment | Blocked | None = None) -> Decision:
    """What to do now. The same answer for a new object, a changed one, a restart, a timer and a changed Secret.

    Raises:
        ValueError: ``contents`` or ``passwords`` were not read although they are asked for.
    """
    assessed = assessed or assess(seen)
    if isinstance(assessed, Blocked):
        return assessed
    wanted, there, issue = assessed.wanted, assessed.there, assessed.issue
    violation = issue or assessed.rewrite
    if violation is None:
        return _keep(seen, wanted, there)
    until = _postponed_until(seen)
    if until:
        return Postponed(until, violation, _still_good(there, violation))
    paused = pause(seen, violation) if not _asked_anew(seen) else None
    if paused:
        return Postponed(*paused, None)
    if wanted.keystores and seen.passwords is None:
        raise ValueError("the passwords of keystores have to be read before the Secret is written")
    return _issue(seen, wanted, there, violation) if issue else _rewrite(seen, wanted, there, violation)


def wanted_credential(seen: Observed) -> Wanted | Blocked:
    """The credential that there should be, or what is in the way of saying so."""
    blocked = first_obstacle(seen)
    if blocked:
        return blocked
    registration, authority, spec = seen.registration, seen.authority, seen.certificate.spec
    if registration is None or authority is None:
        raise AssertionError("first_obstacle lets neither pass")
    template = spec.secret_template or SecretTemplate()
    subject, names = policy.leaf_names(registration, further_names(spec), seen.installation)
    origin: Origin | None = Origin(CLIENT_CERTIFICATE, seen.certificate.metadata.uid)
    if authority.elsewhere:
        subject, origin = _asked_elsewhere(subject, seen.certificate.metadata.uid)
    request = read_request(spec.request) if spec.request else None
    return Wanted(
        subject=subject,
        names=names,
        usage="client",
        key=describe(request.key) if request else key_spec(spec.private_key),
        duration=parse_duration(spec.duration),
        renew_before=parse_renew_before(spec.renew_before) if spec.renew_before else None,
        files={
            "ca.crt": authority.bundle,
            "client-id": registration.client_id,
            "issuer": seen.installation.issuer_url,
            "token-endpoint": seen.installation.token_endpoint,
        },
        authority=authority,
        encoding=spec.private_key.encoding,
        keeps_key=spec.private_key.rotation_policy == "Never" and request is None,
        labels=without_ours(template.labels),
        annotations=without_ours(template.annotations),
        requests=_requests(seen),
        origin=origin,
        request_key=request.key if request else None,
        formats=tuple(form.type for form in spec.additional_output_formats),
        keystores=wanted_keystores(spec) if request is None else (),
    )


def _asked_elsewhere(registered: SubjectName | None, uid: str) -> tuple[SubjectName, Origin | None]:
    """The subject of a certificate that a CA elsewhere signs, and whether it says for which object it is.

    Such a CA takes no directory name, and gives every certificate a subject: it is the one that says so.
    """
    origin = Origin(CLIENT_CERTIFICATE, uid)
    if registered is not None:
        return registered, None
    return SubjectName(SubjectKind.SUBJECT_DN, origin_subject(origin).rfc4514_string()), origin


def _requests(seen: Observed) -> dict[str, str]:
    values = {name: request_of(seen.certificate.metadata, name) for name in (RENEW_REQUESTED, REKEY_REQUESTED)}
    return {name: value for name, value in values.items() if value}


def _situation(seen: Observed, wanted: Wanted) -> Situation:
    return situation(
        wanted,
        secret=seen.secret,
        contents=seen.contents,
        remembered=_remembered(seen, wanted),
        uid=seen.certificate.metadata.uid,
        now=seen.now,
        passwords=seen.passwords,
    )


def _remembered(seen: Observed, wanted: Wanted) -> Validity | None:
    """Validity from the status, with the renewal time that the spec asks for now."""
    status = seen.certificate.status
    if status.not_before is None or status.not_after is None:
        return None
    return validity(status.not_before, status.not_after, wanted, seen.certificate.metadata.uid)


def _is_remembered(seen: Observed) -> bool:
    status = seen.certificate.status
    return status.not_before is not None and status.not_after is not None


def _postponed_until(seen: Observed) -> datetime | None:
    """A failed attempt for the same generation and requests waits for its next one, unless the clock was set back."""
    status = seen.certificate.status
    until = status.next_attempt_time
    if until is None or seen.now >= until or _asked_anew(seen) or _obstacle_is_gone(seen):
        return None
    return None if status.last_failure_time and seen.now < status.last_failure_time else until


def _obstacle_is_gone(seen: Observed) -> bool:
    """Whether the last attempt failed for an immutable Secret, and somebody has deleted it as the condition says."""
    failed = conds.find(seen.certificate.status.conditions, "Issuing")
    return failed is not None and failed.reason == Reason.SECRET_IMMUTABLE and seen.secret is None


def _asked_anew(seen: Observed) -> bool:
    """Whether the status speaks of an earlier spec, or of earlier requests: somebody waits for this one."""
    meta, status = seen.certificate.metadata, seen.certificate.status
    observed = (status.observed_generation, status.observed_renew_request, status.observed_rekey_request)
    return observed != (meta.generation, request_of(meta, RENEW_REQUESTED), request_of(meta, REKEY_REQUESTED))


def _issue(seen: Observed, wanted: Wanted, there: Situation, violation: Violation) -> Decision:
    current = _still_good(there, violation)
    if wanted.authority.problem:
        name, problem = wanted.authority.name, wanted.authority.problem
        message = f'{violation.message}; CertificateAuthority "{name}" cannot sign: {problem}'
        return Blocked(Violation(Reason.AUTHORITY_NOT_READY, message), stalled=False, current=current)
    not_before, not_after = leaf_validity(wanted, seen.now)
    rekey = REKEY_REQUESTED in unanswered_requests(wanted, seen.secret)
    kept_key = _kept_key(seen, wanted, there) if wanted.keeps_key and not rekey else None
    return Issue(violation, wanted, not_before, not_after, _revision(seen) + 1, seen.secret, current, kept_key)


def _still_good(there: Situation, violation: Violation) -> Validity | None:
    """Of the certificate that is there, when only its renewal is due or asked for."""
    return (
        there.validity
        if violation.reason in {Reason.RENEWAL_DUE, Reason.RENEWAL_REQUESTED, Reason.ROOT_RETIRES}
        else None
    )


def _kept_key(seen: Observed, wanted: Wanted, there: Situation) -> PrivateKey | None:
    """The key in the Secret, if it is of the wanted kind and known to be the client's.

    Who may write a Secret, and no more, must not come to a certificate of the client by putting a key of his own there.
    """
    if seen.secret is None:
        return None
    if seen.contents is None:
        raise ValueError("the Secret has to be read before its key is kept")
    try:
        key = load_private_key(seen.contents.data.get("tls.key", b""))
    except InvalidKey:
        return None
    return key if key_fits(key, wanted.key) and _is_known(seen, wanted, there, key) else None


def _is_known(seen: Observed, wanted: Wanted, there: Situation, key: PrivateKey) -> bool:
    """A key is the client's by the status, or by a certificate of this authority for it with exactly its names.

    The latter is how it is known when the operator was killed before it wrote the status, and after a status was lost.
    """
    if key_fingerprint(key.public_key()) == seen.certificate.status.key_fingerprint:
        return True
    root = wanted.authority.root
    if not isinstance(there.credential, Credential) or root is None:
        return False
    return there.credential.leaf.names == wanted.normalized_names() and issued_under(there.credential, root)


def _revision(seen: Observed) -> int:
    """The latest revision: of the status, or of the Secret when the status was not written any more."""
    marked = marked_revision(seen.secret) if seen.secret and is_ours(seen) else 0
    return max(seen.certificate.status.revision, marked)


def _rewrite(seen: Observed, wanted: Wanted, there: Situation, violation: Violation) -> Rewrite:
    if seen.contents is None or seen.secret is None:
        raise ValueError("the Secret has to be read before it is written again")
    if not isinstance(there.credential, Credential):
        raise TypeError("a broken credential is issued anew, not written again")
    return Rewrite(violation, wanted, seen.contents, there.credential, _revision(seen), seen.secret, there.reissue)


def _keep(seen: Observed, wanted: Wanted, there: Situation) -> Keep:
    if there.validity is None or there.secret is None:
        raise ValueError("the Secret has to be read before it is kept")
    leaf = there.credential.leaf if isinstance(there.credential, Credential) else None
    return Keep(wanted, there.validity, there.secret, max(_revision(seen), 1), leaf, there.reissue)
