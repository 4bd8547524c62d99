"""Registrations of all clients, and who holds what."""

from dataclasses import dataclass

from mintls.api.v1alpha1 import OAuthClient
from mintls.core.multimap import MultiMap
from mintls.core.oauth.claims import ClaimTable, Contest
from mintls.core.oauth.registration import Registration
from mintls.reconcile.credential import Violation
from mintls.reconcile.installation import Installation
from mintls.reconcile.registration import RegistrationRefused, admit

type ObjectKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a client.

    Attributes:
        registration: Its registration; ``None`` if there is no such client, or its spec cannot be read.
        problem: Why it cannot be registered as it is; ``None`` if it can.
        contest: Which of its claims another client holds.
    """

    registration: Registration | None = None
    problem: Violation | None = None
    contest: Contest | None = None


class ClientTable:
    """Registrations of all clients, and who holds what."""

    def __init__(self, installation: Installation) -> None:
        """Prepare."""
        self._installation = installation
        self._claims = ClaimTable()
        self._problems: dict[ObjectKey, Violation] = {}
        self._authorities: dict[ObjectKey, tuple[str, ...]] = {}
        self._alike: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._by_authority = MultiMap[str, ObjectKey]()
        self._accounts: dict[ObjectKey, frozenset[str]] = {}
        self._asking: set[ObjectKey] = set()

    def changed(self, key: ObjectKey, new: OAuthClient | None) -> frozenset[ObjectKey]:
        """Follow one object.

        Returns:
            The other clients whose standing may have changed.
        """
        self._forget(key)
        if new is None:
            return self._claims.remove(key)
        for reference in new.spec.authorities:
            self._by_authority.add(reference.name, key)
        names = tuple(reference.name for reference in new.spec.authorities)
        self._authorities[key] = self._alike.setdefault(names, names)
        if new.spec.service_accounts:
            self._accounts[key] = frozenset(account.name for account in new.spec.service_accounts)
        if new.spec.access_token.signing_algorithm or new.spec.access_token.dedicated_key:
            self._asking.add(key)
        try:
            return self._claims.put(admit(new, self._installation))
        except RegistrationRefused as refused:
            # It claims nothing: whoever may have that identity must not be kept from it.
            self._problems[key] = refused.violation
            return self._claims.remove(key)

    def _forget(self, key: ObjectKey) -> None:
        self._problems.pop(key, None)
        self._accounts.pop(key, None)
        self._asking.discard(key)
        for name in self._authorities.pop(key, ()):
            self._by_authority.discard(name, key)

    def standing(self, key: ObjectKey) -> Standing:
        """What is known of a client."""
        problem = self._problems.get(key)
        registration = self._claims.get(key)
        if problem or registration is None:
            return Standing(problem=problem)
        return Standing(registration, None, self._claims.contest(key))

    def asks_for_keys(self, key: ObjectKey) -> bool:
        """Whether the client asks for an algorithm, or for a signing key of its own."""
        return key in self._asking

    @property
    def asking_for_keys(self) -> tuple[Registration, ...]:
        """The clients that do, and hold all that they claim."""
        found = ((self._claims.get(key), key) for key in self._asking)
        return tuple(one for one, key in found if one is not None and self._claims.contest(key) is None)

    def of_service_account(self, namespace: str, account: str) -> frozenset[str]:
        """Names of the clients of a namespace whose certificates a service account may have."""
        return frozenset(name for (where, name), own in self._accounts.items() if where == namespace and account in own)

    def of_authority(self, name: str) -> frozenset[ObjectKey]:
        """Clients that an authority may vouch for."""
        return self._by_authority.get(name)
