"""The operator, put together: stores and views feed the queue, workers reconcile, one scheduler brings keys back."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import kopf

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers import signingkeys
from mintls.controllers.authorities import AuthorityController
from mintls.controllers.certificates import CertificateController, CertificateIndex
from mintls.controllers.clients import ClientController, ClientTable
from mintls.controllers.handlers import login_as, quiet_settings, registry_for
from mintls.controllers.issuers import Endpoints, EndpointSlices, IssuerReplicas, StaticEndpoints
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key, Kind
from mintls.controllers.metrics import Metrics
from mintls.controllers.objects import ObjectKey, ObjectStore, key_of
from mintls.controllers.queue import Lane, ReconcileQueue
from mintls.controllers.reporting import RESOURCES, Reporter
from mintls.controllers.scheduler import Clock, Scheduler
from mintls.controllers.secretviews import SecretViews, view_of
from mintls.controllers.servercertificate import ServerCertificateController
from mintls.controllers.signingkeys import SigningKeysController
from mintls.controllers.trustbundles import NamespaceUse, TrustBundleController, found_of
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.core.schedule import backoff
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError
from mintls.kube.events import EventRecorder
from mintls.kube.informer import Change, Informer
from mintls.kube.lease import Lease
from mintls.kube.paths import CONFIGMAPS, ENDPOINT_SLICES, SECRETS
from mintls.reconcile import servercertificate
from mintls.reconcile.certificateauthority import AUTHORITY
from mintls.reconcile.credential import MANAGED_BY, SecretView
from mintls.reconcile.installation import Installation
from mintls.reconcile.trustbundle import Found

logger = logging.getLogger(__name__)

_LABEL = f"{MANAGED_BY[0]}={MANAGED_BY[1]}"
_SWEEP_SECONDS = 300.0
_SIGNING_KEYS = Key(Kind.SIGNING_KEYS)
_SERVER_CERTIFICATE = Key(Kind.SERVER_CERTIFICATE)


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What an operator is told when it starts.

    Attributes:
        installation: Names and addresses of the installation.
        identity: Unique per process: ``holderIdentity`` of the Lease.
        authority: The CertificateAuthority that signs the issuer's certificate and the operator's.
        issuer_service: Service whose ready endpoints are the issuer's replicas.
        issuer_port_name: Name of its port that does mTLS.
        issuer_replicas: ``host:port`` of the replicas instead, where there is no Service.
        workers: Objects that are looked at side by side.
        lease_seconds: Seconds after which another replica takes over from one that died.
        kubeconfig: Path of a kubeconfig; ``None`` for KUBECONFIG or the pod's service account.
    """

    installation: Installation
    identity: str
    authority: str = "default"
    issuer_service: str = "mintls-issuer"
    issuer_port_name: str = "mtls"
    issuer_replicas: tuple[str, ...] = ()
    workers: int = 16
    lease_seconds: float = 15.0
    kubeconfig: str | None = None


class LeaseLostError(Exception):
    """Another replica leads or may lead; this process has to end and begin anew."""


