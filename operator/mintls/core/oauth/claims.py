"""Who holds a client id, an identity or a certificate when several clients claim it.

Whoever was seen to hold it keeps it: an older client that is edited takes nothing from a younger one. Among those that
were not the oldest holds, by creation time, then by uid, both of which no user can choose and no restart changes.
Operator and issuer decide by this same table, from the same objects.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mintls.core.multimap import MultiMap
from mintls.core.oauth.registration import Claim, Registration
from mintls.core.pki.certificate import thumbprint
from mintls.core.pki.names import InvalidName, SubjectName, normalize

type Key = tuple[str, str]


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


def _identity(subject: SubjectName | None) -> tuple[Claim, ...]:
    if subject is None:
        return ()
    try:
        return (("identity", normalize(subject)),)
    except InvalidName:
        # A name that cannot be normalized matches no certificate, so it can contest nobody's.
        return ()


def _seniority(registration: Registration) -> tuple[float, str]:
    return (registration.created.timestamp(), registration.uid)


@dataclass(slots=True)
class ClaimTable:
    """All clients by what they claim. Updates cost the number of rivals, not the number of clients."""

    _clients: dict[Key, Registration] = field(default_factory=dict)
    _claimants: MultiMap[Claim, Key] = field(default_factory=MultiMap)

    def put(self, registration: Registration) -> frozenset[Key]:
        """Add or replace a client.

        Returns:
            The other clients whose standing may have changed.
        """
        key = registration.key
        affected = self.remove(key)
        self._clients[key] = registration
        held = {claim: claim for claim in registration.held}
        for claim in _claims(registration):
            # What it holds is mostly what it claims, and is in memory once then.
            self._claimants.add(held.get(claim, claim), key)
            affected |= self._claimants.get(claim)
        return affected - {key}

    def remove(self, key: Key) -> frozenset[Key]:
        """Take a client out; unknown keys are no error.

        Returns:
            The other clients whose standing may have changed.
        """
        old = self._clients.pop(key, None)
        if old is None:
            return frozenset()
        affected: set[Key] = set()
        for claim in _claims(old):
            self._claimants.discard(claim, key)
            affected |= self._claimants.get(claim)
        return frozenset(affected)

    def get(self, key: Key) -> Registration | None:
        """The client of that namespace and name, whether it holds its claims or not."""
        return self._clients.get(key)

    def contest(self, key: Key) -> Contest | None:
        """The first of the client's claims that somebody else holds; ``None`` if it holds them all.

        Raises:
            KeyError: No such client.
        """
        registration = self._clients[key]
        for claim in _claims(registration):
            holder = self._holder(claim, self._claimants.get(claim))
            if holder != key:
                return Contest(what=claim[0], holder=holder)
        return None

    def rival(self, registration: Registration) -> Contest | None:
        """The first claim of a registration that another client makes as well; ``None`` if there is none.

        Whoever is older: a registration that has yet to come must take nothing from anybody.
        """
        for claim in _claims(registration):
            others = self._claimants.get(claim) - {registration.key}
            if others:
                return Contest(what=claim[0], holder=self._holder(claim, others))
        return None

    def by_client_id(self, client_id: str) -> Registration | None:
        """The client that holds the id and all its other claims; ``None`` for an unknown or contested one."""
        claim = ("clientID", client_id)
        rivals = self._claimants.get(claim)
        if not rivals:
            return None
        holder = self._holder(claim, rivals)
        return self._clients[holder] if self.contest(holder) is None else None

    def _holder(self, claim: Claim, rivals: Iterable[Key]) -> Key:
        def precedence(key: Key) -> tuple[bool, float, str]:
            registration = self._clients[key]
            return (claim not in registration.held, *_seniority(registration))

        return min(rivals, key=precedence)

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Registration]:
        return iter(self._clients.values())
