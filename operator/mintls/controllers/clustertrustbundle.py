"""The roots of all authorities as a ClusterTrustBundle (``certificates.k8s.io/v1beta1``), where the API serves it.

A pod has them by a projected volume, in any namespace, with no ConfigMap and no Secret.
"""

from collections.abc import Mapping
from datetime import datetime

from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.writer import Writer
from mintls.kube.paths import CLUSTER_TRUST_BUNDLES
from mintls.reconcile.credential import COMPONENT, MANAGED_BY
from mintls.reconcile.servicerequest import SIGNER

NAME = f"{SIGNER.replace('/', ':')}:roots"


class ClusterTrustBundleController:
    """Keeps it as it should be."""

    def __init__(self, *, writer: Writer, bundles: Mapping[tuple[str, str], str], keyring: Keyring) -> None:
        """Prepare.

        Args:
            writer: Writes it.
            bundles: What the bundles of our signer hold now.
            keyring: Has the roots.
        """
        self._writer = writer
        self._bundles = bundles
        self._keyring = keyring

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at it; ``key`` says nothing more.

        Raises:
            ApiError: It was not written.
        """
        del key
        wanted = self._keyring.bundle()
        if wanted and self._bundles.get(("", NAME)) != wanted:
            body = {
                "apiVersion": CLUSTER_TRUST_BUNDLES.api_version,
                "kind": CLUSTER_TRUST_BUNDLES.kind,
                "metadata": {"name": NAME, "labels": {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: "trust-bundle"}},
                "spec": {"signerName": SIGNER, "trustBundle": wanted},
            }
            await self._writer.apply(CLUSTER_TRUST_BUNDLES.item(None, NAME), body)
        return None
