"""What the operator watches beside the custom resources, which are kopf's to watch."""

from collections.abc import Callable, Mapping
from typing import Any

from mintls.controllers import publishedlists
from mintls.controllers.secretviews import SecretViews, view_of
from mintls.controllers.settings import OperatorSettings
from mintls.controllers.triggers import Triggers
from mintls.controllers.trustbundles import found_of, labels_of
from mintls.kube.client import ApiClient
from mintls.kube.informer import Change, Informer
from mintls.kube.paths import (
    CERTIFICATE_SIGNING_REQUESTS,
    CLUSTER_TRUST_BUNDLES,
    CONFIGMAPS,
    ENDPOINT_SLICES,
    NAMESPACES,
    POD_CERTIFICATE_REQUESTS,
    SECRETS,
    Resource,
)
from mintls.kube.reflection import Reflection
from mintls.reconcile.certificateauthority import AUTHORITY
from mintls.reconcile.credential import MANAGED_BY, SecretView
from mintls.reconcile.servicerequest import SIGNER
from mintls.reconcile.trustbundle import NAME, Found

_LABEL = f"{MANAGED_BY[0]}={MANAGED_BY[1]}"

type Object = dict[str, Any]
type Labels = Mapping[str, str]


class Watches:
    """One informer for each kind of object.

    Attributes:
        bundles: Trust bundles, by the name that they all have.
        namespaces: Labels of each namespace.
        slices: Where the issuer's replicas are; ``None`` where the settings name them.
        pod_certificate_requests: Those for our signer.
        signing_requests: Those for our signer.
        cluster_bundles: That of our signer.
        needed: Those that the operator cannot begin without.
        optional: Those of kinds that not every Kubernetes serves.
    """

    def __init__(
        self,
        api: ApiClient,
        settings: OperatorSettings,
        triggers: Triggers,
        *,
        secrets: SecretViews,
        on_namespace: Callable[[Change[Labels]], None],
        published: publishedlists.PublishedLists,
        on_replicas: Callable[[], None],
    ) -> None:
        """Prepare; nothing is watched yet.

        Args:
            api: Reads.
            settings: Says where our own objects and the issuer are.
            triggers: Told of what only fills the queue.
            secrets: Told of our Secrets.
            on_namespace: Told of namespaces.
            published: Told of ConfigMaps of the operator's namespace, CRLs among them.
            on_replicas: Told that the issuer's replicas changed.
        """
        self._api = api
        self._namespace = settings.installation.operator_namespace
        self.bundles: Informer[Found] = Informer(
            api,
            CONFIGMAPS,
            field_selector=f"metadata.name={NAME}",
            decode=found_of,
            on_change=triggers.bundle_changed,
        )
        self.namespaces: Informer[Labels] = Informer(
            api, NAMESPACES, metadata_only=True, decode=labels_of, on_change=on_namespace
        )
        self.slices = None if settings.issuer_replicas else self._slices(settings.issuer_service, on_replicas)
        self.pod_certificate_requests = self._of_signer(
            POD_CERTIFICATE_REQUESTS, triggers.pod_certificate_request_changed
        )
        self.signing_requests = self._of_signer(CERTIFICATE_SIGNING_REQUESTS, triggers.signing_request_changed)
        self.cluster_bundles: Informer[str] = Informer(
            api,
            CLUSTER_TRUST_BUNDLES,
            field_selector=f"spec.signerName={SIGNER}",
            decode=lambda item: str(item["spec"]["trustBundle"]),
            on_change=triggers.cluster_bundle_changed,
        )
        self.needed: tuple[Reflection, ...] = (
            self._secrets(secrets),
            self._supplied(triggers.supplied_authority_changed),
            self.bundles,
            self.namespaces,
            self._lists(published),
            *((self.slices,) if self.slices else ()),
        )
        self.optional: tuple[Informer[Any], ...] = (
            self.pod_certificate_requests,
            self.signing_requests,
            self.cluster_bundles,
        )

    def _secrets(self, views: SecretViews) -> Reflection:
        """Metadata alone: other people's Secrets, and the keys in ours, never come into this process's memory."""
        return Reflection(self._api, SECRETS, views, label_selector=_LABEL, metadata_only=True)

    def _supplied(self, on_change: Callable[[Change[SecretView]], None]) -> Informer[SecretView]:
        """CAs that somebody else keeps, if they say for which authority they are; the others are read now and then."""
        return Informer(
            self._api,
            SECRETS,
            namespace=self._namespace,
            label_selector=f"{AUTHORITY},{MANAGED_BY[0]}!={MANAGED_BY[1]}",
            metadata_only=True,
            decode=view_of,
            on_change=on_change,
        )

    def _lists(self, published: publishedlists.PublishedLists) -> Informer[publishedlists.Found | None]:
        """All of the namespace: one that stands where ours has to be carries no label of ours."""
        return Informer(
            self._api,
            CONFIGMAPS,
            namespace=self._namespace,
            decode=published.found_of,
            on_change=published.changed,
        )

    def _slices(self, service: str, on_change: Callable[[], None]) -> Informer[Object]:
        return Informer(
            self._api,
            ENDPOINT_SLICES,
            namespace=self._namespace,
            label_selector=f"kubernetes.io/service-name={service}",
            on_change=lambda _change: on_change(),
        )

    def _of_signer(self, resource: Resource, on_change: Callable[[Change[Object]], None]) -> Informer[Object]:
        return Informer(self._api, resource, field_selector=f"spec.signerName={SIGNER}", on_change=on_change)
