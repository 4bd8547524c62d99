"""A ClientCertificate that is deleted is not issued for any more, also while no watch tells of its end."""

import asyncio

import pytest

from builders.faults import faulty_api
from builders.world import World, eventually
from mintls.kube.errors import NotFound
from mintls.kube.paths import CLIENT_CERTIFICATES, SECRETS

pytestmark = pytest.mark.cluster


async def test_a_secret_that_goes_with_its_object_is_not_made_again(world: World) -> None:
    async with faulty_api(world.cluster.kubeconfig) as proxy:
        await world.authority()
        operator = await world.operator(server=proxy.url)
        shop = await world.namespace()
        await world.client(shop)
        await world.certificate(shop)
        await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        before = len(operator.requests.writes)
        proxy.silent.add("clientcertificates")
        await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))

        async def gone() -> bool:
            try:
                await world.get(SECRETS, shop, "billing-mtls")
            except NotFound:
                return True
            return False

        await eventually(gone, within=90)
        await asyncio.sleep(3)
        assert await gone()
        made = [write for write in operator.requests.writes[before:] if write[:2] == ("create", "secrets")]
        assert made == []
