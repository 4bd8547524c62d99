"""The CRLs of an authority: who is on them, and when there is another one. Source: RFC 5280 section 5."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509

from mintls.core.pki.crl import RevocationList, Revoked, is_of, key_identifier
from mintls.reconcile.issuedcertificates import Issued

VALIDITY = timedelta(days=7)
"""From thisUpdate to nextUpdate: as long as the longest leaf that is allowed by default. A list is renewed at half of
it, so an operator may be away for three days and a half before verifiers have none that counts, and a steady state
costs two writes a week."""

MOST_LISTED = 10_000
"""Entries of all lists of an authority: 72 octets of PEM each, in a ConfigMap of 1 MiB at most."""

_BACKDATE = timedelta(minutes=1)
"""For verifiers whose clock is behind: they refuse a list of the future."""
_CLOCK_BACK = timedelta(minutes=10)
"""A list that was made so far ahead of now was made by a clock that was wrong."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A CA whose key is at hand.

    Attributes:
        certificate: Its certificate.
        signs_leaves: Whether it has signed leaves. One that signs CAs only has an empty list for verifiers that check
            the whole path; that list counts as long as the CA does, because no CA below is ever revoked: the answer to
            a stolen key is another root.
    """

    certificate: x509.Certificate
    signs_leaves: bool = True

    @property
    def key_id(self) -> str:
        """Its key identifier, in hexadecimal."""
        return key_identifier(self.certificate)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that the decision depends on.

    Attributes:
        signers: The CAs of the authority; the one that signs now is the first.
        trusted: Roots, of which the last list is kept when their key is gone.
        found: The lists that are published.
        issued: What was issued by the authority and may not have ended yet.
        objects: The uids of all ClientCertificates that there are.
        revoked: The uids of those with ``spec.revoked``.
        now: The time.
    """

    signers: tuple[Signer, ...]
    trusted: tuple[x509.Certificate, ...]
    found: tuple[RevocationList, ...]
    issued: Collection[Issued]
    objects: Collection[str]
    revoked: Collection[str]
    now: datetime


@dataclass(frozen=True, slots=True)
class Order:
    """A list to sign."""

    signer: Signer
    revoked: Mapping[int, Revoked] = field(repr=False)
    number: int
    this_update: datetime
    next_update: datetime


@dataclass(frozen=True, slots=True)
class Keep:
    """The lists are as they should be until ``look_again``; ``None`` where no CA is left that could sign any."""

    look_again: datetime | None


@dataclass(frozen=True, slots=True)
class Publish:
    """Write these lists, in this order: those to sign, and those that stay as they are.

    ``left_out`` is how many revoked certificates there is no room for.
    """

    lists: tuple[Order | RevocationList, ...]
    left_out: int


type Decision = Keep | Publish


def decide(seen: Observed) -> Decision:
    """Whether there have to be other lists than those that are there."""
    signers = tuple(signer for signer in seen.signers if seen.now <= signer.certificate.not_valid_after_utc)
    found = {signer.key_id: _found(seen, signer) for signer in signers}
    wanted, left_out = _fitted({signer.key_id: _wanted(seen, signer, found[signer.key_id]) for signer in signers})
    due = min((_due(signer, found[signer.key_id], wanted[signer.key_id], seen.now) for signer in signers), default=None)
    if due is None or due > seen.now:
        return Keep(due)
    lists = tuple(_list(signer, wanted[signer.key_id], found[signer.key_id], seen.now) for signer in signers)
    return Publish((*lists, *_kept(seen)), left_out)


def still_needed(issued: Iterable[Issued], found: Iterable[RevocationList], now: datetime) -> tuple[Issued, ...]:
    """What has to be remembered of what was issued: what has not ended, and what is on a list that is published.

    Args:
        issued: What was issued.
        found: The lists that are published.
        now: The time.
    """
    listed = frozenset(serial for one in found for serial in one.revoked)
    return tuple(one for one in issued if one.not_after >= now or one.serial in listed)


