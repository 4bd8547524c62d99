"""The service account of a pod. Source: Kubernetes documentation, "Accessing the Kubernetes API from a Pod".

Three files and two variables: the library that reads kubeconfigs would do it as well, and costs an issuer 25 MiB and
half of the time that it takes to start.
"""

import os
from pathlib import Path

from mintls.kube.configuration import Configuration
from mintls.kube.errors import ConfigurationError

FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
_TOKEN, _CA, _NAMESPACE = "token", "ca.crt", "namespace"


def is_there(folder: str = FOLDER) -> bool:
    """Whether this process is in a pod with a service account."""
    return bool(os.environ.get(HOST)) and (Path(folder) / _TOKEN).is_file()


class InCluster:
    """The service account that is mounted into the pod."""

    def __init__(self, folder: str = FOLDER) -> None:
        """Prepare; ``folder`` is where it is mounted."""
        self._folder = Path(folder)

    @property
    def namespace(self) -> str:
        """The pod's own."""
        file = self._folder / _NAMESPACE
        return file.read_text(encoding="utf-8").strip() if file.is_file() else ""

    async def load(self, *, anew: bool) -> Configuration:  # noqa: ARG002 - read from the file always
        """Read the token file: once per refresh, a few microseconds.

        Raises:
            ConfigurationError: A variable or a file is missing or empty.
        """
        host, port = (_variable(name) for name in (HOST, PORT))
        token = self._content(_TOKEN)
        self._content(_CA)
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        return Configuration(server, f"Bearer {token}", ca=str(self._folder / _CA))

    def _content(self, name: str) -> str:
        """What is in a file, which is not quoted in any error."""
        file = self._folder / name
        try:
            content = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"service account: {file} cannot be read ({type(error).__name__})") from None
        if not content:
            raise ConfigurationError(f"service account: {file} is empty")
        return content


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(f"service account: the variable {name} is not set, which Kubernetes sets in each pod")
    return value
