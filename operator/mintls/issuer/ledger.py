"""Where it is written down for all replicas that an identifier is spent: SpentIdentifiers of the Kubernetes API.

::

    LedgerUnavailable   it could not be written down: nothing may be answered that relies on it
"""

import logging
from typing import Protocol

from mintls.core.oauth.spent import Spent
from mintls.kube.client import ApiClient
from mintls.kube.errors import AlreadyExists, ApiError
from mintls.kube.paths import SPENT_IDENTIFIERS

logger = logging.getLogger(__name__)

# A caller waits for it: better 503 soon than an answer that nobody waits for any more.
_SECONDS = 5.0


class LedgerUnavailable(Exception):  # noqa: N818 - reads as the sentence that it stands for
    """It could not be written down."""


class Ledger(Protocol):
    """What the endpoints need of it."""

    async def spend(self, spent: Spent) -> bool:
        """Write down that an identifier is spent.

        Returns:
            False if it was spent before; of several callers at once exactly one gets True.

        Raises:
            LedgerUnavailable: It could not be written down, or nobody knows whether it was.
        """


class KubeLedger:
    """The ledger in the Kubernetes API, in the operator's namespace."""

    def __init__(self, api: ApiClient, namespace: str) -> None:
        self._api = api
        self._path = SPENT_IDENTIFIERS.collection(namespace)

    async def spend(self, spent: Spent) -> bool:
        """As ``Ledger.spend``."""
        body = {
            "apiVersion": SPENT_IDENTIFIERS.api_version,
            "kind": SPENT_IDENTIFIERS.kind,
            "metadata": {"name": spent.name},
            "spec": {
                "use": spent.use.value,
                "clientID": spent.client_id,
                "expires": spent.expires.isoformat().replace("+00:00", "Z"),
            },
        }
        try:
            await self._api.create(self._path, body, seconds=_SECONDS)
        except AlreadyExists:
            return False
        except ApiError as error:
            logger.error("an identifier could not be written down as spent: %s", error)  # noqa: TRY400 - the message says it all
            raise LedgerUnavailable(str(error)) from error
        return True
