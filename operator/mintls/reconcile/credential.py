"""Is the credential in a Secret the one that is wanted? An ordered chain of named checks, for clients and issuer."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from mintls.api.v1alpha1.certificateauthority import AllowedNames
from mintls.core.pki.certificate import CertificateFacts
from mintls.core.pki.credential import Credential, check_certificate, check_credential
from mintls.core.pki.errors import CredentialBroken, InvalidKey
from mintls.core.pki.keys import KeyEncoding, KeySpec, PublicKey, encoding_of, key_fingerprint
from mintls.core.pki.names import NormalizedName, SubjectName, normalize
from mintls.core.pki.origin import Origin
from mintls.core.pki.outputformats import OutputFormat, further_files
from mintls.core.schedule import jitter, renewal_time
from mintls.reconcile.distribution import Distribution
from mintls.reconcile.keystores import Passwords, WantedKeystore
from mintls.reconcile.keystores import differing as differing_keystores
from mintls.reconcile.reasons import Reason

MANAGED_BY = ("app.kubernetes.io/managed-by", "mintls")
COMPONENT = "mintls.dev/component"
CERTIFICATE_DIGEST = "mintls.dev/certificate-digest"
CONTENTS_DIGEST = "mintls.dev/contents-digest"
ROOT_KEY = "mintls.dev/root-key"
"""Annotation of a Secret: fingerprint of the root key that its certificate was issued under."""
BUNDLE_DIGEST = "mintls.dev/bundle-digest"
"""Annotation of a Secret: digest of the roots in its ``ca.crt``."""
REVISION = "mintls.dev/revision"
HAND_OVER_TO = "mintls.dev/hand-over-to"
"""Annotation that somebody puts on a Secret of his own: the ClientCertificate that shall have it."""

_OWN_KEYS = re.compile(r"app\.kubernetes\.io/managed-by|([^/]*\.)?mintls\.dev/.*")

_REVISION_DIGITS = 9  # more were not counted by us, and would not fit into a status

_SHORTEST_USE = timedelta(seconds=10)
"""A certificate is used for so long at least, or for half of what it has if that is less: a renewal that asks for the
next one at once would never end. ``renewBefore: 59s`` of ``duration: 1m`` would, and a CA that ends in seconds."""


@dataclass(frozen=True, slots=True)
class Retiring:
    """The root before: still trusted, and its leaves are issued anew by and by.

    Attributes:
        root: Its certificate.
        fingerprint: Fingerprint of its key.
        since: Since when another root signs.
        spread: Over which time its leaves are issued anew.
    """

    root: x509.Certificate
    fingerprint: str
    since: datetime
    spread: timedelta


@dataclass(frozen=True, slots=True)
class AuthorityView:
    """What others need to know of a CertificateAuthority. Nothing in it is secret.

    Attributes:
        name: Its name.
        problem: Why it cannot sign at present; "" if it can.
        fingerprint: Fingerprint of the active root key.
        root: The active root.
        bundle: The roots that go into ``ca.crt``, as PEM: its own, and for a client the issuer's.
        signs_until: End of the signing certificate's validity, which no leaf may outlive.
        min_duration: The shortest leaf.
        max_duration: The longest leaf.
        backdate: How far a leaf's start lies in the past.
        distribution: Where its part of the trust bundles goes.
        allowed_names: Which further names which namespaces may have.
        key_algorithms: Algorithms of keys that it signs for; empty for all.
        also_trusted: Further roots that are trusted.
        next_root: The root that will sign; trusted already.
        retiring: The root that signed before; trusted still.
        signs_under: Where the CA is elsewhere, the roots that it may sign under, any of them; else empty.
    """

    name: str
    problem: str = ""
    fingerprint: str = ""
    root: x509.Certificate | None = None
    bundle: str = ""
    signs_until: datetime | None = None
    min_duration: timedelta = timedelta(minutes=1)
    max_duration: timedelta = timedelta(days=7)
    backdate: timedelta = timedelta(minutes=1)
    distribution: Distribution = field(default_factory=Distribution)
    allowed_names: tuple[AllowedNames, ...] = ()
    key_algorithms: tuple[str, ...] = ()
    also_trusted: tuple[x509.Certificate, ...] = ()
    next_root: x509.Certificate | None = None
    retiring: Retiring | None = None
    signs_under: tuple[x509.Certificate, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """Whether the CA is elsewhere, and asked for each certificate."""
        return bool(self.signs_under)

    def under(self, root_key: str) -> "AuthorityView":
        """As it is for a certificate of one of several roots that are equally good; itself for any other."""
        root = next((one for one in self.signs_under if key_fingerprint(one) == root_key), None)
        return replace(self, root=root, fingerprint=root_key) if root else self

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        """The roots that are trusted."""
        before = self.retiring.root if self.retiring else None
        found = (self.root, *self.also_trusted, *self.signs_under, self.next_root, before)
        return tuple(dict.fromkeys(root for root in found if root is not None))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The credential that there should be.

    Attributes:
        subject: The subject DN as an RFC 4514 string; "" for an empty subject.
        names: The subject alternative names.
        usage: Extended key usage.
        key: Algorithm and size of the key.
        duration: Lifetime.
        renew_before: How long before the end it is renewed, as a time or a share of the actual lifetime; ``None`` for
            a third of that.
        files: What stands in the Secret beside certificate and key, by file name.
        authority: Who signs.
        encoding: How the key is written.
        labels: Labels of the Secret, beside ours.
        annotations: Annotations of the Secret, beside ours.
        keeps_key: Whether a new certificate is for the key that is there, if that is good.
        origin: The object that the certificate is for.
        request_key: The public key that a certificate was requested for; ``None`` where the key is made here.
        formats: Further forms of certificate and key.
        keystores: Keystores with both, each under a password.
        requests: What somebody asked for by annotations, by their names. The Secret carries the same annotations: that
            is how it is known that it answers them, also when nobody lived to write the status.
    """

    subject: SubjectName | None
    names: tuple[SubjectName, ...]
    usage: Literal["client", "server"]
    key: KeySpec
    duration: timedelta
    renew_before: timedelta | Fraction | None
    files: Mapping[str, str]
    authority: AuthorityView
    encoding: KeyEncoding = "PKCS8"
    keeps_key: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    requests: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    request_key: PublicKey | None = field(default=None, repr=False)
    formats: tuple[OutputFormat, ...] = ()
    keystores: tuple[WantedKeystore, ...] = ()

    @property
    def certificate_digest(self) -> str:
        """Changes when another certificate is wanted."""
        return self.digest_under(self.authority.fingerprint)

    def digest_under(self, fingerprint: str) -> str:
        """``certificate_digest``, were the root of that key the authority's."""
        names = sorted((name.kind, name.value) for name in (*self.names, *((self.subject,) if self.subject else ())))
        wanted = (names, self.usage, self.key.algorithm, self.key.size, self.duration.total_seconds())
        origin = (self.origin.kind, self.origin.uid) if self.origin else ()
        requested = (key_fingerprint(self.request_key),) if self.request_key else ()
        return _digest((*wanted, fingerprint, *origin, *requested))

    @property
    def contents_digest(self) -> str:
        """Changes when the Secret has to be written otherwise, around the same certificate and key."""
        files = sorted(self.files.items())
        # What is said by few is hashed only where it is said: the digest of all others stays what it was before.
        encoding = "" if self.encoding == "PKCS8" else self.encoding
        keystores = [(one.kind, one.alias, one.profile, one.secret, one.key) for one in self.keystores]
        named = (sorted(self.labels.items()), sorted(self.annotations.items()))
        more = (encoding, *named, *sorted(self.formats), *keystores)
        return _digest((files, more) if any(more) else files)

    def normalized_names(self) -> frozenset[NormalizedName]:
        """All names that the leaf has to carry, no more and no fewer.

        Raises:
            InvalidName: A name is none.
        """
        return frozenset(normalize(name) for name in (*self.names, *((self.subject,) if self.subject else ())))


