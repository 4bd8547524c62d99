"""What happens over days and months, with a clock that the test moves."""

from datetime import timedelta

import pytest
from cryptography.x509 import load_pem_x509_certificate

from builders.world import SYSTEM, World, eventually
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES

pytestmark = pytest.mark.cluster


async def revision(world: World, shop: str, wanted: int) -> None:
    async def look() -> bool:
        found = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        return bool(found["status"]["revision"] == wanted)

    await eventually(look, expected=f"revision {wanted}")


async def test_a_certificate_is_renewed_when_its_time_comes(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await revision(world, shop, 1)
    await operator.end()

    world.clock.pass_(timedelta(hours=15))
    operator = await world.operator("after-15-hours")
    await world.client(shop, "marker")
    await world.certificate(shop, "marker")
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    await revision(world, shop, 1)
    await operator.end()

    world.clock.pass_(timedelta(hours=1, minutes=30))
    await world.operator("after-16-hours-and-a-half")
    await revision(world, shop, 2)


async def test_a_short_certificate_is_renewed_by_the_running_operator(world: World) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, duration="1m", renewBefore="55s")

    await revision(world, shop, 2)


async def test_an_operator_that_was_away_past_every_expiry_recovers_alone(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await revision(world, shop, 1)
    await operator.end()
    root = await world.secret(SYSTEM, "mintls-authority-default-root")
    intermediate = await world.secret(SYSTEM, "mintls-authority-default-intermediate")

    world.clock.pass_(timedelta(days=400))
    await world.operator("after-400-days")

    await revision(world, shop, 2)
    leaf = load_pem_x509_certificate((await world.secret(shop))["tls.crt"])
    assert leaf.not_valid_before_utc < world.clock() < leaf.not_valid_after_utc
    assert await world.secret(SYSTEM, "mintls-authority-default-root") == root
    assert (await world.secret(SYSTEM, "mintls-authority-default-intermediate"))["tls.crt"] != intermediate["tls.crt"]


async def test_an_intermediate_at_half_of_its_life_is_replaced_and_leaves_stay(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, duration="168h", renewBefore="1h")
    await revision(world, shop, 1)
    await operator.end()
    world.clock.pass_(timedelta(days=42))  # past six renewals; now the leaf is young and the intermediate is not
    operator = await world.operator("after-42-days")
    await revision(world, shop, 2)
    before = await world.secret(shop)
    await operator.end()

    world.clock.pass_(timedelta(days=4))
    await world.operator("after-46-days")

    async def rotated() -> bool:
        [key] = (await world.ready(CERTIFICATE_AUTHORITIES, None, "default"))["status"]["keys"]
        signer = load_pem_x509_certificate(key["intermediate"].encode())
        return bool(signer.not_valid_before_utc > world.clock() - timedelta(hours=1))

    await eventually(rotated)
    await world.client(shop, "marker")
    await world.certificate(shop, "marker")
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    assert await world.secret(shop) == before
