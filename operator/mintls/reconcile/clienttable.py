"""Registrations of all clients, and who holds what."""

from collections.abc import Callable
from dataclasses import dataclass

from mintls.api.v1alpha1 import OAuthClient
from mintls.core.multimap import MultiMap
from mintls.core.oauth.claims import Claimants, Contest
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
    """Registrations of all clients, and who holds what.

    A registration is made when it is asked for, of the client as it is kept anyway: that takes some microseconds, and
    to keep it, half as much memory as all else that is kept of a client.
    """

    def __init__(self, installation: Installation, client_of: Callable[[ObjectKey], OAuthClient | None]) -> None:
        """Prepare.

        Args:
            installation: Says which identities are whose.
            client_of: The client of that namespace and name as it is now; ``None`` if there is none.
        """
        self._installation = installation
        self._client_of = client_of
        self._claimants = Claimants(self._registration_of)
        self._by_authority = MultiMap[str, ObjectKey]()
        self._accounts: dict[ObjectKey, frozenset[str]] = {}
        self._asking: set[ObjectKey] = set()

    def changed(self, key: ObjectKey, old: OAuthClient | None, new: OAuthClient | None) -> frozenset[ObjectKey]:
        """Follow one object; ``client_of`` has the new one already.

        Returns:
            The other clients whose standing may have changed.
        """
        before, after = _authorities(old), _authorities(new)
        for name in before - after:
            self._by_authority.discard(name, key)
        for name in after - before:
            self._by_authority.add(name, key)
        self._accounts.pop(key, None)
        self._asking.discard(key)
        if new is not None and new.spec.service_accounts:
            self._accounts[key] = frozenset(account.name for account in new.spec.service_accounts)
        if new is not None and (new.spec.access_token.signing_algorithm or new.spec.access_token.dedicated_key):
            self._asking.add(key)
        # One that is refused claims nothing: whoever may have that identity must not be kept from it.
        return self._claimants.changed(key, self._admitted(old), self._admitted(new))

    def standing(self, key: ObjectKey) -> Standing:
        """What is known of a client."""
        client = self._client_of(key)
        if client is None:
            return Standing()
        try:
            registration = admit(client, self._installation)
        except RegistrationRefused as refused:
            return Standing(problem=refused.violation)
        return Standing(registration, None, self._claimants.contest(registration))

    def _registration_of(self, key: ObjectKey) -> Registration | None:
        return self._admitted(self._client_of(key))

    def _admitted(self, client: OAuthClient | None) -> Registration | None:
        try:
            return admit(client, self._installation) if client is not None else None
        except RegistrationRefused:
            return None

    def asks_for_keys(self, key: ObjectKey) -> bool:
        """Whether the client asks for an algorithm, or for a signing key of its own."""
        return key in self._asking

    @property
    def asking_for_keys(self) -> tuple[Registration, ...]:
        """The clients that do, and hold all that they claim."""
        found = (self.standing(key) for key in self._asking)
        return tuple(one.registration for one in found if one.registration is not None and one.contest is None)

    def of_service_account(self, namespace: str, account: str) -> frozenset[str]:
        """Names of the clients of a namespace whose certificates a service account may have."""
        return frozenset(name for (where, name), own in self._accounts.items() if where == namespace and account in own)

    def of_authority(self, name: str) -> frozenset[ObjectKey]:
        """Clients that an authority may vouch for."""
        return self._by_authority.get(name)


def _authorities(client: OAuthClient | None) -> frozenset[str]:
    return frozenset(reference.name for reference in client.spec.authorities) if client is not None else frozenset()