def bundle_digest(pem: str) -> str:
    """What ``BUNDLE_DIGEST`` says of a bundle."""
    return _digest(pem)


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class SecretView:
    """A Secret's metadata.

    Attributes:
        uid: Its uid.
        resource_version: Its version.
        controller: uid of the owner that controls it; "" if none does.
        labels: Its labels.
        annotations: Its annotations.
        posted: Whether fields of it are ours by a POST still, not by an apply.
        written: When we last changed it, to the second.
        foreign: The field manager of whoever else changed it last, as far as it says so; "" for nobody.
    """

    uid: str
    resource_version: str
    controller: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    posted: bool = False
    written: datetime | None = None
    foreign: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """A Secret's data, decoded. Never shown: one of the values is a private key.

    Attributes:
        data: The values by file name.
        type: The Secret's type, which cannot be changed.
        immutable: Whether its data cannot be changed either.
    """

    data: Mapping[str, bytes] = field(repr=False)
    type: str = "kubernetes.io/tls"
    immutable: bool = False


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when the certificate is valid, and when it is renewed."""

    not_before: datetime
    not_after: datetime
    renewal_time: datetime


@dataclass(frozen=True, slots=True)
class Situation:
    """All that the checks look at.

    Attributes:
        wanted: The credential that there should be.
        secret: The Secret's metadata; ``None`` if there is no Secret.
        contents: Its data, if it was read; ``None`` if it is the version that was found whole before.
        credential: Certificate and key from ``contents``, or why they are none.
        validity: Validity of the certificate in the Secret; ``None`` if unknown.
        now: The time.
        uid: uid of the object that times are spread by.
        passwords: The Secrets with passwords of keystores; ``None`` while they were not read.
    """

    wanted: Wanted
    secret: SecretView | None
    contents: Contents | None
    credential: Credential | CredentialBroken | None
    validity: Validity | None
    now: datetime
    uid: str = ""
    passwords: Passwords | None = None

    @property
    def reissue(self) -> datetime | None:
        """When a certificate of the root before is issued anew; ``None`` if it is of the present one, or unknown."""
        retiring = self.wanted.authority.retiring
        if retiring is None or self.validity is None or not _is_of_root_before(self):
            return None
        return reissue_time(retiring, self.validity, self.uid)


@dataclass(frozen=True, slots=True)
class Violation:
    """A check that failed: its reason for programs, its message for people."""

    reason: Reason
    message: str


def situation(
    wanted: Wanted,
    *,
    secret: SecretView | None,
    contents: Contents | None,
    remembered: Validity | None,
    uid: str,
    now: datetime,
    passwords: Passwords | None = None,
) -> Situation:
    """Read the credential once and put together what the checks look at.

    Args:
        wanted: The credential that there should be.
        secret: The Secret's metadata.
        contents: Its data, if it was read.
        remembered: The validity that was found when it was read before.
        uid: uid of the object that the renewal time is spread by.
        now: The time.
        passwords: The Secrets with passwords of keystores, if they were read.
    """
    if contents is None:
        return Situation(wanted, secret, None, None, remembered, now, uid)
    try:
        credential = _credential_of(contents, wanted)
    except CredentialBroken as broken:
        return Situation(wanted, secret, contents, broken, None, now, uid)
    validity = validity_of(credential.leaf, wanted, uid)
    return Situation(wanted, secret, contents, credential, validity, now, uid, passwords)


def _credential_of(contents: Contents, wanted: Wanted) -> Credential:
    certificate = contents.data.get("tls.crt", b"")
    if wanted.request_key is not None:
        return check_certificate(certificate, wanted.request_key)
    return check_credential(certificate, contents.data.get("tls.key", b""))


def validity_of(leaf: CertificateFacts, wanted: Wanted, uid: str) -> Validity:
    """Validity and renewal time of a certificate."""
    return validity(leaf.not_before, leaf.not_after, wanted, uid)


def validity(not_before: datetime, not_after: datetime, wanted: Wanted, uid: str) -> Validity:
    """A validity with the renewal time that is wanted for it. Backdating is no part of a certificate's life."""
    backdate = wanted.authority.backdate
    due = renewal_time(not_before, not_after, wanted.renew_before, uid, backdate=backdate)
    return Validity(not_before, not_after, max(due, _earliest_renewal(not_before, not_after, backdate)))


