"""A renewal that somebody asks for by an annotation, on a real API server."""

import pytest

from builders.world import World, eventually
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster


async def test_an_annotation_asks_for_a_new_certificate_and_costs_what_a_renewal_costs(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    first = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    before = await world.secret(shop)
    writes = len(await operator.at_rest())

    world.cluster.kubectl("-n", shop, "annotate", "ccert", "billing", "mintls.dev/renew-requested-at=now")

    async def answered() -> dict[str, object] | None:
        found = await world.get(CLIENT_CERTIFICATES, shop, "billing")
        return found if found["status"].get("observedRenewRequest") == "now" else None

    second = await eventually(answered)
    assert second["status"]["revision"] == 2
    assert second["status"]["serialNumber"] != first["status"]["serialNumber"]
    assert second["metadata"]["generation"] == first["metadata"]["generation"]
    assert second["spec"] == first["spec"]
    after = await world.secret(shop)
    assert after["tls.key"] != before["tls.key"]
    assert {name: after[name] for name in ("client-id", "ca.crt")} == {
        name: before[name] for name in ("client-id", "ca.crt")
    }

    assert sorted(await operator.writes(3, since=writes)) == [
        ("create", "events", 201),
        ("patch", "clientcertificates/status", 200),
        ("patch", "secrets", 200),
    ]
    await operator.end()

    again = await world.operator("after-a-restart")
    await world.client(shop, "marker")
    await world.certificate(shop, "marker")
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")
    assert (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]["revision"] == 2
    assert not again.task.done()
