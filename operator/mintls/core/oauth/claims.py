"""Who holds a client id, an identity or a certificate when several clients claim it.

Whoever was seen to hold it keeps it: an older client that is edited takes nothing from a younger one. Among those that
were not the oldest holds, by creation time, then by uid, both of which no user can choose and no restart changes.
Operator and issuer decide by this same table, from the same objects.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mintls.core.multimap import MultiMap
from mintls.core.oauth.registration import Claim, Registration
from mintls.core.pki.certificate import thumbprint
from mintls.core.pki.names import InvalidName, SubjectName, normalize

type Key = tuple[str, str]
type _Rank = tuple[bool, float, str]


@dataclass(frozen=True, slots=True)
class Contest:
    """A claim that another client holds.

    Attributes:
        what: ``clientID``, ``identity`` or ``certificate``.
        holder: Namespace and name of the client that holds it.
    """

    what: str
    holder: Key


def claims(client_id: str, subject: SubjectName | None, thumbprints: Iterable[str]) -> tuple[Claim, ...]:
    """What a client claims that has this id, this name or ``None``, and certificates of these thumbprints."""
    certificates = (("certificate", one) for one in thumbprints)
    return (("clientID", client_id), *_identity(subject), *certificates)


def _claims(registration: Registration) -> tuple[Claim, ...]:
    return claims(registration.client_id, registration.subject, map(thumbprint, registration.certificates))


def _all_claims(registration: Registration | None) -> frozenset[Claim]:
    return frozenset(_claims(registration)) if registration is not None else frozenset()


def _identity(subject: SubjectName | None) -> tuple[Claim, ...]:
    if subject is None:
        return ()
    try:
        return (("identity", normalize(subject)),)
    except InvalidName:
        # A name that cannot be normalized matches no certificate, so it can contest nobody's.
        return ()


def _rank(claim: Claim, registration: Registration) -> _Rank:
    """Of those who make the claim, whoever has the least holds it; no two are equal."""
    return (claim not in registration.held, registration.created.timestamp(), registration.uid)


@dataclass(slots=True)
class Claimants:
    """Who claims what, of clients that are kept elsewhere.

    A change, and a question, cost the same however many clients claim the same: who holds it is remembered, and found
    anew among all of them only where the holder goes, or gives way. So nobody can keep others waiting with thousands of
    clients that claim one name.

    Of a claim it keeps no more than a hash: a tenth of the memory, and to tell two claims of one hash apart costs
    nothing as long as a claim has one claimant.

    Attributes:
        registration_of: The client of that namespace and name as it is now; ``None`` if there is none.
    """

    registration_of: Callable[[Key], Registration | None] = field(compare=False)
    _by_hash: MultiMap[int, Key] = field(default_factory=MultiMap)
    _holders: dict[Claim, Key] = field(default_factory=dict, compare=False)
    """Of each claim that several make; it stays while one of them still does."""

    def changed(self, key: Key, old: Registration | None, new: Registration | None) -> frozenset[Key]:
        """Follow one client; ``registration_of`` has the new one already.

        Returns:
            The other clients whose standing may have changed.
        """
        before, after = _all_claims(old), _all_claims(new)
        hashes_before, hashes_after = set(map(hash, before)), set(map(hash, after))
        for one in hashes_before - hashes_after:
            self._by_hash.discard(one, key)
        for one in hashes_after - hashes_before:
            self._by_hash.add(one, key)
        affected = set[Key]()
        for claim in before | after:
            rank_before = _rank(claim, old) if old is not None and claim in before else None
            rank_after = _rank(claim, new) if new is not None and claim in after else None
            affected |= self._settle(claim, key, rank_before, rank_after)
        return frozenset(affected)

    def _settle(self, claim: Claim, key: Key, before: _Rank | None, after: _Rank | None) -> frozenset[Key]:
        """See who holds a claim, now that one has another rank in it, or none; the others, if it is another client."""
        known = self._holders.get(claim)
        if known is not None and self._holds_on(claim, known, key, before, after):
            return frozenset()
        rivals = self._others(claim, key)
        ranks = {one.key: _rank(claim, one) for one in rivals} | ({key: after} if after is not None else {})
        if len(ranks) < 2:
            self._holders.pop(claim, None)
            return frozenset(ranks.keys() - {key}) if known == key else frozenset()
        holder = self._holders[claim] = min(ranks, key=ranks.__getitem__)
        # As long as one alone made the claim nobody was remembered for it, and that one held it.
        return frozenset() if holder == known or (known is None and holder != key) else frozenset(ranks.keys() - {key})

    def _holds_on(self, claim: Claim, known: Key, key: Key, before: _Rank | None, after: _Rank | None) -> bool:
        """Whether it takes no look at the others to see that the holder is the same."""
        if known == key:
            return before is not None and after is not None and after <= before
        holder = self.registration_of(known)
        return holder is not None and (after is None or _rank(claim, holder) < after)

    def contest(self, registration: Registration) -> Contest | None:
        """The first of a client's claims that somebody else holds; ``None`` if it holds them all."""
        key = registration.key
        for claim in _claims(registration):
            known = self._holders.get(claim, key)
            if known == key:
                continue
            # The status that says what a client holds may have been written since by ourselves, which is no change.
            if not self._holds_on(claim, known, key, None, _rank(claim, registration)):
                known = self._holders[claim] = _holder(claim, [registration, *self._others(claim, key)])
            if known != key:
                return Contest(what=claim[0], holder=known)
        return None

    def rival(self, registration: Registration) -> Contest | None:
        """The first claim of a registration that another client makes as well; ``None`` if there is none.

        Whoever is older: a registration that has yet to come must take nothing from anybody.
        """
        for claim in _claims(registration):
            known = self._holders.get(claim, registration.key)
            if known != registration.key:
                return Contest(what=claim[0], holder=known)
            others = self._others(claim, registration.key)
            if others:
                return Contest(what=claim[0], holder=_holder(claim, others))
        return None

    def by_client_id(self, client_id: str) -> Registration | None:
        """The client that holds the id and all its other claims; ``None`` for an unknown or contested one."""
        claim = ("clientID", client_id)
        known = self._holders.get(claim)
        rivals = self._claimants(claim, frozenset((known,)) if known else self._by_hash.get(hash(claim)))
        found = rivals[0] if rivals else None
        return found if found is not None and self.contest(found) is None else None

    def _others(self, claim: Claim, key: Key) -> list[Registration]:
        return self._claimants(claim, self._by_hash.get(hash(claim)) - {key})

    def _claimants(self, claim: Claim, keys: frozenset[Key]) -> list[Registration]:
        """Those of them that make this very claim, and not another one of its hash."""
        found = filter(None, map(self.registration_of, keys))
        return [one for one in found if claim in _claims(one)]


