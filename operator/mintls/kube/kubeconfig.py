"""A user of a kubeconfig: certificate, token, token file, exec plugin, OIDC, by the reader of ``kubernetes.aio``.

Imported where there is one to read: the library takes longer to import than all else that an issuer needs.
"""

import os
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio.client.configuration import Configuration as Known
from kubernetes.aio.config.kube_config import KubeConfigLoader, load_kube_config

from mintls.kube.configuration import Configuration


class Kubeconfig:
    """A user of a kubeconfig: certificate, token, token file, exec plugin, OIDC."""

    def __init__(self, files: str, context: str | None) -> None:
        self._files = files
        self._context = context
        self._known = Known()
        self._loader: KubeConfigLoader | None = None

    @property
    def namespace(self) -> str:
        """The context's."""
        context = self._loader.current_context["context"] if self._loader is not None else {}
        return str(context.get("namespace") or "")

    async def load(self, *, anew: bool) -> Configuration:
        """Read everything the first time, afterwards what can change: token files, plugins, OIDC tokens."""
        await self._read(anew=anew)
        known = self._known
        # A token file that ends in a newline would make an illegal header.
        token = (known.api_key.get("BearerToken") or "").strip()
        return Configuration(
            server=str(known.host).rstrip("/"),
            authorization=token or None,
            ca=known.ssl_ca_cert or None,
            certificate=known.cert_file or None,
            key=known.key_file or None,
            verify=bool(known.verify_ssl),
            proxy=known.proxy or None,
            server_name=known.tls_server_name or None,
        )

    async def _read(self, *, anew: bool) -> None:
        if self._loader is None:
            self._loader = await load_kube_config(  # type: ignore[no-untyped-call] # the library is untyped
                config_file=self._files,
                context=self._context,
                client_configuration=self._known,
                persist_config=False,
            )
            return
        if anew:
            # An exec plugin's answer is kept until its expirationTimestamp; after a 401 it is asked again.
            vars(self._loader).pop("exec_plugin_expiry", None)
        elif self._plugin_says_no_expiry():
            return
        await self._loader.load_and_set(self._known)  # type: ignore[no-untyped-call] # the library is untyped

    def _plugin_says_no_expiry(self) -> bool:
        # client.authentication.k8s.io/v1: without expirationTimestamp the credential is kept until a 401.
        user = getattr(self._loader, "_user", None)
        return user is not None and "exec" in user and not hasattr(self._loader, "exec_plugin_expiry")


def explain(files: str, context: str | None) -> str | None:
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
