"""Secrets with passwords of keystores. They are their users': each is watched by its metadata, and read when needed.

They carry no label of ours, so each has a watch of its own, as the kubelet watches the Secrets of its pods one by one:
the API server looks such a watch up by the name. Nothing of other Secrets is ever heard.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mintls.api.v1alpha1.clientcertificate import ClientCertificateSpec
from mintls.controllers.secretviews import SecretKey, contents_of
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.informer import Informer
from mintls.kube.paths import SECRETS
from mintls.reconcile.keystores import Passwords, PasswordSecret, password_secrets


class PasswordSecrets:
    """Knows the versions of the Secrets with passwords that are in use, and reads them."""

    def __init__(
        self, api: ApiClient, *, used: Callable[[SecretKey], bool], on_change: Callable[[SecretKey], None]
    ) -> None:
        """Prepare; ``used`` says whether a Secret is in use, ``on_change`` is told of each change of one that is."""
        self._api = api
        self._used = used
        self._on_change = on_change
        self._watches: dict[SecretKey, Informer[str]] = {}
        self._moved = asyncio.Event()

    def follow(self, secrets: Iterable[SecretKey]) -> None:
        """These came into use, or went out of it."""
        for key in secrets:
            if not self._used(key):
                self._watches.pop(key, None)
            elif key not in self._watches:
                self._watches[key] = self._watch(key)
        self._moved.set()

    def _watch(self, key: SecretKey) -> Informer[str]:
        namespace, name = key
        return Informer(
            self._api,
            SECRETS,
            namespace=namespace,
            field_selector=f"metadata.name={name}",
            metadata_only=True,
            decode=_version,
            on_change=lambda _change: self._on_change(key),
        )

    def versions(self, namespace: str, spec: ClientCertificateSpec) -> dict[str, str]:
        """The versions of the Secrets that a spec names, by name; those that are not there, or not known yet, lack."""
        found = {name: self._known((namespace, name)) for name in password_secrets(spec)}
        return {name: version for name, version in found.items() if version}

    def _known(self, key: SecretKey) -> str:
        watch = self._watches.get(key)
        return watch.store.get(key, "") if watch else ""

    async def read(self, namespace: str, names: Iterable[str]) -> Passwords:
        """The Secrets of these names, as far as they are there.

        Raises:
            ApiError: One could not be read.
        """
        found: dict[str, PasswordSecret] = {}
        for name in sorted(names):
            with contextlib.suppress(NotFound):
                body = await self._api.get(SECRETS.item(namespace, name))
                found[name] = PasswordSecret(_version(body), contents_of(body).data)
        return found

    async def synced(self, seconds: float) -> None:
        """Wait until all that are in use are known, or for so long: what is not known then is read."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for watch in tuple(self._watches.values()):
                    await watch.synced()

    async def run(self) -> None:
        """Watch until cancelled."""
        tasks: dict[Informer[str], asyncio.Task[None]] = {}
        try:
            while True:
                self._moved.clear()
                wanted = set(self._watches.values())
                await _end(tasks.pop(watch) for watch in tasks.keys() - wanted)
                for watch in wanted - tasks.keys():
                    tasks[watch] = asyncio.create_task(watch.run(), name="password")
                await self._moved.wait()
        finally:
            await _end(tasks.values())


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = tuple(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)


def _version(body: Mapping[str, Any]) -> str:
    """Of this very Secret: another one of its name never has it."""
    metadata = body["metadata"]
    return f"{metadata['uid']}/{metadata['resourceVersion']}"
