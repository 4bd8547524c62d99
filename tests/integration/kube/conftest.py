"""A namespace of its own for each test, a client for it, and a relay that can cut a client off from the API server."""

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from builders.relay import Relay, relay_to
from clusterlib.cluster import Cluster
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound, TooManyRequests
from mintls.kube.paths import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, Resource

type MakeClient = Callable[..., Awaitable[ApiClient]]


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[ApiClient]:
    """The cluster's admin."""
    async with ApiClient.connect(str(cluster.kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(api: ApiClient) -> AsyncIterator[str]:
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "kube-test-"}}
    name = (await api.create(NAMESPACES.collection(), body))["metadata"]["name"]
    yield name
    await api.delete(NAMESPACES.item(None, name))


@pytest.fixture
async def things(api: ApiClient) -> AsyncIterator[Resource]:
    """A custom resource of the test's own, with a status subresource."""
    plural = f"things{secrets.token_hex(4)}"
    kind = plural.capitalize()
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
        "subresources": {"status": {}},
    }
    names = {"plural": plural, "singular": plural[:-1], "kind": kind, "listKind": f"{kind}List"}
    body: dict[str, Any] = {
        "apiVersion": CUSTOM_RESOURCE_DEFINITIONS.api_version,
        "kind": CUSTOM_RESOURCE_DEFINITIONS.kind,
        "metadata": {"name": f"{plural}.test.mintls.dev"},
        "spec": {"group": "test.mintls.dev", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    await api.create(CUSTOM_RESOURCE_DEFINITIONS.collection(), body)
    resource = Resource("test.mintls.dev", "v1", plural, kind)
    async with asyncio.timeout(20):
        while not await is_served(api, resource):  # noqa: ASYNC110 - it asks the API, no event tells it
            await asyncio.sleep(0.05)
    yield resource
    await api.delete(CUSTOM_RESOURCE_DEFINITIONS.item(None, body["metadata"]["name"]))


async def is_served(api: ApiClient, resource: Resource) -> bool:
    try:
        await api.get(resource.collection())
    except (NotFound, TooManyRequests):
        # The latter while the storage of a fresh CRD is being set up.
        return False
    return True


@pytest.fixture
def server(cluster: Cluster) -> tuple[str, int]:
    url = urlsplit(current(cluster.kubeconfig, "clusters", "cluster")["server"])
    return str(url.hostname), int(url.port or 443)


@pytest.fixture
async def relay(server: tuple[str, int]) -> AsyncIterator[Relay]:
    async with relay_to(*server) as through:
        yield through


@pytest.fixture
async def client(cluster: Cluster, tmp_path: Path) -> AsyncIterator[MakeClient]:
    """Makes clients: ``relay`` puts one behind it, other arguments replace the admin's user entry."""
    async with AsyncExitStack() as stack:

        async def make(relay: Relay | None = None, **user: Any) -> ApiClient:
            content = yaml.safe_load(cluster.kubeconfig.read_text())
            if relay is not None:
                host = urlsplit(current(cluster.kubeconfig, "clusters", "cluster")["server"]).hostname
                for entry in content["clusters"]:
                    entry["cluster"] |= {"server": f"https://{relay.address}", "tls-server-name": host}
            if user:
                for entry in content["users"]:
                    entry["user"] = user
            inline_files(content, cluster.kubeconfig.parent)
            file = tmp_path / f"kubeconfig-{id(content)}"
            file.write_text(yaml.safe_dump(content))
            return await stack.enter_async_context(ApiClient.connect(str(file)))

        yield make


def current(kubeconfig: Path, section: str, entry: str) -> dict[str, Any]:
    """The entry of a kubeconfig that its current context names."""
    content = yaml.safe_load(kubeconfig.read_text())
    (context,) = [item for item in content["contexts"] if item["name"] == content["current-context"]]
    (found,) = [item for item in content[section] if item["name"] == context["context"][entry]]
    chosen: dict[str, Any] = found[entry]
    return chosen


def inline_files(content: dict[str, Any], folder: Path) -> None:
    """Relative file names mean the kubeconfig's folder: put the files' content in instead."""
    for entries, kind in (("clusters", "cluster"), ("users", "user")):
        for entry in content[entries]:
            for key in ("certificate-authority", "client-certificate", "client-key"):
                if file := entry[kind].pop(key, None):
                    entry[kind][f"{key}-data"] = base64.b64encode((folder / file).read_bytes()).decode()
