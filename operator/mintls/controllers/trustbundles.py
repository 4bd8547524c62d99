"""The trust bundle ConfigMap in each namespace that has an object of ours, or that an authority selects."""

import base64
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.scheduler import Clock
from mintls.controllers.writer import Writer
from mintls.kube.client import ApiClient
from mintls.kube.errors import AlreadyExists, Forbidden, NotFound
from mintls.kube.paths import CONFIGMAPS
from mintls.reconcile.trustbundle import NAME, Found, Observed, bundle_for, decide, is_selected, manifest

logger = logging.getLogger(__name__)

_FOREIGN_AGAIN = timedelta(minutes=10)


class NamespaceUse:
    """How many objects of ours each namespace has."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def changed(self, namespace: str, old: object | None, new: object | None) -> bool:
        """Follow one object.

        Returns:
            Whether the namespace came into use or went out of it.
        """
        if (old is None) == (new is None):
            return False
        before = self._counts.get(namespace, 0)
        after = before + (1 if new is not None else -1)
        if after > 0:
            self._counts[namespace] = after
        else:
            self._counts.pop(namespace, None)
        return (before > 0) != (after > 0)

    def namespaces(self) -> frozenset[str]:
        """Those in use."""
        return frozenset(self._counts)


def found_of(body: Mapping[str, Any]) -> Found:
    """The part of a ConfigMap that decisions look at."""
    binary = {name: base64.b64decode(value) for name, value in (body.get("binaryData") or {}).items()}
    return Found(labels=body["metadata"].get("labels") or {}, data=body.get("data") or {}, binary=binary)


def labels_of(body: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a namespace."""
    labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    return labels


class TrustBundleController:
    """Keeps ``mintls-trust-bundle`` where it is needed."""

    def __init__(
        self,
        *,
        api: ApiClient,
        writer: Writer,
        bundles: Mapping[tuple[str, str], Found],
        use: NamespaceUse,
        labels: Mapping[tuple[str, str], Mapping[str, str]],
        keyring: Keyring,
        namespace: str,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            api: Reads a ConfigMap that carries no label of ours.
            writer: Writes.
            bundles: The ConfigMaps with our label, as they are now.
            use: Which namespaces need one because of what is in them.
            labels: The labels of each namespace, by "" and its name, as they are now.
            keyring: Has the roots.
            namespace: The operator's namespace, which always has a bundle.
            clock: The time.
        """
        self._api = api
        self._writer = writer
        self._bundles = bundles
        self._use = use
        self._labels = labels
        self._keyring = keyring
        self._namespace = namespace
        self._clock = clock

    def namespaces(self) -> frozenset[str]:
        """Where a bundle is, or has to be."""
        views = self._keyring.views()
        selected = {name for (_, name), labels in self._labels.items() if is_selected(views, labels)}
        return self._use.namespaces() | {self._namespace} | {namespace for namespace, _ in self._bundles} | selected

    def behind(self) -> int:
        """In how many namespaces the bundle is not as it should be; somebody else's ConfigMap is not ours to change."""
        return sum(decide(self._observe(namespace)) not in {"keep", "foreign"} for namespace in self.namespaces())

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one namespace.

        Returns:
            When to look again; ``None`` for when something changes.

        Raises:
            ApiError: The ConfigMap was not written.
        """
        seen = self._observe(key.namespace)
        try:
            return await self._carry_out(seen)
        except AlreadyExists:
            body = await self._api.get(CONFIGMAPS.item(key.namespace, NAME))
            return await self._carry_out(replace(seen, found=found_of(body)))
        except NotFound:
            return None  # the namespace is gone, and its bundle with it
        except Forbidden as error:
            if not error.namespace_terminating:
                raise
            return None

    def _observe(self, namespace: str) -> Observed:
        views, labels = self._keyring.views(), self._labels.get(("", namespace), {})
        in_use = namespace in self._use.namespaces() or namespace == self._namespace
        return Observed(
            namespace=namespace,
            needed=in_use or is_selected(views, labels),
            found=self._bundles.get((namespace, NAME)),
            bundle=bundle_for(views, labels, in_use=in_use),
        )

    async def _carry_out(self, seen: Observed) -> datetime | None:
        match decide(seen):
            case "create":
                body = manifest(seen.namespace, seen.bundle)
                await self._writer.create(CONFIGMAPS.collection(seen.namespace), body)
            case "apply":
                body = manifest(seen.namespace, seen.bundle)
                await self._writer.apply(CONFIGMAPS.item(seen.namespace, NAME), body)
            case "delete":
                await self._writer.delete(CONFIGMAPS.item(seen.namespace, NAME))
            case "foreign":
                logger.warning(
                    "ConfigMap %s/%s was made by somebody else and is left as it is: workloads of the namespace find "
                    "the roots in ca.crt of their Secrets; delete the ConfigMap to have it made by Mintls",
                    seen.namespace,
                    NAME,
                )
                return self._clock() + _FOREIGN_AGAIN
        return None
