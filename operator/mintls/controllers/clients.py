"""OAuthClient: is each client known to every issuer replica as it is now."""

import logging
from datetime import datetime

from mintls.api.v1alpha1 import CertificateAuthority, OAuthClient
from mintls.controllers.issuers import IssuerReplicas
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.reconcile.clientsigningkeys import with_room
from mintls.reconcile.clienttable import ClientTable
from mintls.reconcile.installation import Installation
from mintls.reconcile.oauthclient import Answer, Ask, Observed, conclude, decide

logger = logging.getLogger(__name__)

type ObjectKey = tuple[str, str]


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
        algorithm: str = "ES256",
    ) -> None:
        """Prepare; the arguments are the parts that it gathers from and writes through."""
        self._store = store
        self._authorities = authorities
        self._reporter = reporter
        self._table = table
        self._replicas = replicas
        self._installation = installation
        self._clock = clock
        self._algorithm = algorithm
        self._attempts: dict[ObjectKey, tuple[tuple[str, int], int]] = {}

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
        attempt = self._attempt(client)
        conclusion = conclude(seen, decision, answers, attempt)
        if isinstance(decision, Ask) and conclusion.look_again is not None:
            self._attempts[name] = (_version(client), attempt + 1)
        else:
            self._attempts.pop(name, None)
        await self._reporter.report(client, conclusion.status, conclusion.announcement)
        return conclusion.look_again

    def _attempt(self, client: OAuthClient) -> int:
        """How often in a row this very generation was asked about in vain."""
        version, attempt = self._attempts.get((client.metadata.namespace, client.metadata.name), (None, 0))
        return attempt if version == _version(client) else 0

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
            has_room=client.metadata.uid not in self._without_room(),
        )

    def _without_room(self) -> frozenset[str]:
        asking = [one for one in self._table.asking_for_keys if one.dedicated_key]
        return frozenset(one.uid for one in asking) - with_room(asking, self._algorithm).keys()

    async def _ask(self, seen: Observed) -> tuple[Answer, ...]:
        if seen.registration is None:
            return ()
        return await self._replicas.ask(seen.registration.client_id)


def _version(client: OAuthClient) -> tuple[str, int]:
    return (client.metadata.uid, client.metadata.generation)
