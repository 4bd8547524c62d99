"""SpentIdentifiers that have expired are deleted. Every replica does it, since none is special."""

import asyncio
import logging
import random
from datetime import datetime, timedelta

from mintls.issuer.exchange import Clock
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError, NotFound
from mintls.kube.informer import Informer
from mintls.kube.paths import SPENT_IDENTIFIERS

logger = logging.getLogger(__name__)

SECONDS = 30.0
# A replica whose clock is behind this one's must not meet an identifier that is forgotten while it is still good there.
_SKEW = timedelta(minutes=2)


async def sweep(api: ApiClient, spent: Informer[datetime], clock: Clock) -> None:
    """Delete what has expired, again and again, until cancelled.

    Args:
        api: The Kubernetes API.
        spent: When each of those that there are expires, live.
        clock: Now, as aware UTC.
    """
    while True:
        # Apart from each other, so that most of the time one replica finds the work of another done.
        await asyncio.sleep(SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - nothing secret
        try:
            await _sweep_once(api, spent, clock)
        except ApiError as error:
            logger.warning("expired SpentIdentifiers stay for now: %s", error)


async def _sweep_once(api: ApiClient, spent: Informer[datetime], clock: Clock) -> None:
    limit = clock() - _SKEW
    for namespace, name in [key for key, expires in spent.store.items() if expires < limit]:
        try:
            await api.delete(SPENT_IDENTIFIERS.item(namespace, name))
        except NotFound:
            continue
