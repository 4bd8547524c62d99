"""The issuer from start to stop."""

import asyncio
import logging
import ssl
import sys
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from mintls.core.oauth.signing_keys import published_keys
from mintls.issuer.audit import WriteLine
from mintls.issuer.directory import Directory
from mintls.issuer.exchange import Clock
from mintls.issuer.extauthz.check import ExtAuthz
from mintls.issuer.extauthz.listener import GrpcListener
from mintls.issuer.jwksclient import JwksClient
from mintls.issuer.ledger import KubeLedger, Ledger
from mintls.issuer.listener import Listener
from mintls.issuer.metrics import Metrics
from mintls.issuer.paths import Paths
from mintls.issuer.registry import KubeRegistry, Registry
from mintls.issuer.remotekeys import RemoteKeys
from mintls.issuer.reviews import KubeReviewer, Reviewer
from mintls.issuer.server import Front, probe_app, refuse
from mintls.issuer.services import Services
from mintls.issuer.settings import Settings
from mintls.issuer.sources import Sources
from mintls.issuer.spans import Record
from mintls.issuer.sweep import sweep
from mintls.issuer.tls import ListenerTLS
from mintls.kube.client import ApiClient

logger = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The machine's clock."""
    return datetime.now(UTC)


def write_to_stdout(line: bytes) -> None:
    """Write an audit line to the standard output, at once."""
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the listeners ended up; 0 for one that there is not."""

    open: int
    mtls: int
    ext_authz: int = 0


class Issuer:
    """The issuer without Kubernetes: a directory that somebody fills, and the listeners that answer from it.

    Attributes:
        directory: What it knows.
        metrics: What it counts.
        remote_keys: Keys of clients that keep them at a URL; its ``run`` keeps them fresh.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        registry: Registry,
        reviewer: Reviewer,
        *,
        clock: Clock = utc_now,
        write_audit: WriteLine = write_to_stdout,
        record: Record | None = None,
    ) -> None:
        self.settings = settings
        self.directory = Directory(settings.issuer_url)
        self.metrics = Metrics()
        self._clock = clock
        fetches = JwksClient(allow_internal=settings.internal_jwks_uri, ca_file=settings.jwks_uri_ca_file)
        self.remote_keys = RemoteKeys(self.directory, fetches, clock, self.metrics.count_jwks_fetch)
        services = Services(
            settings, self.directory, Paths(self.directory), ledger, registry, self.remote_keys, reviewer
        )
        self._front = Front(services, self.metrics, clock=clock, write=write_audit, record=record)
        self._ext_authz = ExtAuthz(services, self.metrics, clock=clock, write=write_audit)
        self._open_tls = ListenerTLS(asks_for_certificate=False)
        self._mtls_tls, self._ext_authz_tls = (self._asking_tls(protocol) for protocol in ("http/1.1", "h2"))
        self._serving = False
        self.directory.on_tls_change(self._renew_tls)
        self._watch_directory()

    def _asking_tls(self, protocol: str) -> ListenerTLS:
        return ListenerTLS(
            asks_for_certificate=True,
            protocol=protocol,
            registered=lambda: self.directory.registered_certificates,
            awaits_strangers=lambda: self.directory.awaits_strangers,
            admits=self.directory.admits,
        )

    def missing(self) -> tuple[str, ...]:
        """Why it is not ready; empty when it is."""
        if self._front.draining:
            return ("stopping",)
        return self.directory.missing() or (() if self._serving else ("not listening yet",))

    async def serve(self, stack: AsyncExitStack) -> Ports:
        """Listen, until the stack is closed."""
        settings = self.settings
        limits = settings.limits
        of_all = Listener(self._front.open_app(), settings.open_address, limits, self._open_tls.base, refuse)
        of_mtls = Listener(self._front.mtls_app(), settings.mtls_address, limits, self._mtls_tls.base, refuse)
        ports = Ports(
            open=(await stack.enter_async_context(of_all)).port,
            mtls=(await stack.enter_async_context(of_mtls)).port,
            ext_authz=await self._serve_ext_authz(stack),
        )
        self._serving = True
        return ports

    async def _serve_ext_authz(self, stack: AsyncExitStack) -> int:
        address = self.settings.ext_authz_address
        if address is None:
            return 0
        listener = GrpcListener(self._ext_authz.service, address, self.settings.limits, self._ext_authz_tls.base)
        return (await stack.enter_async_context(listener)).port

    def drain(self) -> None:
        """Be not ready any more, and end each connection with its next answer."""
        self._front.draining = self._ext_authz.draining = True

    def _renew_tls(self) -> None:
        certificate = self.directory.server_certificate
        if certificate is None:
            return
        try:
            self._open_tls.update(certificate, ())
            self._mtls_tls.update(certificate, self.directory.authority_certificates)
            if self.settings.ext_authz_address is not None:
                self._ext_authz_tls.update(certificate, self.directory.authority_certificates)
        except ssl.SSLError as error:
            # Checked before it got here, so this is OpenSSL's opinion alone. The contexts stay as they were, but the
            # trust may just have shrunk: each request's path is looked up in the directory, which has shrunk too.
            logger.error("TLS stays as it was, OpenSSL refuses the server certificate or a CA: %s", error.reason)  # noqa: TRY400 - the message says it all
            self.metrics.count_source_error("tls")

    def _watch_directory(self) -> None:
        directory = self.directory
        self.metrics.watch_directory(
            clients=lambda: directory.clients,
            anchors=lambda: len(directory.anchors),
            spent_identifiers=lambda: directory.spent,
            clients_without_keys=lambda: self.remote_keys.without_keys,
            signing_keys=lambda: len(published_keys(directory.public_keys, self._clock())),
            certificate_not_after=lambda: (
                directory.server_certificate.not_after.timestamp() if directory.server_certificate else 0.0
            ),
        )


