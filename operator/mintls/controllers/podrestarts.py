"""Pods that are to be restarted when their credential was renewed: off unless a ClientCertificate asks for it.

The operator has the rights for it only where the chart was told so: without them an event says how to get them.
"""

from datetime import datetime, timedelta

from mintls.api.v1alpha1 import ClientCertificate
from mintls.api.v1alpha1.clientcertificate import RESTART_PODS
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import SecretViews
from mintls.controllers.writer import Writer
from mintls.kube.client import ApiClient
from mintls.kube.errors import Forbidden, NotFound, TooManyRequests
from mintls.kube.paths import PODS
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.podrestart import Pod, Restart, next_restart, reading
from mintls.reconcile.reasons import Reason

_REFUSED_AGAIN = timedelta(seconds=10)
_FORBIDDEN_AGAIN = timedelta(minutes=10)


class PodRestartController:
    """Restarts pods, one at a time."""

    def __init__(
        self,
        *,
        api: ApiClient,
        writer: Writer,
        store: ObjectStore[ClientCertificate],
        reporter: Reporter[ClientCertificate],
        secrets: SecretViews,
        clock: Clock,
    ) -> None:
        """Prepare; the arguments are the parts that it gathers from and writes through."""
        self._api = api
        self._writer = writer
        self._store = store
        self._reporter = reporter
        self._secrets = secrets
        self._clock = clock

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at the pods of one ClientCertificate.

        Returns:
            When to look again; ``None`` for when its Secret is written again.

        Raises:
            ApiError: The pods could not be read, or one not evicted for another reason than a budget.
        """
        certificate = self._store.get((key.namespace, key.name))
        if certificate is None or certificate.metadata.annotations.get(RESTART_PODS) != "true":
            return None
        secret = self._secrets.get((key.namespace, certificate.spec.secret_name))
        if secret is None or secret.written is None:
            return None
        try:
            return await self._look(certificate, secret.written)
        except Forbidden as error:
            message = (
                f'pods that read Secret "{certificate.spec.secret_name}" are not restarted, as the annotation '
                f"{RESTART_PODS} asks: {error}; `helm upgrade --set operator.restartPods=true` gives the rights"
            )
            await self._reporter.announce(
                certificate, Announcement(warning=True, reason=Reason.PODS_NOT_RESTARTED, message=message)
            )
            return self._clock() + _FORBIDDEN_AGAIN

    async def _look(self, certificate: ClientCertificate, written: datetime) -> datetime | None:
        found: list[Pod] = []
        async for page in self._api.list_pages(PODS.collection(certificate.metadata.namespace)):
            found += reading(page["items"], certificate.spec.secret_name)
        decision = next_restart(found, written, self._clock())
        if not isinstance(decision, Restart):
            return decision.look_again if decision else None
        return await self._evict(certificate, decision)

    async def _evict(self, certificate: ClientCertificate, order: Restart) -> datetime:
        namespace, pod = certificate.metadata.namespace, order.pod
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        try:
            await self._writer.create(f"{PODS.item(namespace, pod.name)}/eviction", eviction)
        except NotFound:
            return order.look_again
        except TooManyRequests as refused:
            message = f'pod "{pod.name}" waits to be restarted: {refused.message}'
            await self._reporter.announce(
                certificate, Announcement(warning=False, reason=Reason.PODS_NOT_RESTARTED, message=message)
            )
            return self._clock() + _REFUSED_AGAIN
        message = f'evicted pod "{pod.name}", which had read Secret "{certificate.spec.secret_name}" before its renewal'
        await self._reporter.announce(
            certificate, Announcement(warning=False, reason=Reason.POD_RESTARTED, message=message)
        )
        return order.look_again
