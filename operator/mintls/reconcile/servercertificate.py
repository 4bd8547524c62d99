"""The issuer's own certificate: the same checks as a client's, for a Secret without an object of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from mintls.core.pki.credential import Credential
from mintls.core.pki.keys import KeySpec
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.reconcile.credential import (
    ISSUE_CHECKS,
    REWRITE_CHECKS,
    AuthorityView,
    Contents,
    SecretView,
    Violation,
    Wanted,
    first_violation,
    leaf_validity,
    marked_revision,
    situation,
)
from mintls.reconcile.installation import Installation
from mintls.reconcile.reasons import Reason

NAME = "mintls-issuer-tls"
COMPONENT = "issuer-tls"
LIFETIME = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on; the Secret is read whole each time, there is only one."""

    installation: Installation
    authority: AuthorityView | None
    secret: SecretView | None
    contents: Contents | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Blocked:
    """Nothing can be done before something else changes."""

    violation: Violation


@dataclass(frozen=True, slots=True)
class Write:
    """Write the Secret.

    Attributes:
        violation: Why.
        wanted: What it is to hold.
        not_before: Start of a new certificate's validity.
        not_after: End of it.
        kept: What it holds already, if certificate and key stay; ``None`` for new ones.
        secret: The Secret to replace; ``None`` to create it.
        revision: How many certificates were issued, a new one included.
    """

    violation: Violation
    wanted: Wanted
    not_before: datetime
    not_after: datetime
    kept: Contents | None
    secret: SecretView | None
    revision: int


@dataclass(frozen=True, slots=True)
class Keep:
    """The Secret is as it should be; renew it at ``look_again``."""

    look_again: datetime


type Decision = Blocked | Write | Keep


def decide(seen: Observed) -> Decision:
    """What to do now."""
    authority = seen.authority
    if authority is None or authority.root is None:
        problem = authority.problem if authority else "there is no such CertificateAuthority"
        return Blocked(Violation(Reason.AUTHORITY_NOT_READY, f"the issuer has no certificate of its own: {problem}"))
    if seen.secret is not None and seen.secret.labels.get("mintls.dev/component") != COMPONENT:
        return Blocked(
            Violation(
                Reason.SECRET_NOT_OWNED,
                f'Secret "{NAME}" was made by somebody else and is left as it is: delete it, or move it away',
            )
        )
    wanted = wanted_certificate(seen.installation, authority)
    there = situation(wanted, secret=seen.secret, contents=seen.contents, remembered=None, uid=NAME, now=seen.now)
    violation = first_violation(ISSUE_CHECKS, there)
    kept = None
    if violation is None:
        violation, kept = first_violation(REWRITE_CHECKS, there), seen.contents
    if violation is None:
        if there.validity is None or not isinstance(there.credential, Credential):
            raise ValueError("the Secret has to be read before it is kept")
        return Keep(there.validity.renewal_time)
    if authority.problem:
        return Blocked(Violation(Reason.AUTHORITY_NOT_READY, f"{violation.message}; {authority.problem}"))
    not_before, not_after = leaf_validity(wanted, seen.now)
    revision = (marked_revision(seen.secret) if seen.secret else 0) + (1 if kept is None else 0)
    return Write(violation, wanted, not_before, not_after, kept, seen.secret, revision)


def wanted_certificate(installation: Installation, authority: AuthorityView) -> Wanted:
    """A server certificate for the names by which the issuer is reached."""
    return Wanted(
        subject=None,
        names=tuple(_name(name) for name in installation.issuer_names),
        usage="server",
        key=KeySpec("ECDSA", 256),
        duration=LIFETIME,
        renew_before=None,
        files={"ca.crt": authority.bundle},
        authority=authority,
    )


def _name(name: str) -> SubjectName:
    try:
        return SubjectName(SubjectKind.SAN_IP, str(ip_address(name)))
    except ValueError:
        return SubjectName(SubjectKind.SAN_DNS, name)