def _found(seen: Observed, signer: Signer) -> RevocationList | None:
    return next(
        (one for one in seen.found if one.key_id == signer.key_id and is_of(one, signer.certificate)),
        None,
    )


def _wanted(seen: Observed, signer: Signer, last: RevocationList | None) -> dict[int, Revoked]:
    """Who belongs on a list.

    An entry stays until a list that was made after the certificate's end has had it (RFC 5280 section 3.3). One that
    nothing is known of any more, because its record was lost, stays as long as the CA does.
    """
    if not signer.signs_leaves:
        return {}
    listed = last.revoked if last else {}
    known = {one.serial: one for one in seen.issued if one.key_id in {"", signer.key_id}}
    wanted = {
        serial: entry
        for serial, entry in listed.items()
        if serial not in known or (last and known[serial].not_after >= last.this_update)
    }
    for serial, one in known.items():
        if serial not in listed and one.not_after >= seen.now and (entry := _entry(seen, one)):
            wanted[serial] = entry
    return wanted


def _entry(seen: Observed, one: Issued) -> Revoked | None:
    """Why a certificate is to be listed; ``None`` if it is not."""
    date = seen.now.replace(microsecond=0)
    if one.uid in seen.revoked:
        return Revoked(date)
    return None if one.uid in seen.objects else Revoked(date, x509.ReasonFlags.cessation_of_operation)


def _fitted(wanted: Mapping[str, dict[int, Revoked]]) -> tuple[dict[str, dict[int, Revoked]], int]:
    """As many as there is room for. Those that somebody revoked go before those whose object was only deleted."""
    total = sum(map(len, wanted.values()))
    if total <= MOST_LISTED:
        return dict(wanted), 0
    every = [(key_id, serial, entry) for key_id, entries in wanted.items() for serial, entry in entries.items()]
    every.sort(key=lambda one: (one[2].reason is not None, -one[2].date.timestamp(), one[1]))
    fitted: dict[str, dict[int, Revoked]] = {key_id: {} for key_id in wanted}
    for key_id, serial, entry in every[:MOST_LISTED]:
        fitted[key_id][serial] = entry
    return fitted, total - MOST_LISTED


def _due(signer: Signer, found: RevocationList | None, wanted: Mapping[int, Revoked], now: datetime) -> datetime:
    """When the list has to be another one. What could be dropped from it waits for the next reason to write."""
    if found is None or found.this_update > now + _CLOCK_BACK or wanted.keys() - found.revoked.keys():
        return now
    if not signer.signs_leaves:
        return found.next_update
    return found.this_update + (found.next_update - found.this_update) / 2


def _list(
    signer: Signer, wanted: Mapping[int, Revoked], found: RevocationList | None, now: datetime
) -> Order | RevocationList:
    """All lists of leaves are signed anew together, so that they are due together as well."""
    if found is not None and not signer.signs_leaves and _due(signer, found, wanted, now) > now:
        return found
    start = max(now - _BACKDATE, signer.certificate.not_valid_before_utc).replace(microsecond=0)
    end = start + VALIDITY if signer.signs_leaves else signer.certificate.not_valid_after_utc
    # The time as a number: it grows by itself, also when the last list is lost.
    number = max(int(now.timestamp()), found.number + 1 if found else 0)
    return Order(signer, wanted, number, start, end)


def _kept(seen: Observed) -> Iterable[RevocationList]:
    """The last lists of CAs whose key is gone, while they count: of a trusted root, and of one that has signed leaves.

    The certificate of the latter is not at hand, so whether its key has signed the list is left to verifiers. A leaf
    that was issued shortly before the operator was killed is known by its status alone: any of them may have signed it.
    """
    ours = {signer.key_id for signer in seen.signers}
    issuers = {one.key_id for one in seen.issued if one.not_after >= seen.now}
    for one in seen.found:
        if one.key_id in ours or one.next_update <= seen.now:
            continue
        if issuers & {one.key_id, ""} or any(is_of(one, root) for root in seen.trusted):
            yield one
