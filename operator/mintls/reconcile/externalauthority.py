"""CertificateAuthority (``external``): a CA that runs elsewhere and is asked for each certificate.

What is decided here is whether it can be asked: its roots are in the object, its provisioner's credential in a Secret
that is read and never written, and whether it answers was tried a moment ago.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from mintls.api.v1alpha1.certificateauthority import (
    AuthorityKey,
    CertificateAuthority,
    CertificateAuthorityStatus,
)
from mintls.api.v1alpha1.external import External
from mintls.core.pki.certificate import (
    InvalidCertificate,
    describe_certificate,
    encode_pem,
    first_break,
    is_authority,
    key_fingerprint,
    load_pem_chain,
)
from mintls.core.pki.errors import ProvisionerBroken
from mintls.core.pki.provisioner import Provisioner, decrypt, read_jwk, same_key
from mintls.core.schedule import backoff
from mintls.reconcile import conditions as conds
from mintls.reconcile.allowednames import unreadable
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.reasons import Reason

_ASK_AGAIN = timedelta(minutes=1)
"""How often it is asked whether it is still there, and no wait after a failure is longer."""

_BLIP = 1
"""So many failures in a row are not told of an authority that was well: a restart of the CA is no outage."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A provisioner, as the CA lists it.

    Attributes:
        name: Its name.
        type: Its type, such as ``JWK``.
        key: Its public key as JWK.
        encrypted_key: Its private key as JWE; "" if the CA does not hand it out.
    """

    name: str
    type: str
    key: Mapping[str, Any] = field(default_factory=dict)
    encrypted_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> "Listed":
        """From what the CA says of it."""
        key = members.get("key")
        return cls(
            name=str(members.get("name", "")),
            type=str(members.get("type", "")),
            key=key if isinstance(key, Mapping) else {},
            encrypted_key=str(members.get("encryptedKey", "")),
        )


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known before the CA is asked.

    Attributes:
        authority: The object.
        issuer_authority: Name of the authority that signs the token issuer's own certificate.
        secret: Namespace and name of the Secret with the credential.
        contents: Its data; ``None`` if there is no such Secret.
        failures: How often in a row the CA could not be asked before.
        now: The time.
    """

    authority: CertificateAuthority
    issuer_authority: str
    secret: str
    contents: Contents | None
    failures: int
    now: datetime

    @property
    def external(self) -> External:
        """``spec.external``."""
        if self.authority.spec.external is None:
            raise AssertionError("only an authority with spec.external is looked at here")
        return self.authority.spec.external


@dataclass(frozen=True, slots=True)
class Use:
    """It can be asked."""

    roots: tuple[x509.Certificate, ...]


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
    """What keeps the CA from being asked at all."""
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
    if seen.contents is None:
        yield Violation(
            Reason.SECRET_MISSING,
            f"there is no Secret {seen.secret}: create it with password or jwk of the provisioner, or correct "
            "spec.external.stepCA.provisioner.secretRef.name",
        )
    elif not any(seen.contents.data.get(name) for name in ("password", "jwk")):
        yield Violation(
            Reason.KEY_BROKEN,
            f"Secret {seen.secret} has neither password nor jwk: put one of them there, the password of the "
            "provisioner's key or the key itself",
        )


def provisioner_of(seen: Observed, listing: Sequence[Listed]) -> Provisioner | Violation:
    """Who asks, by what the CA lists and what the Secret holds. It takes tenths of a second: call it in a thread."""
    name = seen.external.step_ca.provisioner.name
    found = next((one for one in listing if one.name == name and one.type.upper() == "JWK"), None)
    if found is None:
        names = ", ".join(sorted(one.name for one in listing if one.type.upper() == "JWK")) or "none"
        return Violation(
            Reason.EXTERNAL_REFUSED,
            f'the CA has no provisioner "{name}" of type JWK; of that type it has: {names[:200]}. Correct '
            "spec.external.stepCA.provisioner.name",
        )
    data = seen.contents.data if seen.contents else {}
    file = "jwk" if data.get("jwk") else "password"
    try:
        kid, key = read_jwk(data["jwk"]) if file == "jwk" else _decrypted(found, data["password"])
    except ProvisionerBroken as broken:
        return Violation(Reason.KEY_BROKEN, f"Secret {seen.secret}: {_what(file, name)} {broken}")
    if not same_key(key, dict(found.key)):
        return Violation(
            Reason.KEY_BROKEN, f'Secret {seen.secret}: jwk is not the key that the CA has for provisioner "{name}"'
        )
    return Provisioner(name, str(found.key.get("kid", kid)), key)


def _what(file: str, name: str) -> str:
    return "jwk" if file == "jwk" else f'with its password the key of provisioner "{name}"'


def _decrypted(found: Listed, password: bytes) -> Any:
    if not found.encrypted_key:
        raise ProvisionerBroken("cannot be had, because the CA does not hand it out: put the key itself into jwk")
    # As step reads a password file: a line end at its end is none of it.
    return read_jwk(decrypt(found.encrypted_key, password.rstrip(b"\r\n")))


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
    step_ca = seen.external.step_ca
    text = f'asks step-ca at {step_ca.url} as provisioner "{step_ca.provisioner.name}"'
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
