"""Who we are to the Kubernetes API, and how to reach it.

Reading the configuration, exec plugins, OIDC and rotated service account tokens come from ``kubernetes.aio``; requests
do not go through it (it costs twice the CPU per request). Where the configuration is looked for, first match:

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
from typing import Any, NamedTuple, Protocol

import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config.incluster_config import (
    SERVICE_CERT_FILENAME,
    SERVICE_HOST_ENV_NAME,
    SERVICE_TOKEN_FILENAME,
    InClusterConfigLoader,
)
from kubernetes.aio.config.kube_config import KubeConfigLoader, load_kube_config

from mintls.kube.errors import ConfigurationError

logger = logging.getLogger(__name__)

# A projected service account token is replaced when 80 % of its life (at least 10 minutes) is over, so it stays valid
# for minutes after the file changed. Kubernetes documentation, "Configure Service Accounts for Pods".
REFRESH_SECONDS = 60.0
_FORCED_REFRESH_SECONDS = 2.0
# An exec plugin may ask a cloud, never a person.
_READ_SECONDS = 30.0


class Source(Protocol):
    """Where the configuration came from, able to read it again."""

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named; "" if the source names none."""

    async def load(self, configuration: Configuration, *, anew: bool) -> None:
        """Put server, CA, token and certificate files into the configuration; ``anew`` distrusts what is cached."""


class InCluster:
    """The service account mounted into the pod."""

    def __init__(self, token_file: str = SERVICE_TOKEN_FILENAME, ca_file: str = SERVICE_CERT_FILENAME) -> None:
        self._namespace_file = Path(token_file).with_name("namespace")
        self._loader = InClusterConfigLoader(  # type: ignore[no-untyped-call] # the library is untyped
            token_filename=token_file, cert_filename=ca_file, try_refresh_token=False, environ=os.environ
        )

    @property
    def namespace(self) -> str:
        """The pod's own."""
        return self._namespace_file.read_text(encoding="utf-8").strip() if self._namespace_file.is_file() else ""

    async def load(self, configuration: Configuration, *, anew: bool) -> None:  # noqa: ARG002 - read from the file always
        """Read the token file: once per refresh, a few microseconds."""
        self._loader.load_and_set(configuration)  # type: ignore[no-untyped-call] # the library is untyped


class Kubeconfig:
    """A user of a kubeconfig: certificate, token, token file, exec plugin, OIDC."""

    def __init__(self, files: str, context: str | None) -> None:
        self._files = files
        self._context = context
        self._loader: KubeConfigLoader | None = None

    @property
    def namespace(self) -> str:
        """The context's."""
        context = self._loader.current_context["context"] if self._loader is not None else {}
        return str(context.get("namespace") or "")

    async def load(self, configuration: Configuration, *, anew: bool) -> None:
        """Read everything the first time, afterwards what can change: token files, plugins, OIDC tokens."""
        if self._loader is None:
            self._loader = await load_kube_config(  # type: ignore[no-untyped-call] # the library is untyped
                config_file=self._files,
                context=self._context,
                client_configuration=configuration,
                persist_config=False,
            )
            return
        if anew:
            # An exec plugin's answer is kept until its expirationTimestamp; after a 401 it is asked again.
            vars(self._loader).pop("exec_plugin_expiry", None)
        elif self._plugin_says_no_expiry():
            return
        await self._loader.load_and_set(configuration)  # type: ignore[no-untyped-call] # the library is untyped

    def _plugin_says_no_expiry(self) -> bool:
        # client.authentication.k8s.io/v1: without expirationTimestamp the credential is kept until a 401.
        user = getattr(self._loader, "_user", None)
        return user is not None and "exec" in user and not hasattr(self._loader, "exec_plugin_expiry")


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
        self._source = source
        self._configuration = configuration
        self._lock = asyncio.Lock()
        self._read_at = time.monotonic()
        self._stamps = self._file_stamps()
        self.ssl_context = _tls(configuration) if self.server.startswith("https:") else None

    @property
    def server(self) -> str:
        """Base URL of the API server, without a slash at its end."""
        return str(self._configuration.host).rstrip("/")

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named, as kubectl has it."""
        return self._source.namespace or "default"

    @property
    def tls_files(self) -> TLSFiles:
        """For a library that makes its own TLS context; the files exist for as long as this process."""
        configuration = self._configuration
        return TLSFiles(
            ca=configuration.ssl_ca_cert or None,
            certificate=configuration.cert_file or None,
            key=configuration.key_file or None,
            verify=bool(configuration.verify_ssl),
        )

    @property
    def proxy(self) -> str | None:
        """The kubeconfig's ``proxy-url``."""
        return self._configuration.proxy or None

    @property
    def server_name(self) -> str | None:
        """The kubeconfig's ``tls-server-name``: the name to verify instead of the URL's."""
        return self._configuration.tls_server_name or None

    async def authorization(self) -> str | None:
        """The value of the Authorization header; None when the client certificate alone identifies us."""
        if time.monotonic() - self._read_at >= REFRESH_SECONDS:
            await self._read(anew=False, not_since=self._read_at)
        token = self._configuration.api_key.get("BearerToken")
        # A token file that ends in a newline would make an illegal header.
        return token.strip() if token else None

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
                    await self._source.load(self._configuration, anew=anew)
                self._reload_changed_files()
            except Exception as error:  # noqa: BLE001 - the library raises whatever its parsers raise
                # The old token may still be good: let the API server decide. The text could quote a credential.
                logger.warning(
                    "cannot read the Kubernetes credentials again (%s); going on with the old", type(error).__name__
                )
            self._read_at = time.monotonic()

    def _file_stamps(self) -> Mapping[str, int]:
        files = (self._configuration.ssl_ca_cert, self._configuration.cert_file, self._configuration.key_file)
        return {file: Path(file).stat().st_mtime_ns for file in files if file}

    def _reload_changed_files(self) -> None:
        stamps = self._file_stamps()
        if stamps != self._stamps and self.ssl_context is not None:
            self.ssl_context, self._stamps = _tls(self._configuration), stamps


