"""Writes to the Kubernetes API, each made only while this process holds the Lease."""

from collections.abc import Callable
from typing import Any

from mintls.kube.client import ApiClient

type Object = dict[str, Any]


class NotLeadingError(Exception):
    """This process may not write: another replica leads, or may soon."""


class Writer:
    """The write verbs of ``ApiClient``; before each one it is asked whether we still lead."""

    def __init__(self, api: ApiClient, leading: Callable[[], bool]) -> None:
        """Prepare.

        Args:
            api: Carries the writes out.
            leading: Whether this process holds the Lease now.
        """
        self._api = api
        self._leading = leading

    async def create(self, path: str, body: Object) -> Object:
        """POST; as ``ApiClient.create``."""
        self._check()
        return await self._api.create(path, body)

    async def replace(self, path: str, body: Object) -> Object:
        """PUT; as ``ApiClient.replace``."""
        self._check()
        return await self._api.replace(path, body)

    async def apply(self, path: str, body: Object) -> Object:
        """Server-side apply under our field manager; as ``ApiClient.apply``."""
        self._check()
        return await self._api.apply(path, body)

    async def merge_patch(self, path: str, body: Object) -> Object:
        """Merge patch; as ``ApiClient.merge_patch``."""
        self._check()
        return await self._api.merge_patch(path, body)

    async def replace_status(self, path: str, uid: str, status: Object) -> Object:
        """The status of the object with that uid; as ``ApiClient.replace_status``."""
        self._check()
        return await self._api.replace_status(path, uid, status)

    async def delete(self, path: str, *, uid: str | None = None, resource_version: str | None = None) -> Object:
        """DELETE; as ``ApiClient.delete``."""
        self._check()
        return await self._api.delete(path, uid=uid, resource_version=resource_version)

    def _check(self) -> None:
        if not self._leading():
            raise NotLeadingError("the lease was lost; nothing more is written by this replica")
