"""A client that brings self-signed certificates: registered, told of a conflict, and issued none."""

from typing import Any

import pytest

from builders.pki import Leaf, ec_key, raw, self_signed_client
from builders.world import World, condition, next_second
from mintls.core.pki.dn import parse_dn
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster


def self_signed(*leaves: Leaf) -> dict[str, Any]:
    pems = [leaf.tls_crt.decode() for leaf in leaves]
    return {"tokenEndpointAuthMethod": "self_signed_tls_client_auth", "certificates": pems}


async def test_it_is_registered_and_rotated_and_no_certificate_is_issued_for_it(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    old, new = self_signed_client(), self_signed_client()
    await world.client(shop, **self_signed(old), authorities=[{"name": "that-does-not-exist"}])

    ready = await world.ready(OAUTH_CLIENTS, shop, "billing")

    assert [shown["thumbprint"] for shown in ready["status"]["certificates"]] == [old.thumbprint]
    assert "identity" not in ready["status"]

    item = OAUTH_CLIENTS.item(shop, "billing")
    await world.api.merge_patch(item, {"spec": {"certificates": self_signed(old, new)["certificates"]}})
    ready = await world.ready(OAUTH_CLIENTS, shop, "billing")
    assert [shown["thumbprint"] for shown in ready["status"]["certificates"]] == [old.thumbprint, new.thumbprint]

    await world.certificate(shop)
    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ClientBringsCertificate")
    assert "delete this ClientCertificate, or set the client's tokenEndpointAuthMethod" in refused["message"]
    stalled = condition(await world.get(CLIENT_CERTIFICATES, shop, "billing"), "Stalled")
    assert stalled["status"] == "True"

    plain = {"tokenEndpointAuthMethod": "tls_client_auth", "certificates": None, "authorities": None}
    await world.api.merge_patch(item, {"spec": plain})
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")


async def test_a_certificate_belongs_to_one_client(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    first, second = await world.namespace(), await world.namespace()
    leaf = self_signed_client()
    await world.client(first, **self_signed(leaf))
    await world.ready(OAUTH_CLIENTS, first, "billing")
    await next_second()
    await world.client(second, **self_signed(self_signed_client(), leaf))

    refused = await world.reason(OAUTH_CLIENTS, second, "billing", "CertificateTaken")

    assert refused["message"] == (
        "a certificate that it registers is held by a client of another namespace, which was first: "
        "each client needs its own"
    )
    assert condition(await world.get(OAUTH_CLIENTS, second, "billing"), "Conflict")["status"] == "True"
    await world.api.delete(OAUTH_CLIENTS.item(first, "billing"))
    await world.ready(OAUTH_CLIENTS, second, "billing")


async def test_a_certificate_that_could_vouch_for_others_is_refused_with_what_to_do(world: World) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    key, name = ec_key(), parse_dn("CN=billing")
    ca = Leaf(raw(key.public_key(), name, key, subject=name, ca=True, usages=None), key)
    await world.client(shop, **self_signed(ca))

    refused = await world.reason(OAUTH_CLIENTS, shop, "billing", "InvalidSpec")

    assert "spec.certificates[0] does not say that it is no CA's" in refused["message"]
    assert "-addext basicConstraints=critical,CA:FALSE" in refused["message"]