def _holder(claim: Claim, rivals: Iterable[Registration]) -> Key:
    return min(rivals, key=lambda one: _rank(claim, one)).key


@dataclass(slots=True)
class ClaimTable:
    """All clients by what they claim."""

    _clients: dict[Key, Registration] = field(default_factory=dict)
    _claimants: Claimants = field(init=False)

    def __post_init__(self) -> None:
        """Those who claim something are the clients of this table."""
        self._claimants = Claimants(self._clients.get)

    def put(self, registration: Registration) -> frozenset[Key]:
        """Add or replace a client.

        Returns:
            The other clients whose standing may have changed.
        """
        key = registration.key
        old = self._clients.get(key)
        self._clients[key] = registration
        return self._claimants.changed(key, old, registration)

    def remove(self, key: Key) -> frozenset[Key]:
        """Take a client out; unknown keys are no error.

        Returns:
            The other clients whose standing may have changed.
        """
        return self._claimants.changed(key, self._clients.pop(key, None), None)

    def get(self, key: Key) -> Registration | None:
        """The client of that namespace and name, whether it holds its claims or not."""
        return self._clients.get(key)

    def contest(self, key: Key) -> Contest | None:
        """The first of the client's claims that somebody else holds; ``None`` if it holds them all.

        Raises:
            KeyError: No such client.
        """
        return self._claimants.contest(self._clients[key])

    def rival(self, registration: Registration) -> Contest | None:
        """The first claim of a registration that another client makes as well; ``None`` if there is none."""
        return self._claimants.rival(registration)

    def by_client_id(self, client_id: str) -> Registration | None:
        """The client that holds the id and all its other claims; ``None`` for an unknown or contested one."""
        return self._claimants.by_client_id(client_id)

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._clients.values())
