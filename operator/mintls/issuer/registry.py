"""Where clients are registered: OAuthClients of the Kubernetes API.

::

    RegistryUnavailable   the Kubernetes API cannot be asked, or does not let the issuer
    RegistryRefuses       the Kubernetes API refuses the object, and says what is wrong with it
"""

import logging
from typing import Any, Protocol

from mintls.kube.client import FIELD_MANAGER, ApiClient
from mintls.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from mintls.kube.managedfields import last_other
from mintls.kube.paths import OAUTH_CLIENTS
from mintls.reconcile.registeredclient import GRANT_LABEL

logger = logging.getLogger(__name__)

type Object = dict[str, Any]

# A caller waits for it: better 503 soon than an answer that nobody waits for any more.
_SECONDS = 5.0


class RegistryUnavailable(Exception):  # noqa: N818 - reads as the sentence that it stands for
    """It could not be read or written; nobody knows whether a write was carried out."""


class RegistryRefuses(Exception):  # noqa: N818 - reads as the sentence that it stands for
    """The object is not allowed; the message says what is wrong with it."""


class Registry(Protocol):
    """What the endpoints need of it. Each method raises ``RegistryUnavailable``; writes raise ``RegistryRefuses``."""

    async def count(self, namespace: str, grant: str) -> int:
        """How many clients there are that came by a grant."""

    async def find(self, namespace: str, name: str) -> Object | None:
        """An OAuthClient; ``None`` if there is none."""

    async def create(self, client: Object) -> Object:
        """Make an OAuthClient; returns it as it is then."""

    async def replace(self, client: Object) -> Object:
        """Write an OAuthClient that nobody has changed since it was read; returns it as it is then."""

    async def delete(self, client: Object) -> None:
        """Delete this very OAuthClient; none is no error."""


def kept_by(client: Object) -> str:
    """Who else has changed the OAuthClient, as its field manager; "" if nobody has: then it is the issuer's."""
    return last_other(client["metadata"].get("managedFields", ()), FIELD_MANAGER)


class KubeRegistry:
    """The registry in the Kubernetes API."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def count(self, namespace: str, grant: str) -> int:
        """As ``Registry.count``."""
        pages = self._api.list_pages(OAUTH_CLIENTS.collection(namespace), label_selector=f"{GRANT_LABEL}={grant}")
        try:
            return sum([len(page["items"]) async for page in pages])
        except ApiError as error:
            raise _unavailable(error) from error

    async def find(self, namespace: str, name: str) -> Object | None:
        """As ``Registry.find``."""
        try:
            return await self._api.get(OAUTH_CLIENTS.item(namespace, name), seconds=_SECONDS)
        except NotFound:
            return None
        except ApiError as error:
            raise _unavailable(error) from error

    async def create(self, client: Object) -> Object:
        """As ``Registry.create``."""
        path = OAUTH_CLIENTS.collection(client["metadata"]["namespace"])
        try:
            return await self._api.create(path, client, seconds=_SECONDS)
        except ApiError as error:
            raise _refusal(error) or _unavailable(error) from error

    async def replace(self, client: Object) -> Object:
        """As ``Registry.replace``."""
        try:
            return await self._api.replace(_path(client), client, seconds=_SECONDS)
        except ApiError as error:
            raise _refusal(error) or _unavailable(error) from error

    async def delete(self, client: Object) -> None:
        """As ``Registry.delete``."""
        try:
            await self._api.delete(_path(client), uid=client["metadata"]["uid"])
        except (NotFound, Conflict):
            return  # another of its name is not the client that was to be deleted
        except ApiError as error:
            raise _unavailable(error) from error


def _path(client: Object) -> str:
    return OAUTH_CLIENTS.item(client["metadata"]["namespace"], client["metadata"]["name"])


def _refusal(error: ApiError) -> RegistryRefuses | None:
    """What is wrong with the object, if it is the schema or a policy of the cluster that refuses it."""
    if isinstance(error, Invalid):
        named = (": ".join(filter(None, (field, message))) for _, field, message in error.causes)
        return RegistryRefuses("; ".join(named) or error.message)
    if isinstance(error, Forbidden) and not (error.right_missing or error.quota or error.namespace_terminating):
        return RegistryRefuses(error.message)
    return None


def _unavailable(error: ApiError) -> RegistryUnavailable:
    logger.error("registration of clients: %s", error)
    return RegistryUnavailable(str(error))
