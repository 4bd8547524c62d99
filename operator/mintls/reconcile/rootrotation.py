"""Another root for an authority, without a request that fails: trust first, use later, retire last.

::

    idle ──due, or asked for──► a next root is made, and trusted ("Preparing")
      ▲                              │ everybody was seen to trust it, and has had time to read it
      │ aborted                      ▼
      └──────────────────────── it takes the root's place and signs ("Reissuing")
                                     │ every leaf was issued anew, by and by
                                     ▼
                                the last root is trusted until its last leaf has ended ("Retiring") ──► idle

All that has to outlive the operator is in two Secrets: the next root's own, whose existence is the first step, and the
root's, which the second step replaces in one write: it then holds the new root's key, and the old root's certificate.
The old root's key is gone with that write. So an operator that is killed between any two writes finds out where it was.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from cryptography import x509

from mintls.api.v1alpha1.certificateauthority import (
    HOLD_ROTATION,
    ROTATE_REQUESTED,
    CertificateAuthority,
    Rotation,
)
from mintls.api.v1alpha1.meta import request_of
from mintls.core.durations import parse_duration, parse_renew_before
from mintls.core.pki.certificate import InvalidCertificate, key_fingerprint, load_pem_chain
from mintls.core.pki.credential import Credential
from mintls.core.schedule import renewal_time
from mintls.reconcile.credential import Contents, Retiring, SecretView

RETIRING_FILE = "retiring.crt"
"""In the root's Secret, after a switch: the certificate of the root before."""
SWITCHED = "mintls.dev/root-switched-at"
RETIRE = "mintls.dev/root-retired-from"
"""Annotations of that Secret: since when the new root signs, and from when on the old one is trusted no more."""

_LOOK_AGAIN = timedelta(seconds=5)