async def run_issuer(
    settings: Settings,
    api: ApiClient,
    stop: asyncio.Event,
    *,
    clock: Clock = utc_now,
    write_audit: WriteLine = write_to_stdout,
    on_ready: Callable[[Ports], None] | None = None,
    record: Record | None = None,
) -> None:
    """Watch, serve, and stop.

    Probes answer from the beginning. The TLS listeners open once everything is there, so that no client is ever told
    that it is unknown by an issuer that has not heard of it yet. From then on it answers from memory whatever becomes
    of the Kubernetes API.

    Args:
        settings: What it is told.
        api: The Kubernetes API.
        stop: Set it to stop: connections are drained and ended within seconds.
        clock: Now, as aware UTC.
        write_audit: Takes audit lines.
        on_ready: Told the ports when the listeners are open.
        record: Takes what traces show of each request; ``None`` where there are none.
    """
    ledger = KubeLedger(api, settings.operator_namespace)
    registry, reviewer = KubeRegistry(api), KubeReviewer(api)
    issuer = Issuer(settings, ledger, registry, reviewer, clock=clock, write_audit=write_audit, record=record)
    sources = Sources(api, settings, issuer.directory, issuer.metrics)
    issuer.metrics.watch_sources(sources.views())

    def missing() -> Iterable[str]:
        return (*sources.waiting(), *issuer.missing())

    async with AsyncExitStack() as stack:
        probes = probe_app(issuer.metrics, missing)
        await stack.enter_async_context(Listener(probes, settings.probe_address, settings.limits, None, refuse))
        async with asyncio.TaskGroup() as tasks:
            watches = [
                *sources.start(tasks),
                tasks.create_task(sweep(api, sources.spent, clock), name="sweep"),
                tasks.create_task(issuer.remote_keys.run(), name="remote keys"),
            ]
            if await _until_complete(sources, issuer.directory, stop):
                await _serve(issuer, stop, on_ready)
            for watch in watches:
                watch.cancel()


async def _serve(issuer: Issuer, stop: asyncio.Event, on_ready: Callable[[Ports], None] | None) -> None:
    async with AsyncExitStack() as stack:
        ports = await issuer.serve(stack)
        logger.info("ready: listening at ports %d (no client certificate) and %d (mTLS)", ports.open, ports.mtls)
        if on_ready is not None:
            on_ready(ports)
        await stop.wait()
        logger.info("stopping: not ready any more, draining for %g s", issuer.settings.limits.drain_seconds)
        issuer.drain()
        await asyncio.sleep(issuer.settings.limits.drain_seconds)


async def _until_complete(sources: Sources, directory: Directory, stop: asyncio.Event) -> bool:
    """Wait until everything is there. False if it was told to stop before."""

    async def complete() -> None:
        await sources.synced()
        while directory.missing():
            logger.info("waiting: %s", "; ".join(directory.missing()))
            sources.changed.clear()
            await sources.changed.wait()

    waits = {asyncio.create_task(complete()), asyncio.create_task(stop.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return not stop.is_set()
