"""The issuer's replicas are found by the EndpointSlices of its Service. Nobody is asked: the addresses are made up."""

import pytest

from builders.world import SYSTEM, World, eventually
from mintls.kube.paths import ENDPOINT_SLICES

pytestmark = pytest.mark.cluster


async def test_ready_endpoints_of_the_service_are_the_replicas(world: World) -> None:
    await world.authority()
    running = await world.operator(issuer_replicas=())
    slices = ENDPOINT_SLICES.collection(SYSTEM)
    body = {
        "apiVersion": ENDPOINT_SLICES.api_version,
        "kind": "EndpointSlice",
        "metadata": {"name": "mintls-issuer-1", "labels": {"kubernetes.io/service-name": "mintls-issuer"}},
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 8443}, {"name": "mtls", "port": 9443}],
        "endpoints": [
            {"addresses": ["10.99.0.1"], "conditions": {"ready": True}},
            {"addresses": ["10.99.0.2"], "conditions": {"ready": False}},
        ],
    }
    endpoints = running.operator._parts.replicas._endpoints
    try:
        await world.api.create(slices, body)

        async def one() -> bool:
            return endpoints.addresses() == ("10.99.0.1:9443",)

        await eventually(one)
        body["endpoints"] = [{"addresses": ["10.99.0.2"], "conditions": {"ready": True}}]
        await world.api.merge_patch(f"{slices}/mintls-issuer-1", {"endpoints": body["endpoints"]})

        async def another() -> bool:
            return endpoints.addresses() == ("10.99.0.2:9443",)

        await eventually(another)
    finally:
        await world.api.delete(f"{slices}/mintls-issuer-1")