def _earliest_renewal(not_before: datetime, not_after: datetime, backdate: timedelta) -> datetime:
    issued = not_before + backdate if backdate < not_after - not_before else not_before
    half = (not_after - issued) // 2
    return issued + max(timedelta(seconds=1), min(_SHORTEST_USE, half - timedelta(microseconds=half.microseconds)))


def without_ours(keys: Mapping[str, str]) -> dict[str, str]:
    """Labels or annotations that a user may set; the schema says the same, but an object may be older than it."""
    return {key: value for key, value in keys.items() if not _OWN_KEYS.fullmatch(key)}


def marked_revision(secret: SecretView) -> int:
    """How many certificates were issued into a Secret, by its annotation; 0 if that says nothing usable."""
    marked = secret.annotations.get(REVISION, "")
    return int(marked) if len(marked) <= _REVISION_DIGITS and marked.isascii() and marked.isdigit() else 0


# --- checks, in the order in which they are made ---


def _secret_missing(now: Situation) -> Violation | None:
    if now.secret is not None:
        return None
    return Violation(Reason.SECRET_MISSING, "the Secret does not exist")


def _secret_incomplete(now: Situation) -> Violation | None:
    if now.contents is None:
        return None
    needed = ("tls.crt",) if now.wanted.request_key else ("tls.crt", "tls.key")
    missing = [name for name in needed if not now.contents.data.get(name)]
    if not missing:
        return None
    return Violation(Reason.SECRET_INCOMPLETE, f"the Secret lacks {' and '.join(missing)}")


