"""docs/openapi.yaml, as the tests of it need it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from builders.world import REPOSITORY

DOCUMENT: dict[str, Any] = yaml.safe_load((REPOSITORY / "docs" / "openapi.yaml").read_text())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
METHODS = ("get", "put", "post", "delete", "patch", "options", "trace")

_LISTENERS = {"8443": "open", "9443": "mtls", "8081": "probe"}


@dataclass(frozen=True)
class Operation:
    """An operation at one listener: ``open``, ``mtls`` or ``probe``."""

    listener: str
    method: str
    path: str
    id: str

    def __str__(self) -> str:
        return f"{self.id}-{self.listener}"


def operations() -> Iterator[Operation]:
    """Every operation at every listener that its servers name."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                servers = operation.get("servers") or item.get("servers") or DOCUMENT["servers"]
                for server in servers:
                    yield Operation(_LISTENERS[server["url"][-4:]], method.upper(), path, operation["operationId"])