def _tls(configuration: Configuration) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # Cluster CAs are not ours: EKS and older distributions made theirs without key identifiers or keyUsage, which
    # Python 3.13 refuses by default and Go does not (kubernetes-client/python#2394). Signature, time and name count.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


async def load_credentials(kubeconfig: str | None = None, context: str | None = None) -> Credentials:
    """Find the configuration, read it, and prepare TLS.

    Args:
        kubeconfig: A kubeconfig's file name; None looks in the places of the module docstring.
        context: A context of the kubeconfig; None means its current one.

    Raises:
        ConfigurationError: No configuration was found, or it cannot be used.
    """
    source, described = _find(kubeconfig, context)
    configuration = Configuration()
    try:
        async with asyncio.timeout(_READ_SECONDS):
            await source.load(configuration, anew=False)
        return Credentials(source, configuration)
    except Exception as error:  # noqa: BLE001 - the library raises whatever its parsers raise
        # Not chained: the library's messages quote the whole user entry, with its token or key.
        detail = _explain(described, context) or f"it cannot be read ({type(error).__name__})"
        raise ConfigurationError(f"Kubernetes configuration {described}: {detail}") from None


def _find(kubeconfig: str | None, context: str | None) -> tuple[Source, str]:
    named = kubeconfig or os.environ.get("KUBECONFIG")
    default = Path.home() / ".kube" / "config"
    if named:
        if not any(Path(file).expanduser().is_file() for file in named.split(os.pathsep) if file):
            raise ConfigurationError(f"kubeconfig {named}: no such file; check --kubeconfig or $KUBECONFIG")
        return Kubeconfig(named, context), named
    if os.environ.get(SERVICE_HOST_ENV_NAME) and Path(SERVICE_TOKEN_FILENAME).is_file():
        return InCluster(), "of the pod's service account"
    if default.is_file():
        return Kubeconfig(str(default), context), str(default)
    raise ConfigurationError(
        f"no Kubernetes configuration found: neither --kubeconfig nor $KUBECONFIG is given, this is not a pod with a "
        f"service account ({SERVICE_TOKEN_FILENAME}), and {default} does not exist"
    )


def _explain(files: str, context: str | None) -> str | None:
    """What a person can act on in a kubeconfig that was refused, in words without secrets; None when it is unclear."""
    contexts: list[str] = []
    current = context
    for file in files.split(os.pathsep):
        content = _yaml(file)
        if content is None:
            continue
        contexts += [str(entry.get("name")) for entry in content.get("contexts") or ()]
        current = current or content.get("current-context")
    if not contexts:
        return "it has no contexts, or is no kubeconfig"
    if not current:
        return f"it has no current-context; choose one with --context: {', '.join(contexts)}"
    if current not in contexts:
        return f'context "{current}" does not exist in it; there are: {", ".join(contexts)}'
    return None


def _yaml(file: str) -> dict[str, Any] | None:
    try:
        content = yaml.safe_load(Path(file).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None
