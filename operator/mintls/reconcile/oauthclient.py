"""OAuthClient: is it allowed, is it known to the issuer, and what to say of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from cryptography import x509

from mintls.api.v1alpha1.oauthclient import Identity, OAuthClient, OAuthClientStatus, RegisteredCertificate
from mintls.core.oauth.claims import Contest
from mintls.core.oauth.client_information import jwks_uri_for
from mintls.core.oauth.registration import Registration
from mintls.core.pki.certificate import thumbprint
from mintls.reconcile import conditions as conds
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.conditions import Finding
from mintls.reconcile.credential import Violation
from mintls.reconcile.installation import Installation
from mintls.reconcile.reasons import Reason

QUIET = 5
"""So many unsuccessful questions in a row are normal while a change travels to the issuer, and worth no write."""

_FIRST_WAIT = timedelta(milliseconds=50)
_LONGEST_WAIT = timedelta(seconds=15)
_KNOWN = Finding(
    "Registered", status=True, reason=Reason.REGISTERED, message="every ready issuer replica knows the client"
)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        client: The object.
        registration: Its effective registration; ``None`` if there is a problem.
        problem: Why the client may not be registered as it is; ``None`` if it may.
        contest: Which of its claims another client holds.
        missing_authorities: Names in ``spec.authorities`` that do not exist.
        installation: Names and addresses of the installation.
        now: The time.
        has_room: Whether there is room for a key of the client alone, if it wants one.
    """

    client: OAuthClient
    registration: Registration | None
    problem: Violation | None
    contest: Contest | None
    missing_authorities: tuple[str, ...]
    installation: Installation
    now: datetime
    has_room: bool = True


@dataclass(frozen=True, slots=True)
class Blocked:
    """The client is not registered before something changes."""

    violation: Violation
    stalled: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """Every ready replica has to be asked whether it knows the client as it is now."""


@dataclass(frozen=True, slots=True)
class Keep:
    """It was seen registered at this generation."""


type Decision = Blocked | Ask | Keep


