"""The CRDs of this checkout on a real API server."""

import re
import secrets
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from builders.waiting import poll
from clusterlib.cluster import Cluster
from crds.server import API_VERSION, Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> Cluster:
    """The cluster, with the CRDs of this checkout."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "-f", str(ROOT / "crds"))
    # Established says that the kinds are served; what `kubectl explain` reads of them is published a while after that.
    poll(lambda: f"apis/{API_VERSION}" in cluster.kubectl("get", "--raw", "/openapi/v3"), "the schemas are published")
    return cluster


@pytest.fixture(scope="session")
def server(crds: Cluster) -> Iterator[Server]:
    """The API server, with a namespace of its own for the samples."""
    namespace = f"samples-{secrets.token_hex(3)}"
    crds.kubectl("create", "namespace", namespace)
    with subprocess.Popen(
        [crds.kubectl_path, "proxy", "--port=0"], env=crds.environment(), stdout=subprocess.PIPE, text=True
    ) as proxy:
        assert proxy.stdout is not None
        line = proxy.stdout.readline()
        address = re.fullmatch(r"Starting to serve on (\S+)\n", line)
        assert address, f"kubectl proxy said {line!r}"
        connection = HTTPConnection(address[1], timeout=30)
        try:
            yield Server(connection, namespace)
        finally:
            connection.close()
            proxy.terminate()
            crds.kubectl("delete", "namespace", namespace, "--wait=false")
