"""OAuthClient: who holds which name, and is each client known to every issuer replica."""

import logging
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from mintls.api.v1alpha1 import CertificateAuthority, OAuthClient
from mintls.controllers.issuers import IssuerReplicas
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.core.durations import DurationError
from mintls.core.oauth.claims import ClaimTable, Contest
from mintls.core.oauth.registration import Registration
from mintls.reconcile import policy
from mintls.reconcile.installation import Installation
from mintls.reconcile.oauthclient import Answer, Ask, Observed, conclude, decide
from mintls.reconcile.registration import registration_of

logger = logging.getLogger(__name__)

type ObjectKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a client.

    Attributes:
        registration: Its registration; ``None`` if there is no such client, or its spec cannot be read.
        problem: Why it cannot be registered as it is; "" if it can.
        contest: Which of its claims another client holds.
    """

    registration: Registration | None = None
    problem: str = ""
    contest: Contest | None = None


class ClientTable:
    """Registrations of all clients, and who holds what."""

    def __init__(self, installation: Installation) -> None:
        """Prepare."""
        self._installation = installation
        self._claims = ClaimTable()
        self._problems: dict[ObjectKey, str] = {}
        self._by_authority: defaultdict[str, set[ObjectKey]] = defaultdict(set)

    def changed(self, key: ObjectKey, new: OAuthClient | None) -> frozenset[ObjectKey]:
        """Follow one object.

        Returns:
            The other clients whose standing may have changed.
        """
        before = self._claims.get(key)
        self._problems.pop(key, None)
        for name in before.authorities if before else ():
            self._by_authority[name].discard(key)
        if new is None:
            return self._claims.remove(key)
        try:
            registration = registration_of(new, self._installation.trust_domain)
        except DurationError as invalid:
            self._problems[key] = f"spec.accessToken.lifetime: {invalid}"
            return self._claims.remove(key)
        return self._take(key, registration)

    def _take(self, key: ObjectKey, registration: Registration) -> frozenset[ObjectKey]:
        for name in registration.authorities:
            self._by_authority[name].add(key)
        problem = policy.foreign_identity(registration, self._installation)
        if problem:
            # It claims nothing: whoever may have that identity must not be kept from it.
            self._problems[key] = problem
            return self._claims.remove(key)
        return self._claims.put(registration)

    def standing(self, key: ObjectKey) -> Standing:
        """What is known of a client."""
        problem = self._problems.get(key, "")
        registration = self._claims.get(key)
        if problem or registration is None:
            return Standing(problem=problem)
        return Standing(registration, "", self._claims.contest(key))

    def of_authority(self, name: str) -> frozenset[ObjectKey]:
        """Clients that an authority may vouch for."""
        return frozenset(self._by_authority.get(name, ()))


class ClientController:
    """Reconciles OAuthClients."""

    def __init__(
        self,
        *,
        store: ObjectStore[OAuthClient],
        authorities: ObjectStore[CertificateAuthority],
        reporter: Reporter[OAuthClient],
        table: ClientTable,
        replicas: IssuerReplicas,
        installation: Installation,
        clock: Clock,
    ) -> None:
        """Prepare; the arguments are the parts that it gathers from and writes through."""
        self._store = store
        self._authorities = authorities
        self._reporter = reporter
        self._table = table
        self._replicas = replicas
        self._installation = installation
        self._clock = clock
        self._attempts: dict[ObjectKey, int] = {}

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one OAuthClient.

        Returns:
            When to look again; ``None`` for when something changes.

        Raises:
            ApiError: The status was not written.
        """
        name = (key.namespace, key.name)
        client = self._store.get(name)
        if client is None or client.metadata.deletion_timestamp is not None:
            self._attempts.pop(name, None)
            return None
        seen = self._observe(client)
        decision = decide(seen)
        answers = await self._ask(seen) if isinstance(decision, Ask) else ()
        conclusion = conclude(seen, decision, answers, self._attempts.get(name, 0))
        if isinstance(decision, Ask) and conclusion.look_again is not None:
            self._attempts[name] = self._attempts.get(name, 0) + 1
        else:
            self._attempts.pop(name, None)
        await self._reporter.report(client, conclusion.status, conclusion.announcement)
        return conclusion.look_again

    def _observe(self, client: OAuthClient) -> Observed:
        standing = self._table.standing((client.metadata.namespace, client.metadata.name))
        return Observed(
            client=client,
            registration=standing.registration,
            problem=standing.problem,
            contest=standing.contest,
            missing_authorities=tuple(
                reference.name
                for reference in client.spec.authorities
                if self._authorities.get(("", reference.name)) is None
            ),
            installation=self._installation,
            now=self._clock(),
        )

    async def _ask(self, seen: Observed) -> tuple[Answer, ...]:
        if seen.registration is None:
            return ()
        return await self._replicas.ask(seen.registration.client_id)
