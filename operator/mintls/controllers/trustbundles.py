"""The trust bundle ConfigMap in each namespace that has an object of ours, or that an authority selects."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mintls.controllers.bundlelacks import BundleLacks
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.writer import Writer
from mintls.kube.errors import AlreadyExists, ApiError, Forbidden, NotFound
from mintls.kube.paths import CONFIGMAPS
from mintls.reconcile.bundlelack import NOT_OWNED, Lack
from mintls.reconcile.trustbundle import NAME, Found, Observed, bundle_for, decide, is_ours, is_selected, manifest


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
    labels = body["metadata"].get("labels") or {}
    if not is_ours(labels):
        return Found(labels, {})  # whatever else it holds is not ours to keep
    binary = {name: base64.b64decode(value) for name, value in (body.get("binaryData") or {}).items()}
    return Found(labels=labels, data=body.get("data") or {}, binary=binary)


def labels_of(body: Mapping[str, Any]) -> Mapping[str, str]:
    """The labels of a namespace."""
    labels: Mapping[str, str] = body["metadata"].get("labels") or {}
    return labels


class TrustBundleController:
    """Keeps ``mintls-trust-bundle`` where it is needed."""

    def __init__(
        self,
        *,
        writer: Writer,
        bundles: Mapping[tuple[str, str], Found],
        use: NamespaceUse,
        labels: Mapping[tuple[str, str], Mapping[str, str]],
        keyring: Keyring,
        lacks: BundleLacks,
        namespace: str,
    ) -> None:
        """Prepare.

        Args:
            writer: Writes.
            bundles: The ConfigMaps of the bundle's name, as they are now.
            use: Which namespaces need one because of what is in them.
            labels: The labels of each namespace, by "" and its name, as they are now.
            keyring: Has the roots.
            lacks: Is told what came of each look.
            namespace: The operator's namespace, which always has a bundle.
        """
        self._writer = writer
        self._bundles = bundles
        self._use = use
        self._labels = labels
        self._keyring = keyring
        self._lacks = lacks
        self._namespace = namespace

    def namespaces(self) -> frozenset[str]:
        """Where a bundle is, or has to be."""
        views = self._keyring.views()
        selected = {name for (_, name), labels in self._labels.items() if is_selected(views, labels)}
        return self._use.namespaces() | {self._namespace} | {namespace for namespace, _ in self._bundles} | selected

    def behind(self) -> int:
        """In how many namespaces the bundle is not as it should be; somebody else's ConfigMap is not ours to change."""
        return sum(decide(self._observe(namespace)) not in {"keep", "foreign"} for namespace in self.namespaces())

    def lacking(self, authority: str) -> dict[str, Lack] | None:
        """The namespaces without their bundle into which an authority's roots belong; ``None`` after a start."""
        view = self._keyring.view(authority)

        def concerns(namespace: str) -> bool:
            labels = self._labels.get(("", namespace), {})
            return self._in_use(namespace) or (view is not None and is_selected([view], labels))

        return self._lacks.of(concerns)

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one namespace.

        Returns:
            ``None``: it is looked at again when something changes.

        Raises:
            ApiError: The ConfigMap was not written.
        """
        try:
            self._lacks.saw(key.namespace, await self._look(key.namespace))
        except ApiError as error:
            self._lacks.failed(key.namespace, error)
            raise
        return None

    async def _look(self, namespace: str) -> Lack | None:
        try:
            return await self._carry_out(self._observe(namespace))
        except AlreadyExists:
            return None  # somebody was quicker, and the watch tells of it in a moment
        except NotFound:
            return None  # the namespace is gone, and its bundle with it
        except Forbidden as error:
            if not error.namespace_terminating:
                raise
            return None

    def _observe(self, namespace: str) -> Observed:
        views, labels = self._keyring.views(), self._labels.get(("", namespace), {})
        in_use = self._in_use(namespace)
        return Observed(
            namespace=namespace,
            needed=in_use or is_selected(views, labels),
            found=self._bundles.get((namespace, NAME)),
            bundle=bundle_for(views, labels, in_use=in_use),
        )

    def _in_use(self, namespace: str) -> bool:
        return namespace in self._use.namespaces() or namespace == self._namespace

    async def _carry_out(self, seen: Observed) -> Lack | None:
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
                return NOT_OWNED
        return None