def _credential_broken(now: Situation) -> Violation | None:
    if not isinstance(now.credential, CredentialBroken):
        return None
    return Violation(Reason.CREDENTIAL_BROKEN, f"the credential in the Secret cannot be used: {now.credential}")


def _authority_changed(now: Situation) -> Violation | None:
    root = now.wanted.authority.root
    if not isinstance(now.credential, Credential) or root is None or issued_under(now.credential, root):
        return None
    if _is_of_root_before(now):
        return None
    return Violation(
        Reason.AUTHORITY_CHANGED,
        f'the certificate was not signed under the current root of CertificateAuthority "{now.wanted.authority.name}"',
    )


def _is_of_root_before(now: Situation) -> bool:
    """Whether the certificate is as it is wanted, but of the root that signed before."""
    retiring = now.wanted.authority.retiring
    if retiring is None or now.secret is None:
        return False
    if now.secret.annotations.get(CERTIFICATE_DIGEST) != now.wanted.digest_under(retiring.fingerprint):
        return False
    return not isinstance(now.credential, Credential) or issued_under(now.credential, retiring.root)


def reissue_time(retiring: Retiring, certificate: Validity, uid: str) -> datetime:
    """When a leaf of the root before is issued anew: what ends first comes first, and equal ones are spread.

    A tenth of the time is for each tenth of life that is left, and within that tenth each object has a moment of its
    own.
    """
    life = certificate.not_after - certificate.not_before
    left = max(min((certificate.not_after - retiring.since) / life, 0.999), 0.0)
    tenth = retiring.spread / 10
    return (retiring.since + tenth * int(left * 10) + jitter(uid, tenth)).replace(microsecond=0)


def issued_under(credential: Credential, root: x509.Certificate) -> bool:
    """Whether the certificate and its chain lead to this root, signature by signature."""
    path = (credential.leaf.certificate, *credential.chain, root)
    return all(_signed_by(child, parent) for child, parent in pairwise(path))


def _signed_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    try:
        child.verify_directly_issued_by(parent)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _names_differ(now: Situation) -> Violation | None:
    if not isinstance(now.credential, Credential):
        return None
    if now.credential.leaf.names == now.wanted.normalized_names():
        return None
    return Violation(Reason.NAMES_DIFFER, "the certificate does not carry exactly the names that are wanted now")


def _origin_differs(now: Situation) -> Violation | None:
    if not isinstance(now.credential, Credential) or now.credential.leaf.origin == now.wanted.origin:
        return None
    return Violation(Reason.ORIGIN_DIFFERS, "the certificate does not say that it was issued for this very object")


def _key_differs(now: Situation) -> Violation | None:
    if not isinstance(now.credential, Credential) or now.credential.key == now.wanted.key:
        return None
    key = now.wanted.key
    return Violation(Reason.KEY_DIFFERS, f"the key is not {key.algorithm} of {key.size} bits")


def _spec_changed(now: Situation) -> Violation | None:
    if now.secret is None or now.secret.annotations.get(CERTIFICATE_DIGEST) == now.wanted.certificate_digest:
        return None
    if _is_of_root_before(now):
        return None
    return Violation(Reason.SPEC_CHANGED, "the certificate was issued for an earlier spec, client or authority")


def _expired(now: Situation) -> Violation | None:
    if now.validity is None or now.now < now.validity.not_after:
        return None
    return Violation(Reason.EXPIRED, f"the certificate ended at {_time(now.validity.not_after)}")


def _renewal_due(now: Situation) -> Violation | None:
    if now.validity is None or now.now < now.validity.renewal_time:
        return None
    return Violation(Reason.RENEWAL_DUE, f"the certificate ends at {_time(now.validity.not_after)}")


