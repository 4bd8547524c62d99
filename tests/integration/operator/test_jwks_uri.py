"""A client that keeps its certificates at a URL: ready when every replica has them, and what is said until then."""

import asyncio
from pathlib import Path

import pytest

from builders.jwks import document, jwk, jwks_server
from builders.pki import Leaf, self_signed_client
from builders.world import World, condition
from mintls.core.oauth.key_cache import ON_DEMAND
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster


async def token(world: World, shop: str, leaf: Leaf) -> tuple[int, str]:
    """Status and body of the answer to a token request by curl."""
    crt, key = leaf.write(world.folder, leaf.thumbprint)
    command = (
        *("curl", "-sS", "--cert", str(crt), "--key", str(key), "--cacert", str(world.folder / "ca.crt")),
        *("-w", "\n%{http_code}", "-d", "grant_type=client_credentials", "-d", f"client_id={shop}:billing"),
        f"{world.installation.mtls_url}/token",
    )
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    body, _, status = (await process.communicate())[0].decode().rpartition("\n")
    return int(status), body


async def test_it_is_ready_when_its_keys_are_there_and_rotates_them_without_a_write(
    world: World, tmp_path: Path
) -> None:
    async with jwks_server(tmp_path) as source:
        await world.authority()
        await world.operator()
        await world.issuer(internal_jwks_uri=True, jwks_uri_ca_file=str(source.ca_file))
        found = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
        (world.folder / "ca.crt").write_text(found["status"]["keys"][0]["certificate"])
        shop = await world.namespace()
        old, new = self_signed_client(), self_signed_client()
        source.status = 404
        method = "self_signed_tls_client_auth"
        await world.client(shop, tokenEndpointAuthMethod=method, jwksURI=source.url)

        refused = await world.reason(OAUTH_CLIENTS, shop, "billing", "KeysNotFetched")

        assert refused["message"].startswith("1 of 1 issuer replicas have not got the keys at spec.jwksURI; 127.0.0.1:")
        assert refused["message"].endswith(": the server answered HTTP 404")
        seen = await world.get(OAUTH_CLIENTS, shop, "billing")
        assert condition(seen, "Registered")["status"] == "True"
        assert (await token(world, shop, old))[0] == 503

        source.status, source.body = 200, document(jwk(old))
        ready = await world.ready(OAUTH_CLIENTS, shop, "billing", within=40)
        assert (await token(world, shop, old))[0] == 200

        source.body = document(jwk(old), jwk(new))
        world.clock.pass_(ON_DEMAND)
        assert (await token(world, shop, new))[0] == 200
        after = await world.get(OAUTH_CLIENTS, shop, "billing")
        assert after["metadata"]["resourceVersion"] == ready["metadata"]["resourceVersion"]


async def test_an_internal_address_is_named_as_the_reason(world: World, tmp_path: Path) -> None:
    async with jwks_server(tmp_path) as source:
        await world.authority()
        await world.operator()
        await world.issuer(jwks_uri_ca_file=str(source.ca_file))
        shop = await world.namespace()
        await world.client(shop, tokenEndpointAuthMethod="private_key_jwt", jwksURI=source.url)

        refused = await world.reason(OAUTH_CLIENTS, shop, "billing", "KeysNotFetched")

        assert refused["message"].endswith("the server has an internal address, which the issuer does not ask")
        assert source.requests == []
