"""One replica of the operator: wait for the Lease, catch up, work until told to stop."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from mintls.controllers.assembly import Assembly
from mintls.controllers.earlywatches import Handover, follow
from mintls.controllers.firstauthority import create_first_authority
from mintls.controllers.gauges import (
    observe_bundles,
    observe_lists,
    observe_readiness,
    observe_renewals,
    observe_rotations,
)
from mintls.controllers.handlers import Heard, Stores, watch
from mintls.controllers.keys import Key, Kind
from mintls.controllers.metrics import Metrics
from mintls.controllers.objects import CustomResource, ObjectKey, ObjectStore
from mintls.controllers.queue import Lane
from mintls.controllers.reporting import RESOURCES
from mintls.controllers.scheduler import Clock, Scheduler
from mintls.controllers.settings import OperatorSettings
from mintls.controllers.tasks import any_of, running, unless
from mintls.controllers.triggers import CLIENT_SIGNING_KEYS, CLUSTER_TRUST_BUNDLE, SERVER_CERTIFICATE, SIGNING_KEYS
from mintls.controllers.watching import Watching
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.core.schedule import backoff
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError, NotFound, Unreachable
from mintls.kube.informer import Informer
from mintls.kube.lease import Lease
from mintls.kube.paths import CLUSTER_TRUST_BUNDLES

logger = logging.getLogger(__name__)

LEASE = "mintls-operator"
_FIRST_RETRY = timedelta(milliseconds=200)
_LONGEST_RETRY = timedelta(minutes=2)
_PASSWORDS_SECONDS = 10.0
_LONGEST_START_WAIT = timedelta(seconds=10)


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
        self._writer = Writer(api, lambda: self._lease.seconds_left)
        self._parts = Assembly(settings, api, self._writer, clock)
        seconds = settings.lease_seconds
        self._lease = Lease(
            api,
            settings.installation.operator_namespace,
            LEASE,
            settings.identity,
            duration=seconds,
            renew_deadline=seconds * 2 / 3,
            retry=min(2.0, seconds / 7),
            memo=self._parts.issued,
        )
        self._reconcilers = self._parts.reconcilers()
        self._scheduler = Scheduler(self._parts.triggers.due, clock)
        self._failures: dict[Key, int] = {}
        self._unreached: set[Key] = set()
        api.reachability.on_back(self._try_again)
        self._problem = ""
        self._positions: dict[ObjectStore[Any], str] = {}
        self._heard = Heard(self._watched())
        self._watching = Watching(
            api,
            frozenset(store.type.KIND.plural for store in self._stores()),
            watch=self._watch,
            sweep=self._sweep_all,
            on_restart=metrics.watch_restarts.inc,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Wait for the Lease, then lead until told to stop.

        Raises:
            LeaseLostError: Another replica may lead now.
        """
        if not await unless(stop, self._lease.acquire()):
            return
        try:
            await self._lead(stop)
        finally:
            await self._parts.replicas.close()
            await self._parts.external.close()
            await self._lease.release()

    async def _lead(self, stop: asyncio.Event) -> None:
        async with contextlib.AsyncExitStack() as stack:

            async def start(coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return await stack.enter_async_context(running(coroutine, name))

            tasks = [await start(informer.run(), informer.resource.plural) for informer in self._parts.watches.needed]
            tasks.append(await start(self._parts.passwords.run(), "passwords"))
            served = await self._served()
            tasks += [await start(informer.run(), informer.resource.plural) for informer in served]
            if not await unless(stop, self._catch_up(served)):
                return
            tasks.append(await start(self._scheduler.run(), "scheduler"))
            tasks.append(await start(self._sweep_now_and_then(), "sweep"))
            tasks += [await start(self._work(), f"worker {number}") for number in range(self._settings.workers)]
            tasks.append(await start(self._handover().run(), "watches"))
            await any_of(stop, self._lease.lost, tasks=tasks)
        if self._lease.lost.is_set():
            raise LeaseLostError("the Lease was lost")

    # --- know everything before anything is decided ---

    async def _served(self) -> tuple[Informer[Any], ...]:
        """The watches of kinds that this Kubernetes serves; others would be asked for in vain for ever."""
        known: set[str] = set()

        async def ask(root: str) -> None:
            try:
                answer = await self._api.get(root)
            except NotFound:
                return
            known.update(f"{root}/{kind['name']}" for kind in answer.get("resources", ()))

        for root in dict.fromkeys(one.resource.root for one in self._parts.watches.optional):
            await self._until_done(partial(ask, root), root)
        served = tuple(one for one in self._parts.watches.optional if one.resource.collection() in known)
        self._parts.triggers.cluster_bundles = any(one.resource is CLUSTER_TRUST_BUNDLES for one in served)
        return served

    async def _catch_up(self, served: tuple[Informer[Any], ...]) -> None:
        """List everything, so that a restart writes nothing that is not needed."""
        for store in self._stores():
            await self._until_done(partial(self._sweep, store), store.type.__name__)
        if self._settings.create_authority:
            await self._until_done(self._create_authority, "first authority")
        for informer in (*self._parts.watches.needed, *served):
            await informer.synced()
        await self._parts.passwords.synced(_PASSWORDS_SECONDS)
        for authority in self._parts.authorities:
            await self._look(Key(Kind.AUTHORITY, "", authority.metadata.name))
        await self._look(SIGNING_KEYS)
        await self._look(CLIENT_SIGNING_KEYS)
        await self._look(SERVER_CERTIFICATE)
        self._parts.lacks.begin(self._parts.bundles.namespaces())
        self._parts.triggers.all_bundles()
        if self._parts.triggers.cluster_bundles:
            self._parts.queue.add(CLUSTER_TRUST_BUNDLE, Lane.URGENT)
        self._parts.triggers.caught_up = True
        counts = [f"{len(store)} {store.type.KIND.plural}" for store in self._stores()]
        logger.info("leading: %s", ", ".join(counts))

    def _stores(self) -> tuple[ObjectStore[CustomResource], ...]:
        parts = self._parts
        return (parts.authorities, parts.clients, parts.certificates)  # type: ignore[return-value]  # only read as such

    async def _create_authority(self) -> None:
        namespace = self._settings.installation.operator_namespace
        with contextlib.suppress(NotLeadingError):
            await create_first_authority(
                self._api, self._writer, self._parts.authorities, self._settings.authority, namespace=namespace
            )

    async def _until_done(self, step: Callable[[], Awaitable[None]], name: str) -> None:
        failures = 0
        while True:
            try:
                await step()
            except ApiError as error:
                failures += 1
                wait = backoff(failures, name, first=_FIRST_RETRY, ceiling=_LONGEST_START_WAIT)
                logger.warning("cannot begin yet, next attempt in %.1f s: %s", wait.total_seconds(), error)
                self._problem = str(error)
                await self._api.reachability.pause(wait.total_seconds())
            else:
                self._problem = ""
                return

    def _handover(self) -> Handover:
        return Handover(
            ours=partial(follow, self._api, self._positions),
            is_worked_off=lambda: not self._parts.queue.depth(Lane.RENEWAL),
            kopf=self._watching.run,
            has_listed=lambda: self._heard.is_everything,
            sweep=self._sweep_all,
        )

    async def _watch(self) -> None:
        await watch(self._watched(), self._api.credentials, self._api.limits, self._heard)

    def _watched(self) -> Stores:
        return (self._parts.clients, self._parts.certificates, self._parts.authorities)

    async def _sweep_now_and_then(self) -> None:
        """Kopf does not tell of objects that vanished while a watch was broken: list them now and then."""
        while True:
            await asyncio.sleep(self._settings.sweep_seconds)
            problem = await self._sweep_all()
            if problem:
                logger.warning("a full list failed, the watches go on: %s", problem)

    async def _sweep_all(self) -> str:
        """List everything; what could not be listed, in words."""
        problems = []
        for store in self._stores():
            try:
                await self._sweep(store)
            except ApiError as error:
                problems.append(str(error))
        return "; ".join(problems)

    async def _sweep(self, store: ObjectStore[CustomResource]) -> None:
        before, seen = store.uids(), set[ObjectKey]()
        async with contextlib.aclosing(self._api.list_raw(RESOURCES[store.type].collection())) as pages:
            async for page in pages:
                seen.update(map(store.listed, page.items))
                self._positions[store] = page.metadata.resource_version
        for key in before.keys() - seen:
            store.gone(key, before[key])  # by uid: another of that name may have been made while the list ran

    # --- work ---

    async def _work(self) -> None:
        while True:
            await self._lease.wait_held()
            key = await self._parts.queue.take()
            try:
                await self._look(key)
            finally:
                self._parts.queue.done(key)
            # A look at what is well waits for nothing. At a start there are thousands of them in a row: without this
            # nothing else would be done until the last of them, no watch read and no Lease renewed.
            await asyncio.sleep(0)

    async def _look(self, key: Key) -> None:
        began, outcome = time.perf_counter(), "ok"
        try:
            again = await self._reconcilers[key.kind](key)
            self._failures.pop(key, None)
        except NotLeadingError:
            # Either the Lease is held again, or this process ends.
            self._parts.queue.add(key, Lane.URGENT)
            return
        except Unreachable as error:
            self._unreached.add(key)
            again, outcome = self._failed(key, str(error)), "api_error"
        except ApiError as error:
            again, outcome = self._failed(key, str(error), error.retry_after or 0.0), "api_error"
        except Exception:
            logger.exception("%s: a defect", key)
            again, outcome = self._failed(key, "a defect, see the log"), "defect"
        self._scheduler.set(key, again)
        self._metrics.reconciliations.labels(key.kind, outcome).inc()
        self._metrics.reconciliation_seconds.labels(key.kind).observe(time.perf_counter() - began)

    def _failed(self, key: Key, problem: str, asked_seconds: float = 0.0) -> datetime:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = backoff(failures, str(key), first=_FIRST_RETRY, ceiling=_LONGEST_RETRY)
        wait = max(wait, timedelta(seconds=asked_seconds))  # as Retry-After says
        logger.warning("%s: attempt %d failed, next in %.1f s: %s", key, failures, wait.total_seconds(), problem)
        return self._clock() + wait

    def _try_again(self) -> None:
        """The API server is back: whoever had no answer need not wait as long as after so many failures."""
        for key in self._unreached:
            self._parts.queue.add(key, Lane.URGENT)
        self._unreached.clear()

    # --- health ---

    def live(self) -> str:
        """For ``/livez``: a leader of whose watches none gives a sign of life is restarted."""
        if not self._parts.triggers.caught_up:
            return ""
        now = time.monotonic()
        if any(informer.healthy(now) for informer in self._parts.watches.needed):
            return ""
        return "no watch gave a sign of life for long: the Kubernetes API does not answer this process"

    def ready(self) -> str:
        """For ``/readyz``: a replica that waits for the Lease is ready to take over."""
        if not self._lease.held:
            return (
                "the Lease could not be renewed in time: nothing is written until it is" if self._lease.lapsed else ""
            )
        if self._parts.triggers.caught_up:
            return self._watching.problem
        problems = [self._problem, *(informer.problem for informer in self._parts.watches.needed)]
        return ": ".join(["still reading the objects", *dict.fromkeys(filter(None, problems))])

    def observe(self) -> None:
        """Refresh the gauges."""
        self._metrics.leading.set(self._lease.held)
        for lane in Lane:
            self._metrics.queue.labels(lane.name.lower()).set(self._parts.queue.depth(lane))
        for store in self._stores():
            self._metrics.objects.labels(store.type.__name__).set(len(store))
        self._metrics.scheduled.set(len(self._scheduler))
        observe_readiness(self._metrics, itertools.chain.from_iterable(store.ailing() for store in self._stores()))
        observe_renewals(self._metrics, self._parts.certificates.ailing())
        observe_rotations(self._metrics, self._parts.authorities)
        observe_bundles(self._metrics, self._parts.lacks.by_reason())
        observe_lists(self._metrics, self._parts.published.lists())
