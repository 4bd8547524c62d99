"""Who we are to the Kubernetes API, and how to reach it.

Kubeconfigs are read by ``kubernetes.aio``, with exec plugins and OIDC; requests do not go through it (it costs twice
the CPU per request). Where the configuration is looked for, first match:

1. a kubeconfig named explicitly,
2. ``$KUBECONFIG`` (several files separated by ``:`` are merged),
3. the service account of the pod,
4. ``~/.kube/config``.

That is the order of controller-runtime (``pkg/client/config``). Proxies come from the kubeconfig's ``proxy-url`` alone:
an ``HTTPS_PROXY`` of the environment does not know the cluster's inner addresses.
"""

import asyncio
import logging
import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mintls.kube import incluster
from mintls.kube.configuration import Configuration, Source
from mintls.kube.errors import ConfigurationError

logger = logging.getLogger(__name__)

# A projected service account token is replaced when 80 % of its life (at least 10 minutes) is over, so it stays valid
# for minutes after the file changed. Kubernetes documentation, "Configure Service Accounts for Pods".
REFRESH_SECONDS = 60.0
_FORCED_REFRESH_SECONDS = 2.0
# An exec plugin may ask a cloud, never a person.
_READ_SECONDS = 30.0


class TLSFiles(NamedTuple):
    """Where the parts of the TLS configuration are, as the configuration names them; None for what it does not have."""

    ca: str | None
    certificate: str | None
    key: str | None
    verify: bool


class Credentials:
    """The server's address, its TLS context and the Authorization header, kept current.

    Built by ``load_credentials``. The header is read again once per ``REFRESH_SECONDS``; ``renew`` does so at once.
    When a client certificate or CA file changed, ``ssl_context`` is a new one: not the old with one CA more, among
    which OpenSSL would choose by name, and cluster CAs are all called "kubernetes".
    """

    def __init__(self, source: Source, configuration: Configuration) -> None:
        """Prepare with what was read of the source."""
        self._source = source
        self._configuration = configuration
        self._lock = asyncio.Lock()
        self._read_at = time.monotonic()
        self._stamps = self._file_stamps()
        self.ssl_context = _tls(configuration) if self.server.startswith("https:") else None

    @property
    def server(self) -> str:
        """Base URL of the API server, without a slash at its end."""
        return self._configuration.server

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named, as kubectl has it."""
        return self._source.namespace or "default"

    @property
    def tls_files(self) -> TLSFiles:
        """For a library that makes its own TLS context; the files exist for as long as this process."""
        configuration = self._configuration
        return TLSFiles(
            ca=configuration.ca,
            certificate=configuration.certificate,
            key=configuration.key,
            verify=configuration.verify,
        )

    @property
    def proxy(self) -> str | None:
        """The kubeconfig's ``proxy-url``."""
        return self._configuration.proxy

    @property
    def server_name(self) -> str | None:
        """The kubeconfig's ``tls-server-name``: the name to verify instead of the URL's."""
        return self._configuration.server_name

    async def authorization(self) -> str | None:
        """The value of the Authorization header; None when the client certificate alone identifies us."""
        if time.monotonic() - self._read_at >= REFRESH_SECONDS:
            await self._read(anew=False, not_since=self._read_at)
        return self._configuration.authorization

    async def renew(self) -> None:
        """Read everything again after a 401; at most once in two seconds, however many requests were refused."""
        if time.monotonic() - self._read_at >= _FORCED_REFRESH_SECONDS:
            await self._read(anew=True, not_since=self._read_at)

    async def _read(self, *, anew: bool, not_since: float) -> None:
        async with self._lock:
            if self._read_at != not_since:
                return  # another request did it while this one waited
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    self._configuration = await self._source.load(anew=anew)
                self._reload_changed_files()
            except Exception as error:  # noqa: BLE001 - the library raises whatever its parsers raise
                # The old token may still be good: let the API server decide. The text could quote a credential.
                logger.warning(
                    "cannot read the Kubernetes credentials again (%s); going on with the old", type(error).__name__
                )
            self._read_at = time.monotonic()

    def _file_stamps(self) -> Mapping[str, int]:
        configuration = self._configuration
        files = (configuration.ca, configuration.certificate, configuration.key)
        return {file: Path(file).stat().st_mtime_ns for file in files if file}

    def _reload_changed_files(self) -> None:
        stamps = self._file_stamps()
        if stamps != self._stamps and self.ssl_context is not None:
            self.ssl_context, self._stamps = _tls(self._configuration), stamps


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ca)
    # Cluster CAs are not ours: EKS and older distributions made theirs without key identifiers or keyUsage, which
    # Python 3.13 refuses by default and Go does not (kubernetes-client/python#2394). Signature, time and name count.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.certificate:
        context.load_cert_chain(configuration.certificate, configuration.key)
    return context


async def load_credentials(
    kubeconfig: str | None = None, context: str | None = None, service_account: str | None = None
) -> Credentials:
    """Find the configuration, read it, and prepare TLS.

    Args:
        kubeconfig: A kubeconfig's file name; None looks in the places of the module docstring.
        context: A context of the kubeconfig; None means its current one.
        service_account: Folder where a pod's service account is mounted; None for Kubernetes' own.

    Raises:
        ConfigurationError: No configuration was found, or it cannot be used.
    """
    files = _kubeconfig(kubeconfig, service_account or incluster.FOLDER)
    if files is None:
        return await _of_service_account(service_account or incluster.FOLDER)
    from mintls.kube import kubeconfig as reader  # noqa: PLC0415 - see there: not every process needs it

    named = reader.Kubeconfig(files, context)
    try:
        async with asyncio.timeout(_READ_SECONDS):
            configuration = await named.load(anew=False)
        return Credentials(named, configuration)
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parsers raise
        # Not chained: the library's messages quote the whole user entry, with its token or key.
        detail = reader.explain(files, context) or f"it cannot be read ({type(error).__name__})"
        raise ConfigurationError(f"Kubernetes configuration {files}: {detail}") from None


async def _of_service_account(folder: str) -> Credentials:
    source = incluster.InCluster(folder)
    configuration = await source.load(anew=False)
    try:
        return Credentials(source, configuration)
    except ssl.SSLError as error:
        raise ConfigurationError(f"service account: {configuration.ca} has no certificates in PEM") from error


def _kubeconfig(given: str | None, service_account: str) -> str | None:
    """The kubeconfig files to read; ``None`` for the service account of a pod."""
    named = given or os.environ.get("KUBECONFIG")
    default = Path.home() / ".kube" / "config"
    if named:
        if not any(Path(file).expanduser().is_file() for file in named.split(os.pathsep) if file):
            raise ConfigurationError(f"kubeconfig {named}: no such file; check --kubeconfig or $KUBECONFIG")
        return named
    if incluster.is_there(service_account):
        return None
    if default.is_file():
        return str(default)
    raise ConfigurationError(
        f"no Kubernetes configuration found: neither --kubeconfig nor $KUBECONFIG is given, this is not a pod with a "
        f"service account in {service_account}, and {default} does not exist"
    )