@dataclass(frozen=True, slots=True)
class Answer:
    """What one replica of the issuer said.

    Attributes:
        replica: Its address.
        uid: uid of the OAuthClient that it knows; "" if it knows none.
        generation: Generation of it; 0 if it knows none.
        problem: Why it gave no answer; "" if it did.
        jwks_problem: Why it has not got the keys at the client's ``jwksURI``; "" if it has, or there is none.
        signing_problem: Why it cannot sign tokens as the client wants them; "" if it can.
    """

    replica: str
    uid: str = ""
    generation: int = 0
    problem: str = ""
    jwks_problem: str = ""
    signing_problem: str = ""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What to say, and when to look again."""

    status: OAuthClientStatus
    look_again: datetime | None = None
    announcement: Announcement | None = None


def decide(seen: Observed) -> Decision:
    """What to do now. A client that was seen registered at this generation is not asked about again."""
    blocked = next((found for check in OBSTACLES if (found := check(seen))), None)
    if blocked:
        return blocked
    status = seen.client.status
    registered = conds.holds(status.conditions, "Registered") and conds.holds(status.conditions, "Ready")
    current = status.observed_generation == seen.client.metadata.generation
    return Keep() if registered and current else Ask()


# --- obstacles, in the order in which they are looked for ---


def _not_admitted(seen: Observed) -> Blocked | None:
    return Blocked(seen.problem, stalled=True) if seen.problem else None


def _taken(seen: Observed) -> Blocked | None:
    if seen.contest is None or seen.registration is None:
        return None
    namespace, name = seen.contest.holder
    # The holder is named only to those who could see it anyway: a name of another namespace is nobody's business.
    holder = f'OAuthClient "{name}"' if namespace == seen.registration.namespace else "a client of another namespace"
    if seen.contest.what == "clientID":
        message = f'clientID "{seen.registration.client_id}" is held by {holder}, which was first: choose another one'
        return Blocked(Violation(Reason.CLIENT_ID_TAKEN, message), stalled=True)
    subject = seen.registration.subject
    if subject is None:
        message = f"a certificate that it registers is held by {holder}, which was first: each client needs its own"
        return Blocked(Violation(Reason.CERTIFICATE_TAKEN, message), stalled=True)
    message = f'{subject.kind} "{subject.value}" is held by {holder}, which was first: choose another identity'
    return Blocked(Violation(Reason.IDENTITY_TAKEN, message), stalled=True)


def _authority_not_found(seen: Observed) -> Blocked | None:
    # Nobody vouches for a self-signed certificate, so spec.authorities plays no part.
    by_name = seen.registration is None or seen.registration.subject is not None
    if not seen.missing_authorities or not by_name:
        return None
    names = ", ".join(f'"{name}"' for name in seen.missing_authorities)
    message = f"there is no CertificateAuthority {names}: create it, or correct spec.authorities"
    return Blocked(Violation(Reason.AUTHORITY_NOT_FOUND, message), stalled=False)


OBSTACLES = (_not_admitted, _taken, _authority_not_found)


# --- the conclusion ---


def conclude(seen: Observed, decision: Decision, answers: tuple[Answer, ...] = (), attempt: int = 0) -> Conclusion:
    """Status, next look and event.

    Args:
        seen: What was observed.
        decision: What was decided of it.
        answers: What each ready replica said, if it was asked.
        attempt: How many times in a row it was asked before without success.
    """
    match decision:
        case Blocked():
            return _conclude_blocked(seen, decision)
        case Keep():
            return Conclusion(_status(seen, _registered(seen)))
        case Ask():
            return _conclude_asked(seen, answers, attempt)


def _conclude_blocked(seen: Observed, blocked: Blocked) -> Conclusion:
    violation = blocked.violation
    findings = [*(conds.stalled if blocked.stalled else conds.waiting)(violation.reason, violation.message)]
    if violation.reason in {Reason.CLIENT_ID_TAKEN, Reason.IDENTITY_TAKEN, Reason.CERTIFICATE_TAKEN}:
        findings.append(Finding("Conflict", status=True, reason=violation.reason, message=violation.message))
    findings.append(Finding("Registered", status=False, reason=violation.reason, message=violation.message))
    return Conclusion(_status(seen, tuple(findings)), None, _warn_once(seen, violation))


def _conclude_asked(seen: Observed, answers: tuple[Answer, ...], attempt: int) -> Conclusion:
    unknown = _not_registered(seen, answers)
    # Known is known: that a client cannot prove itself yet is said by Ready alone.
    violation = unknown or _keys_not_fetched(answers) or _no_signing_key(seen, answers)
    if violation is None:
        return Conclusion(_status(seen, _registered(seen)))
    look_again = seen.now + min(_FIRST_WAIT * 2 ** min(attempt, 16), _LONGEST_WAIT)
    if attempt < QUIET:
        return Conclusion(seen.client.status, look_again)
    known = Finding("Registered", status=False, reason=violation.reason, message=violation.message)
    findings = (*conds.waiting(violation.reason, violation.message), known if unknown else _KNOWN)
    return Conclusion(_status(seen, findings), look_again, _warn_once(seen, violation))


def _keys_not_fetched(answers: tuple[Answer, ...]) -> Violation | None:
    without = [answer for answer in answers if answer.jwks_problem]
    if not without:
        return None
    first = without[0]
    return Violation(
        Reason.KEYS_NOT_FETCHED,
        f"{len(without)} of {len(answers)} issuer replicas have not got the keys at spec.jwksURI; "
        f"{first.replica}: {first.jwks_problem}",
    )


def _no_signing_key(seen: Observed, answers: tuple[Answer, ...]) -> Violation | None:
    without = [answer for answer in answers if answer.signing_problem]
    if not without:
        return None
    if not seen.has_room:
        message = (
            "there is no room for another key of a client alone: do without spec.accessToken.dedicatedKey somewhere"
        )
        return Violation(Reason.NO_ROOM_FOR_KEY, message)
    first = without[0]
    return Violation(
        Reason.SIGNING_KEY_MISSING,
        f"{len(without)} of {len(answers)} issuer replicas cannot sign as spec.accessToken wants it; "
        f"{first.replica}: {first.signing_problem}",
    )


def _not_registered(seen: Observed, answers: tuple[Answer, ...]) -> Violation | None:
    if not answers:
        return Violation(
            Reason.NO_ISSUER_READY,
            "no replica of the token issuer is ready: look at its pods, and at the operator's log for their addresses",
        )
    meta = seen.client.metadata
    behind = [a for a in answers if a.problem or (a.uid, a.generation) != (meta.uid, meta.generation)]
    if not behind:
        return None
    first = behind[0]
    what = first.problem or (f"it knows generation {first.generation}" if first.uid else "it does not know the client")
    return Violation(
        Reason.WAITING_FOR_ISSUER,
        f"{len(answers) - len(behind)} of {len(answers)} issuer replicas know generation {meta.generation}; "
        f"{first.replica}: {what}",
    )


def _registered(seen: Observed) -> tuple[Finding, ...]:
    suspended = "every request is refused while spec.suspended is true"
    ready = suspended if seen.client.spec.suspended else _KNOWN.message
    reason = Reason.SUSPENDED if seen.client.spec.suspended else Reason.REGISTERED
    return (*conds.ready(reason, ready), _KNOWN)


def _status(seen: Observed, findings: tuple[Finding, ...]) -> OAuthClientStatus:
    generation = seen.client.metadata.generation
    conditions = conds.conditions(seen.client.status.conditions, findings, generation=generation, now=seen.now)
    registration = seen.registration
    if registration is None:
        return msgspec.structs.replace(seen.client.status, observed_generation=generation, conditions=conditions)
    return OAuthClientStatus(
        observed_generation=generation,
        conditions=conditions,
        client_id=registration.client_id,
        identity=_identity(registration),
        certificates=tuple(_registered_certificate(certificate) for certificate in registration.certificates),
        scopes=registration.scopes,
        issuer=seen.installation.issuer_url,
        token_endpoint=seen.installation.token_endpoint,
        access_token_jwks_uri=jwks_uri_for(registration, seen.installation.issuer_url),
    )


def _identity(registration: Registration) -> Identity | None:
    subject = registration.subject
    return Identity(type=subject.kind, value=subject.value) if subject else None


def _registered_certificate(certificate: x509.Certificate) -> RegisteredCertificate:
    return RegisteredCertificate(thumbprint=thumbprint(certificate), not_after=certificate.not_valid_after_utc)


def _warn_once(seen: Observed, violation: Violation) -> Announcement | None:
    """An event when the object begins to say this, not each time that it is seen again."""
    before = conds.find(seen.client.status.conditions, "Ready")
    if before is not None and before.reason == violation.reason:
        return None
    return Announcement(warning=True, reason=violation.reason, message=violation.message)
