"""The session fixture ``cluster``: a Kubernetes API for the tests marked ``cluster``.

It is brought up when the first test asks for it and taken down when the session ends. To run against a cluster
that is there already, set MINTLS_CLUSTER_PROVIDER=existing and KUBECONFIG.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any

import pytest

from clusterlib.cluster import Cluster
from clusterlib.progress import Progress
from clusterlib.session import running_cluster


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of the session's own: its ``kubeconfig``, ``kubectl(*arguments)`` and, embedded only, ``audit_log``."""
    with ExitStack() as stack:
        # The first start builds for minutes, and pytest would show none of it.
        with uncaptured(pytestconfig):
            running = stack.enter_context(running_cluster(progress=Progress()))
        yield running


def uncaptured(config: pytest.Config) -> AbstractContextManager[Any]:
    """Let output through to the terminal, where pytest captures it."""
    manager: Any = config.pluginmanager.getplugin("capturemanager")
    return nullcontext() if manager is None else manager.global_and_fixture_disabled()
