"""Writes to the Kubernetes API, each made only while this process holds the Lease."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mintls.kube.client import ApiClient

type Object = dict[str, Any]


class NotLeadingError(Exception):
    """This process may not write: another replica leads, or may soon."""


class Writer:
    """The write verbs of ``ApiClient``; before each one it is asked whether we still lead.

    One that has no answer by the time that another replica may lead is given up: it must not be carried out after that.
    """

    def __init__(self, api: ApiClient, seconds_left: Callable[[], float]) -> None:
        """Prepare.

        Args:
            api: Carries the writes out.
            seconds_left: For how long this process holds the Lease even if it is not renewed; 0 if it does not.
        """
        self._api = api
        self._seconds_left = seconds_left

    async def create(self, path: str, body: Object) -> Object:
        """POST; as ``ApiClient.create``."""
        return await self._write(lambda: self._api.create(path, body))

    async def replace(self, path: str, body: Object) -> Object:
        """PUT; as ``ApiClient.replace``."""
        return await self._write(lambda: self._api.replace(path, body))

    async def apply(self, path: str, body: Object) -> Object:
        """Server-side apply under our field manager; as ``ApiClient.apply``."""
        return await self._write(lambda: self._api.apply(path, body))

    async def merge_patch(self, path: str, body: Object) -> Object:
        """Merge patch; as ``ApiClient.merge_patch``."""
        return await self._write(lambda: self._api.merge_patch(path, body))

    async def replace_status(self, path: str, uid: str, status: Object) -> Object:
        """The status of the object with that uid; as ``ApiClient.replace_status``."""
        return await self._write(lambda: self._api.replace_status(path, uid, status))

    async def delete(self, path: str, *, uid: str | None = None, resource_version: str | None = None) -> Object:
        """DELETE; as ``ApiClient.delete``."""
        return await self._write(lambda: self._api.delete(path, uid=uid, resource_version=resource_version))

    async def _write(self, request: Callable[[], Awaitable[Object]]) -> Object:
        left = self._seconds_left()
        if left <= 0:
            raise NotLeadingError("the lease is not held; nothing is written by this replica")
        bound = asyncio.timeout(left)
        try:
            async with bound:
                return await request()
        except TimeoutError as late:
            if not bound.expired():
                raise
            raise NotLeadingError("the lease was not renewed while a write waited for its answer") from late