class Operator:
    """One replica of the operator."""

    def __init__(self, settings: OperatorSettings, api: ApiClient, clock: Clock, metrics: Metrics) -> None:
        """Put the parts together; nothing is asked before ``run``."""
        self._settings = settings
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._started = False
        self._last_sign = time.monotonic()
        namespace = settings.installation.operator_namespace
        seconds = settings.lease_seconds
        self._lease = Lease(
            api,
            namespace,
            "mintls-operator",
            settings.identity,
            duration=seconds,
            renew_deadline=seconds * 2 / 3,
            retry=min(2.0, seconds / 7),
        )
        self._writer = Writer(api, lambda: self._lease.held)
        self._queue = ReconcileQueue()
        self._scheduler = Scheduler(self._due, clock)
        self._failures: dict[Key, int] = {}
        self._index = CertificateIndex()
        self._use = NamespaceUse()
        self._keyring = Keyring()
        self._clients = ClientTable(settings.installation)
        self._client_store = ObjectStore(OAuthClient, self._client_changed)
        self._certificate_store = ObjectStore(ClientCertificate, self._certificate_changed)
        self._authority_store = ObjectStore(CertificateAuthority, self._authority_changed)
        self._secrets = SecretViews(self._secret_changed)
        self._secret_informer: Informer[SecretView] = Informer(
            api,
            SECRETS,
            label_selector=_LABEL,
            metadata_only=True,
            decode=view_of,
            on_change=self._secrets.changed,
        )
        self._bundle_informer: Informer[Found] = Informer(
            api, CONFIGMAPS, label_selector=_LABEL, decode=found_of, on_change=self._bundle_changed
        )
        self._slice_informer: Informer[dict[str, Any]] | None = self._slices(api, namespace)
        self._replicas = IssuerReplicas(self._endpoints(), settings.installation.mtls_url)
        recorder = EventRecorder(api, host=settings.identity)
        self._reconcilers = self._controllers(recorder, namespace)

    def _slices(self, api: ApiClient, namespace: str) -> Informer[dict[str, Any]] | None:
        if self._settings.issuer_replicas:
            return None
        return Informer(
            api,
            ENDPOINT_SLICES,
            namespace=namespace,
            label_selector=f"kubernetes.io/service-name={self._settings.issuer_service}",
        )

    def _endpoints(self) -> Endpoints:
        informer = self._slice_informer
        if informer is None:
            return StaticEndpoints(self._settings.issuer_replicas)
        return EndpointSlices(lambda: informer.store, self._settings.issuer_port_name)

    def _controllers(
        self, recorder: EventRecorder, namespace: str
    ) -> dict[Kind, Callable[[Key], Awaitable[datetime | None]]]:
        api, writer, clock, installation = self._api, self._writer, self._clock, self._settings.installation
        return {
            Kind.AUTHORITY: AuthorityController(
                api=api,
                writer=writer,
                store=self._authority_store,
                reporter=Reporter(self._authority_store, writer, recorder, clock),
                keyring=self._keyring,
                namespace=namespace,
                clock=clock,
                on_change=self._keys_changed,
            ).reconcile,
            Kind.CLIENT: ClientController(
                store=self._client_store,
                authorities=self._authority_store,
                reporter=Reporter(self._client_store, writer, recorder, clock),
                table=self._clients,
                replicas=self._replicas,
                installation=installation,
                clock=clock,
            ).reconcile,
            Kind.CERTIFICATE: CertificateController(
                api=api,
                writer=writer,
                store=self._certificate_store,
                authorities=self._authority_store,
                reporter=Reporter(self._certificate_store, writer, recorder, clock),
                clients=self._clients,
                keyring=self._keyring,
                secrets=self._secrets,
                index=self._index,
                installation=installation,
                clock=clock,
            ).reconcile,
            Kind.TRUST_BUNDLE: self._bundle_controller(namespace).reconcile,
            Kind.SIGNING_KEYS: SigningKeysController(
                api=api, writer=writer, namespace=namespace, clock=clock
            ).reconcile,
            Kind.SERVER_CERTIFICATE: ServerCertificateController(
                api=api,
                writer=writer,
                keyring=self._keyring,
                replicas=self._replicas,
                installation=installation,
                authority=self._settings.authority,
                clock=clock,
            ).reconcile,
        }

    def _bundle_controller(self, namespace: str) -> TrustBundleController:
        self._bundles = TrustBundleController(
            api=self._api,
            writer=self._writer,
            bundles=self._bundle_informer.store,
            use=self._use,
            keyring=self._keyring,
            namespace=namespace,
            clock=self._clock,
        )
        return self._bundles

    # --- life ---

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the Lease, then lead until told to stop.

        Raises:
            LeaseLostError: Another replica may lead now.
        """
        if not await _before(stop, self._lease.acquire()):
            return
        self._metrics.leading.set(1)
        try:
            await self._lead(stop)
        finally:
            self._metrics.leading.set(0)
            await self._replicas.close()
            await self._lease.release()

    async def _lead(self, stop: asyncio.Event) -> None:
        kopf_stop = asyncio.Event()
        async with contextlib.AsyncExitStack() as tasks:
            for informer in self._informers():
                await tasks.enter_async_context(_task(informer.run()))
            await _before(stop, self._catch_up())
            await tasks.enter_async_context(_task(self._scheduler.run()))
            for _ in range(self._settings.workers):
                await tasks.enter_async_context(_task(self._work()))
            await tasks.enter_async_context(_task(self._sweep_now_and_then()))
            watching = asyncio.create_task(self._watch(kopf_stop))
            try:
                await _first(stop.wait(), self._lease.lost.wait(), watching)
            finally:
                kopf_stop.set()
                await asyncio.wait([watching], timeout=5)
        if self._lease.lost.is_set():
            raise LeaseLostError("the Lease was lost")
        if not stop.is_set():
            watching.result()
            raise RuntimeError("the watches ended by themselves")

    def _informers(self) -> Iterable[Informer[Any]]:
        optional = (self._slice_informer,) if self._slice_informer is not None else ()
        return (self._secret_informer, self._bundle_informer, *optional)

    async def _watch(self, stop: asyncio.Event) -> None:
        registry = registry_for(
            (self._client_store, self._certificate_store, self._authority_store),
            login_as(self._settings.kubeconfig),
            self._heartbeat,
        )
        await kopf.operator(
            registry=registry, settings=quiet_settings(), standalone=True, clusterwide=True, stop_flag=stop
        )

    async def _catch_up(self) -> None:
        """Know everything before anything is decided, so that a restart writes nothing that is not needed."""
        for store in (self._authority_store, self._client_store, self._certificate_store):
            await self._sweep(store)
        for informer in self._informers():
            await informer.synced()
        for authority in self._authority_store:
            await self._look(Key(Kind.AUTHORITY, "", authority.metadata.name))
        await self._look(_SIGNING_KEYS)
        await self._look(_SERVER_CERTIFICATE)
        for namespace in self._bundles.namespaces():
            self._queue.add(Key(Kind.TRUST_BUNDLE, namespace), Lane.RENEWAL)
        self._started = True
        logger.info(
            "caught up: %d authorities, %d clients, %d certificates",
            len(self._authority_store),
            len(self._client_store),
            len(self._certificate_store),
        )

    async def _sweep_now_and_then(self) -> None:
        """Kopf does not tell of objects that vanished while a watch was broken: list them now and then."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for store in (self._authority_store, self._client_store, self._certificate_store):
                with contextlib.suppress(ApiError):
                    await self._sweep(store)

    async def _sweep(self, store: ObjectStore[Any]) -> None:
        before, seen = store.keys(), set[ObjectKey]()
        async for page in self._api.list_pages(RESOURCES[store.type].collection()):
            for item in page["items"]:
                seen.add(key_of(item))
                store.saw(item)
            self._heartbeat()
        for key in before - seen:
            store.gone(key)

    # --- work ---

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                await self._look(key)
            finally:
                self._queue.done(key)

    async def _look(self, key: Key) -> None:
        began = time.perf_counter()
        try:
            again = await self._reconcilers[key.kind](key)
        except NotLeadingError:
            return
        except ApiError as error:
            again = self._failed(key, str(error))
            outcome = "api_error"
        except Exception as error:
            logger.exception("%s: a defect; it is tried again", key)
            again = self._failed(key, repr(error))
            outcome = "defect"
        else:
            self._failures.pop(key, None)
            outcome = "ok"
        self._scheduler.set(key, again)
        self._metrics.reconciliations.labels(key.kind, outcome).inc()
        self._metrics.reconciliation_seconds.labels(key.kind).observe(time.perf_counter() - began)

    def _failed(self, key: Key, problem: str) -> datetime:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = backoff(failures, str(key), first=timedelta(milliseconds=200), ceiling=timedelta(minutes=2))
        logger.warning("%s: attempt %d failed, next in %.1f s: %s", key, failures, wait.total_seconds(), problem)
        return self._clock() + wait

    def _due(self, key: Key) -> None:
        self._queue.add(key, Lane.RENEWAL if key.kind == Kind.CERTIFICATE else Lane.URGENT)

    # --- what a change asks for ---

    def _lane(self) -> Lane:
        """Until everything is known nobody waits for one object in particular."""
        return Lane.URGENT if self._started else Lane.RENEWAL

    def _add(self, kind: Kind, keys: Iterable[ObjectKey]) -> None:
        for namespace, name in keys:
            self._queue.add(Key(kind, namespace, name), self._lane())

    def _client_changed(self, key: ObjectKey, old: OAuthClient | None, new: OAuthClient | None) -> None:
        affected = self._clients.changed(key, new) | {key}
        self._add(Kind.CLIENT, affected)
        for client in affected:
            self._add(Kind.CERTIFICATE, self._index.of_client(client))
        self._namespace_used(key[0], old, new)

    def _certificate_changed(
        self, key: ObjectKey, old: ClientCertificate | None, new: ClientCertificate | None
    ) -> None:
        rivals = self._index.of_secret((key[0], old.spec.secret_name)) if old is not None else frozenset[ObjectKey]()
        self._index.changed(key, old, new)
        self._add(Kind.CERTIFICATE, {key} | rivals)
        self._namespace_used(key[0], old, new)

    def _authority_changed(
        self, key: ObjectKey, old: CertificateAuthority | None, new: CertificateAuthority | None
    ) -> None:
        self._queue.add(Key(Kind.AUTHORITY, "", key[1]), self._lane())
        if (old is None) != (new is None):
            self._keys_changed(key[1])

    def _keys_changed(self, name: str) -> None:
        """An authority came, went, or has other keys or limits."""
        self._add(Kind.CERTIFICATE, self._index.of_authority(name))
        self._add(Kind.CLIENT, self._clients.of_authority(name))
        for namespace in self._bundles.namespaces():
            self._queue.add(Key(Kind.TRUST_BUNDLE, namespace), self._lane())
        if name == self._settings.authority:
            self._queue.add(_SERVER_CERTIFICATE, self._lane())

    def _namespace_used(self, namespace: str, old: object | None, new: object | None) -> None:
        if self._use.changed(namespace, old, new):
            self._queue.add(Key(Kind.TRUST_BUNDLE, namespace), self._lane())

    def _secret_changed(self, key: ObjectKey, old: SecretView | None, new: SecretView | None) -> None:
        self._add(Kind.CERTIFICATE, self._index.of_secret(key))
        view = new or old
        if view is None or key[0] != self._settings.installation.operator_namespace:
            return
        if view.labels.get(AUTHORITY):
            self._queue.add(Key(Kind.AUTHORITY, "", view.labels[AUTHORITY]))
        elif key[1] == signingkeys.NAME:
            self._queue.add(_SIGNING_KEYS)
        elif key[1] == servercertificate.NAME:
            self._queue.add(_SERVER_CERTIFICATE)

    def _bundle_changed(self, change: Change[Found]) -> None:
        if self._started:
            self._queue.add(Key(Kind.TRUST_BUNDLE, change.key[0]))

    # --- health ---

    def _heartbeat(self) -> None:
        self._last_sign = time.monotonic()

    def live(self) -> str:
        """For ``/livez``: a leader whose watches gave no sign of life for long is restarted."""
        if not self._lease.held or not self._started:
            return ""
        now = time.monotonic()
        silent = [informer.resource.plural for informer in self._informers() if not informer.healthy(now)]
        return f"no sign of life from the Kubernetes API about {', '.join(silent)}" if len(silent) > 1 else ""

    def ready(self) -> str:
        """For ``/readyz``: a replica that waits for the Lease is ready to take over."""
        return "" if self._started or not self._lease.held else "still reading the objects"

    def observe_metrics(self) -> None:
        """Refresh the gauges."""
        for lane in Lane:
            self._metrics.queue.labels(lane.name.lower()).set(self._queue.depth(lane))
        for store in (self._authority_store, self._client_store, self._certificate_store):
            self._metrics.objects.labels(store.type.__name__).set(len(store))
        self._metrics.scheduled.set(len(self._scheduler))


@contextlib.asynccontextmanager
async def _task(coroutine: Any) -> Any:
    """A task for as long as the block lasts."""
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _first(*awaitables: Any) -> None:
    """Wait for the first of several, and leave the others that are tasks alone."""
    tasks = [a if isinstance(a, asyncio.Task) else asyncio.create_task(a) for a in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task, given in zip(tasks, awaitables, strict=True):
        if task is not given:
            task.cancel()


async def _before(stop: asyncio.Event, work: Any) -> bool:
    """Do the work unless told to stop first.

    Returns:
        Whether the work was done.
    """
    task, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return False