type Phase = Literal["Preparing", "Reissuing", "Retiring"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the next root has come, as it was observed.

    Attributes:
        secrets: How many Secrets of clients have to hold it in their ``ca.crt``.
        secrets_behind: How many of them do not yet.
        bundles_behind: In how many namespaces the trust bundle is not as it should be yet.
        issuers_behind: What each ready issuer replica that does not trust it yet answered.
        issuers: How many replicas are ready.
    """

    secrets: int
    secrets_behind: int
    bundles_behind: int
    issuers: int
    issuers_behind: tuple[str, ...]

    @property
    def everywhere(self) -> bool:
        """Whether everybody trusts it who has to."""
        return not (self.secrets_behind or self.bundles_behind or self.issuers_behind)

    def __str__(self) -> str:
        """For a person."""
        parts = (
            (self.secrets_behind, f"{self.secrets_behind} of {self.secrets} Secrets do not have it in ca.crt yet"),
            (self.bundles_behind, f"{self.bundles_behind} trust bundles do not have it yet"),
            (
                len(self.issuers_behind),
                f"{len(self.issuers_behind)} of {self.issuers} issuer replicas do not trust it yet: "
                + "; ".join(self.issuers_behind[:3]),
            ),
        )
        return ", ".join(text for count, text in parts if count)


@dataclass(frozen=True, slots=True)
class Leaves:
    """The certificates of an authority's ClientCertificates, as they were observed.

    Attributes:
        total: How many there are.
        of_others: How many of them were not issued under the active root.
        last_end: When the last one ends that the active root may have signed by now; ``None`` if it signed none.
    """

    total: int = 0
    of_others: int = 0
    last_end: datetime | None = None


NO_LEAVES = Leaves()


@dataclass(frozen=True, slots=True)
class Observed:
    """What there is of a rotation.

    Attributes:
        authority: The object.
        root: The root.
        view: Its Secret's metadata.
        contents: Its Secret's data.
        next: The next root; ``None`` if there is none.
        reach: How far it has come; ``None`` if nobody looked.
        leaves: The authority's leaves.
        now: The time.
    """

    authority: CertificateAuthority
    root: Credential
    view: SecretView
    contents: Contents
    next: Credential | None
    reach: Reach | None
    leaves: Leaves
    now: datetime


@dataclass(frozen=True, slots=True)
class Begin:
    """Make a next root and its Secret. ``why`` for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete the next root's Secret: it took the root's place, or somebody wants none."""

    aborted: bool


@dataclass(frozen=True, slots=True)
class Switch:
    """Write the next root into the root's Secret, with the certificate of the one before."""

    retiring: x509.Certificate
    switched: datetime
    retire: datetime


@dataclass(frozen=True, slots=True)
class Retire:
    """Write the root's Secret without the certificate of the one before."""


@dataclass(frozen=True, slots=True)
class Stay:
    """Nothing to write now.

    Attributes:
        phase: Where the rotation is; "" while there is none.
        message: What it waits for.
        look_again: When to look again; ``None`` for when something changes.
        trusted_since: Since when everybody is known to trust the next root.
        retiring: The root before, and how its leaves are issued anew.
        next: The next root.
    """

    phase: Phase | Literal[""] = ""
    message: str = ""
    look_again: datetime | None = None
    trusted_since: datetime | None = None
    retiring: Retiring | None = None
    retire: datetime | None = None
    next: x509.Certificate | None = None


NO_ROTATION = Stay()

type Decision = Begin | Drop | Switch | Retire | Stay


def decide(seen: Observed) -> Decision:
    """What to do now; after anything but ``Stay`` was carried out, observe and decide again."""
    if seen.next is not None:
        return _with_next(seen, seen.next)
    retiring = retiring_of(seen.authority, seen.view, seen.contents)
    if retiring is not None:
        return _retire(seen, retiring)
    due = root_due(seen.authority, seen.root)
    if is_held(seen.authority):
        return NO_ROTATION
    if is_asked_for(seen.authority):
        return Begin(f"the annotation {ROTATE_REQUESTED} asks for it")
    if seen.now >= due:
        return Begin(f"the root ends at {seen.root.leaf.not_after:%Y-%m-%dT%H:%M:%SZ}")
    return Stay(look_again=due)


def _with_next(seen: Observed, found: Credential) -> Decision:
    if key_fingerprint(found.leaf.certificate) == key_fingerprint(seen.root.leaf.certificate):
        return Drop(aborted=False)
    if is_held(seen.authority) or seen.now >= found.leaf.not_after:
        return Drop(aborted=True)
    certificate, reach = found.leaf.certificate, seen.reach
    known = _known(seen, certificate)
    since = known.trusted_since if known else None
    if reach is None or not reach.everywhere:
        # Before anybody has looked since the operator began, what was known stands. Who lags behind starts no new time.
        waits = f"the next root: {reach or 'it was made just now'}"
        message = known.message if known and reach is None else waits
        return Stay("Preparing", message, seen.now + _LOOK_AGAIN, trusted_since=since, next=certificate)
    since = since or seen.now
    ready = (since + parse_duration(seen.authority.spec.own_ca.root.trust_before_use)).replace(microsecond=0)
    if seen.now < ready:
        message = f"the next root is trusted everywhere; it signs from {ready:%Y-%m-%dT%H:%M:%SZ} on"
        return Stay("Preparing", message, ready, trusted_since=since.replace(microsecond=0), next=certificate)
    return Switch(seen.root.leaf.certificate, seen.now.replace(microsecond=0), _retire_time(seen))


def _known(seen: Observed, certificate: x509.Certificate) -> Rotation | None:
    """What the status says of this very next root; ``None`` if it speaks of none, or of another."""
    status = seen.authority.status
    recorded = {key.fingerprint for key in status.keys if key.role == "next"}
    return status.rotation if key_fingerprint(certificate) in recorded else None


def _retire_time(seen: Observed) -> datetime:
    """When the last leaf of the present root has ended; nothing that it signed outlives it."""
    last = seen.leaves.last_end or seen.now
    # A second for what X.509 cuts off: a certificate is good until the end of its last second.
    return min(max(last, seen.now), seen.root.leaf.not_after).replace(microsecond=0) + timedelta(seconds=1)


def _retire(seen: Observed, retiring: Retiring) -> Decision:
    retire = _time(seen.view.annotations.get(RETIRE, "")) or seen.root.leaf.not_before
    behind = seen.leaves.of_others
    if seen.now >= retire and not behind:
        return Retire()
    if behind:
        message = f"{seen.leaves.total - behind} of {seen.leaves.total} certificates were issued under the new root"
        again = seen.now + _LOOK_AGAIN
        return Stay("Reissuing", message, again, retiring=retiring, retire=retire)
    message = f"the root before is trusted until {retire:%Y-%m-%dT%H:%M:%SZ}, when its last certificate ends"
    return Stay("Retiring", message, retire, retiring=retiring, retire=retire)


def retiring_of(authority: CertificateAuthority, view: SecretView, contents: Contents) -> Retiring | None:
    """The root before, as the root's Secret has it; ``None`` if it has none, or nothing that could be read."""
    pem = contents.data.get(RETIRING_FILE, b"")
    try:
        certificate = load_pem_chain(pem)[0] if pem else None
    except InvalidCertificate:
        certificate = None
    if certificate is None:
        return None
    since = _time(view.annotations.get(SWITCHED, "")) or certificate.not_valid_before_utc
    spread = parse_duration(authority.spec.own_ca.root.reissue_within)
    return Retiring(certificate, key_fingerprint(certificate), since, spread)


def root_due(authority: CertificateAuthority, root: Credential) -> datetime:
    """When the next root is begun with, without anybody asking."""
    share = authority.spec.own_ca.root.renew_before
    leaf = root.leaf
    before = parse_renew_before(share) if share else None
    return renewal_time(leaf.not_before, leaf.not_after, before, authority.metadata.uid)


def is_asked_for(authority: CertificateAuthority) -> bool:
    """Whether somebody asks for another root, and was not answered."""
    request = request_of(authority.metadata, ROTATE_REQUESTED)
    return bool(request) and request != authority.status.observed_rotate_request


def is_held(authority: CertificateAuthority) -> bool:
    """Whether somebody wants no rotation to begin, and one that does not sign yet to be undone."""
    return bool(request_of(authority.metadata, HOLD_ROTATION))


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text.endswith("Z") else None
    except ValueError:
        return None
