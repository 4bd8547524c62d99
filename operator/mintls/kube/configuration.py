"""How the Kubernetes API is reached, and as whom: what every source of it comes to."""

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Configuration:
    """Server and credential.

    Attributes:
        server: Base URL, without a slash at its end.
        authorization: Value of the Authorization header; ``None`` when a client certificate alone identifies us.
        ca: File with the CAs of the server; ``None`` for the system's.
        certificate: File with our own certificate, ``None`` for none.
        key: File with its key.
        verify: Whether the server's certificate is verified.
        proxy: URL of a proxy.
        server_name: The name to verify instead of the URL's.
    """

    server: str
    authorization: str | None = field(default=None, repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    verify: bool = True
    proxy: str | None = None
    server_name: str | None = None


class Source(Protocol):
    """Where a configuration comes from, able to read it again."""

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named; "" if the source names none."""

    async def load(self, *, anew: bool) -> Configuration:
        """The configuration as it is now; ``anew`` distrusts what is cached."""
