"""The ConfigMaps that an authority has in the operator's namespace: made, applied, or left to whoever made them."""

import contextlib
from collections.abc import Mapping
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.objects import ObjectStore
from mintls.controllers.publishedlists import LISTS, RECORD, PublishedLists, labels_of, name_of
from mintls.controllers.refusals import violation_of
from mintls.controllers.reporting import Reporter
from mintls.controllers.writer import Writer
from mintls.kube.errors import AlreadyExists, ApiError
from mintls.kube.paths import CONFIGMAPS
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason

_NOT_WRITTEN = {LISTS: "the CRL was not published", RECORD: "the record of issued certificates was not written"}


class Publishing:
    """Writes such a ConfigMap, and tells of the authority where that cannot be."""

    def __init__(
        self,
        *,
        writer: Writer,
        published: PublishedLists,
        authorities: ObjectStore[CertificateAuthority],
        reporter: Reporter[CertificateAuthority],
        namespace: str,
    ) -> None:
        """Prepare.

        Args:
            writer: Writes.
            published: The ConfigMaps as they are now.
            authorities: The CertificateAuthorities.
            reporter: Posts events.
            namespace: The operator's namespace.
        """
        self._writer = writer
        self._published = published
        self._authorities = authorities
        self._reporter = reporter
        self._namespace = namespace

    async def write(self, component: str, name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create or apply; ``None`` if there is a ConfigMap of that name that is somebody else's, or a new one.

        Raises:
            ApiError: It was not written.
        """
        target, there = name_of(component, name), self._published.get(component, name)
        metadata = {"name": target, "namespace": self._namespace, "labels": labels_of(component, name)}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
        if there is None:
            with contextlib.suppress(AlreadyExists):  # the watch tells of it in a moment
                return await self._writer.create(CONFIGMAPS.collection(self._namespace), body)
            return None
        if there.ours:
            return await self._writer.apply(CONFIGMAPS.item(self._namespace, target), body)
        message = (
            f"{_NOT_WRITTEN[component]}: ConfigMap {self._namespace}/{target} was made by somebody else, and is left "
            "as it is; delete it, and it is made by Mintls"
        )
        await self._announce(name, Violation(Reason.CRL_NOT_PUBLISHED, message))
        return None

    async def failed(self, component: str, name: str, error: ApiError) -> None:
        """Tell that it was not written."""
        await self._announce(name, violation_of(error, _NOT_WRITTEN[component]))

    async def no_room(self, name: str, what: str) -> None:
        """Tell that a ConfigMap cannot hold everything."""
        message = (
            f"{what}: a ConfigMap has no room for them. The token issuer refuses them all the same; verifiers that go "
            "by the CRL do so again after a root rotation (kubectl mintls rotate-root)"
        )
        await self._announce(name, Violation(Reason.CRL_FULL, message))

    async def _announce(self, name: str, violation: Violation) -> None:
        authority = self._authorities.get(("", name))
        if authority is not None:
            await self._reporter.announce(
                authority, Announcement(warning=True, reason=violation.reason, message=violation.message)
            )
