"""What a CA elsewhere answered: all of it is checked before any of it is used."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mintls.core.pki.certificate import CertificateFacts, facts, first_break, is_authority, load_pem_chain
from mintls.core.pki.errors import AnswerWrong, InvalidCertificate, PathInvalid
from mintls.core.pki.keys import PublicKey, spki
from mintls.core.pki.names import NormalizedName
from mintls.core.pki.profiles import Usage
from mintls.core.pki.trust import TrustAnchors, validate_path

SKEW = timedelta(minutes=5)
"""How far the CA's clock may be from ours."""

_USAGES = {"client": ExtendedKeyUsageOID.CLIENT_AUTH, "server": ExtendedKeyUsageOID.SERVER_AUTH}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a certificate was asked for.

    Attributes:
        key: Whose certificate.
        names: All names that it has to carry, no more and no fewer, the subject among them.
        usage: What it has to be for.
        duration: How long it may be valid at most, from now on.
        shortest: How long it has to be valid at least.
    """

    key: PublicKey
    names: frozenset[NormalizedName]
    usage: Usage
    duration: timedelta
    shortest: timedelta


@dataclass(frozen=True, slots=True)
class Answer:
    """A certificate that is what was asked for.

    Attributes:
        leaf: What it says.
        chain: What to send after it: up to but not including the root.
        root: The root that it leads to.
    """

    leaf: CertificateFacts
    chain: tuple[x509.Certificate, ...]
    root: x509.Certificate


def check_answer(pem: bytes, asked: Asked, roots: Sequence[x509.Certificate], now: datetime) -> Answer:
    """Read an answer and make sure that it is what was asked for.

    Args:
        pem: Certificates, the leaf first.
        asked: What was asked for.
        roots: The only roots that count.
        now: Aware UTC.

    Raises:
        AnswerWrong: It is not; the message says what is wrong.
    """
    try:
        certificates = load_pem_chain(pem)
        leaf = facts(certificates[0])
    except InvalidCertificate as error:
        raise AnswerWrong(str(error)) from error
    _check_leaf(leaf, asked, now)
    root, path = _path(certificates, roots)
    if asked.usage == "client":
        _check_path(leaf, path[1:], root, now)
    return Answer(leaf, path[1:], root)


def _check_leaf(leaf: CertificateFacts, asked: Asked, now: datetime) -> None:
    if spki(leaf.public_key) != spki(asked.key):
        raise AnswerWrong("it is for another key than the one that was sent")
    if is_authority(leaf.certificate):
        raise AnswerWrong("it is a CA's certificate (basicConstraints CA:TRUE)")
    _check_names(leaf, asked)
    _check_usage(leaf.certificate, asked.usage)
    if leaf.not_before > now + SKEW:
        raise AnswerWrong(f"it begins at {_time(leaf.not_before)} only: compare the clocks")
    longest, shortest = now + asked.duration + SKEW, now + min(asked.shortest, asked.duration) - SKEW
    if leaf.not_after > longest:
        raise AnswerWrong(f"it is valid until {_time(leaf.not_after)}, longer than it was asked for")
    if leaf.not_after <= max(shortest, now):
        raise AnswerWrong(f"it ends at {_time(leaf.not_after)}, sooner than policy.minDuration lets it")


def _check_names(leaf: CertificateFacts, asked: Asked) -> None:
    try:
        names = leaf.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    # One that cannot be compared is in leaf.names no more, and would go unseen.
    count = len(names) + (1 if leaf.certificate.subject.rdns else 0)
    if leaf.names == asked.names and count == len(asked.names):
        return
    further = sorted(f"{name.kind} {name.value!r}" for name in leaf.names - asked.names)
    lacking = sorted(f"{name.kind} {name.value!r}" for name in asked.names - leaf.names)
    found = [*(f"has {name}" for name in further), *(f"lacks {name}" for name in lacking)]
    raise AnswerWrong(f"it does not carry exactly the names that were asked for: it {', '.join(found) or 'has others'}")


def _check_usage(certificate: x509.Certificate, usage: Usage) -> None:
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if _USAGES[usage] not in found:
        raise AnswerWrong(f"its extended key usage lacks {usage}Auth: add it to the CA's template")


def _path(
    certificates: tuple[x509.Certificate, ...], roots: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    """The root, and the path to it without it."""
    # Some CAs send the last of the chain twice, at its end and as their own certificate.
    path = tuple(certificate for certificate in dict.fromkeys(certificates) if certificate not in roots)
    if not path or first_break(path) is not None:
        raise AnswerWrong("its certificates are not each signed by the next one")
    for root in roots:
        if first_break([path[-1], root]) is None:
            return root, path
    raise AnswerWrong(
        "it does not lead to a root of spec.external.caBundle: if the CA has another root by now, put it there"
    )


def _check_path(
    leaf: CertificateFacts, chain: tuple[x509.Certificate, ...], root: x509.Certificate, now: datetime
) -> None:
    """As the token issuer will: what it would refuse is not handed out. A clock that is ahead is let pass."""
    at = max([now, *(certificate.not_valid_before_utc for certificate in (leaf.certificate, *chain))])
    try:
        validate_path(leaf.certificate, chain, TrustAnchors((root,)), at)
    except PathInvalid as error:
        raise AnswerWrong(f"no verifier would take it: {error}") from error


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
