"""kopf without the client libraries that it looks for, and imports where it finds them.

It takes them for its login and for their models as arguments. We log it in ourselves and give it dicts, and to import
``kubernetes`` takes 20 MiB, and a third of the time of all imports of an operator.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CLIENTS = ("kubernetes", "kubernetes_asyncio", "pykube")


@contextmanager
def _not_found(*names: str) -> Iterator[None]:
    """Let modules that are not imported yet not be found (Python reference, "The module cache")."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is what the reference says
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _not_found(*_CLIENTS):
    import kopf

    # A parameter of ``kopf.spawn_tasks`` takes the one, which makes the other; they are exported nowhere else.
    from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

__all__ = ["ResourceMemories", "ResourceMemory", "kopf"]
