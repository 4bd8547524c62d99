"""A real nginx in front of a resource, as docs/examples/nginx has it, and curl in front of nginx."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from builders.dpop import proof
from builders.forwarded import escaped_pem
from builders.issuer import ISSUER_URL, SETTINGS, registration, running_issuer
from builders.nginx import nginx_program, running_nginx
from builders.pki import dns, uri
from builders.protected import Protected
from builders.world import REPOSITORY, free_port
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.settings import TrustedProxy

pytestmark = pytest.mark.proxy

EXAMPLE = REPOSITORY / "docs" / "examples" / "nginx" / "orders.conf"
GATEWAY = TrustedProxy("edge", "gateway", Format.ESCAPED_PEM)


@pytest.fixture
async def resource(tmp_path: Path) -> AsyncIterator[Protected]:
    program = nginx_program()
    if program is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(running_issuer(tmp_path, replace(SETTINGS, proxies=(GATEWAY,))))
        bench.put(registration("gateway", "edge"))
        bench.serve_as(bench.authority.server((*dns("localhost", "mintls-issuer.mintls-system.svc"),)))
        gateway = bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway"))
        for name, leaf in (("gateway", gateway), ("tls", bench.authority.server())):
            (tmp_path / name).mkdir()
            leaf.write(tmp_path / name)
        (tmp_path / "gateway" / "ca.crt").write_text(bench.authority.bundle)
        port, upstream = free_port(), free_port()
        changes = {
            "listen 443": f"listen 127.0.0.1:{port}",
            "server mintls-issuer.mintls-system.svc:9443": f"server 127.0.0.1:{bench.mtls_port}",
            "127.0.0.1:8080": f"127.0.0.1:{upstream}",
            "/etc/nginx": str(tmp_path),
        }
        nginx = running_nginx(program, EXAMPLE, tmp_path, port=port, upstream=upstream, changes=changes)
        await stack.enter_async_context(nginx)
        yield Protected(bench, port)


async def test_whoever_holds_the_certificate_of_a_token_passes(resource: Protected) -> None:
    leaf = resource.bench.authority.client()
    reply = await resource.get(await resource.token(leaf), leaf)
    assert (reply.status, reply.body) == (200, b"client=shop:billing scope=orders.read\n")


async def test_a_stolen_token_is_of_no_use(resource: Protected) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    for thief in (None, resource.bench.authority.client()):
        reply = await resource.get(token, thief)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == f'Bearer realm="{ISSUER_URL}", error="invalid_token"'


async def test_nor_with_its_certificate_in_a_header_that_the_thief_writes_itself(resource: Protected) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    headers = [argument for name, value in escaped_pem(leaf) for argument in ("-H", f"{name}: {value}")]
    for thief in (None, resource.bench.authority.client()):
        assert (await resource.get(token, thief, *headers)).status == 401
    assert resource.bench.audit[-1]["reason"] == "no_possession"


async def test_what_the_resource_is_told_of_a_client_comes_from_the_issuer_alone(resource: Protected) -> None:
    leaf = resource.bench.authority.client()
    reply = await resource.get(await resource.token(leaf), leaf, "-H", "X-Token-Client-Id: shop:admin")
    assert reply.body == b"client=shop:billing scope=orders.read\n"


async def test_without_a_token_there_is_a_challenge(resource: Protected) -> None:
    reply = await resource.get(None, resource.bench.authority.client())
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith(f'Bearer realm="{ISSUER_URL}", DPoP realm="{ISSUER_URL}"')


async def test_a_token_without_the_scope_is_told_which(resource: Protected) -> None:
    leaf = resource.bench.authority.client()
    reply = await resource.get(await resource.token(leaf, scope="orders.write"), leaf)
    challenge = f'Bearer realm="{ISSUER_URL}", error="insufficient_scope", scope="orders.read"'
    assert (reply.status, reply.headers["www-authenticate"]) == (403, challenge)


async def test_a_token_that_is_bound_to_a_key_passes_with_a_proof_for_this_request(resource: Protected) -> None:
    token = await resource.token_of_a_key()
    for htu, status in (("https://orders.shop.svc/", 200), ("https://elsewhere.example/", 401)):
        shown = proof(token=token, htm="GET", htu=htu, jti=htu)
        headers = ("-H", f"Authorization: DPoP {token}", "-H", f"DPoP: {shown}")
        assert (await resource.get(None, None, *headers)).status == status


async def test_the_check_itself_cannot_be_asked_from_outside(resource: Protected) -> None:
    to = ("--connect-to", f"localhost:{resource.bench.mtls_port}:127.0.0.1:{resource.port}")
    assert (await resource.bench.curl("/verify", *to)).status == 404


async def test_a_gateway_that_is_suspended_lets_nobody_through(resource: Protected) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    resource.bench.put(registration("gateway", "edge", suspended=True))
    assert (await resource.get(token, leaf)).status == 500
    assert resource.bench.audit[-1]["reason"] == "not_a_proxy"