def _root_retires(now: Situation) -> Violation | None:
    """A server's certificate is trusted by whoever trusts the new root, and replaced at once."""
    reissue = now.reissue
    if reissue is None or (now.wanted.usage == "client" and now.now < reissue):
        return None
    return Violation(
        Reason.ROOT_RETIRES, "its authority has a new root, and the one before is trusted for a while only"
    )


def _renewal_requested(now: Situation) -> Violation | None:
    unanswered = unanswered_requests(now.wanted, now.secret)
    if not unanswered:
        return None
    return Violation(Reason.RENEWAL_REQUESTED, f"the annotation {' and '.join(sorted(unanswered))} asks for it")


def unanswered_requests(wanted: Wanted, secret: SecretView | None) -> frozenset[str]:
    """Names of the annotations whose request the Secret does not answer."""
    answered = secret.annotations if secret is not None else {}
    return frozenset(name for name, value in wanted.requests.items() if answered.get(name) != value)


def _files(wanted: Wanted, contents: Contents) -> Iterator[tuple[str, bytes]]:
    """What has to stand beside the certificate and the key that are there."""
    yield from ((name, text.encode()) for name, text in wanted.files.items())
    pair = (contents.data.get(name, b"") for name in ("tls.crt", "tls.key"))
    with suppress(InvalidKey):  # without a key there is a new certificate anyway
        yield from further_files(wanted.formats, *pair).items()


def _contents_differ(now: Situation) -> Violation | None:
    if now.contents is not None:
        there = now.contents.data
        differing = [name for name, content in _files(now.wanted, now.contents) if there.get(name) != content]
        if now.passwords is not None and now.secret is not None:
            differing += differing_keystores(now.wanted.keystores, now.passwords, there, now.secret.annotations)
        if differing:
            return Violation(Reason.CONTENTS_DIFFER, f"the Secret needs another {', '.join(sorted(differing))}")
    if now.secret is None or now.secret.annotations.get(CONTENTS_DIGEST) == now.wanted.contents_digest:
        return None
    return Violation(Reason.CONTENTS_DIFFER, "what stands beside the certificate is of an earlier time")


def _encoding_differs(now: Situation) -> Violation | None:
    if (
        now.contents is None
        or now.wanted.request_key
        or encoding_of(now.contents.data.get("tls.key", b"")) == now.wanted.encoding
    ):
        return None
    return Violation(Reason.ENCODING_DIFFERS, f"tls.key is not encoded as {now.wanted.encoding}")


def _labels_missing(now: Situation) -> Violation | None:
    name, value = MANAGED_BY
    if now.secret is None or (now.secret.labels.get(name) == value and COMPONENT in now.secret.labels):
        return None
    return Violation(Reason.METADATA_DIFFERS, f"the Secret lacks the label {name}={value} or {COMPONENT}")


def _template_differs(now: Situation) -> Violation | None:
    if now.secret is None:
        return None
    pairs = ((now.wanted.labels, now.secret.labels), (now.wanted.annotations, now.secret.annotations))
    differing = sorted({key for wanted, there in pairs for key in wanted if there.get(key) != wanted[key]})
    if not differing:
        return None
    return Violation(Reason.METADATA_DIFFERS, f"the Secret needs {', '.join(differing)} as spec.secretTemplate has it")


type Check = Callable[[Situation], Violation | None]

ISSUE_CHECKS: tuple[Check, ...] = (
    _secret_missing,
    _secret_incomplete,
    _credential_broken,
    _authority_changed,
    _names_differ,
    _key_differs,
    _origin_differs,
    _spec_changed,
    _expired,
    _renewal_due,
    _renewal_requested,
    _root_retires,
)
"""What makes a new certificate necessary."""

REWRITE_CHECKS: tuple[Check, ...] = (_encoding_differs, _template_differs, _contents_differ, _labels_missing)
"""What makes a new Secret necessary, with the same certificate in it."""


def first_violation(checks: tuple[Check, ...], now: Situation) -> Violation | None:
    """The first check that fails, or ``None``."""
    return next((violation for check in checks if (violation := check(now))), None)


def leaf_validity(wanted: Wanted, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of a certificate made now: backdated, and never beyond the end of its CA."""
    start = now.replace(microsecond=0)
    until = start + wanted.duration
    limit = wanted.authority.signs_until
    return start - wanted.authority.backdate, min(until, limit) if limit else until


def _time(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
