"""docs/examples/client.py, over one renewal after the other."""

import asyncio
import base64
import hashlib
import importlib.util
import json
import secrets
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import pytest
from aiohttp import web

from builders import pki
from builders.world import REPOSITORY, World, eventually, free_port
from integration.operator.test_token import x5t_s256
from mintls.api.v1alpha1.clientcertificate import RENEW_REQUESTED
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

RENEWALS = 10
EXAMPLE = REPOSITORY / "docs" / "examples" / "client.py"


def example() -> ModuleType:
    """The program, as a module."""
    specification = importlib.util.spec_from_file_location("client", EXAMPLE)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def mount(folder: Path, files: dict[str, bytes]) -> None:
    """Put files where the kubelet would: in a directory of their own, to which a link is swapped in one step."""
    inner = folder / f"..{secrets.token_hex(4)}"
    inner.mkdir(parents=True)
    for name, content in files.items():
        (inner / name).write_bytes(content)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data", name))
    (folder / "..new").symlink_to(inner.name)
    (folder / "..new").rename(folder / "..data")


@asynccontextmanager
async def resource(trusted: bytes, folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that takes a token only over the certificate that it is bound to; its URL, and what tokens it took."""
    taken: list[str] = []

    async def orders(request: web.Request) -> web.Response:
        assert request.transport is not None
        certificate = request.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        if claims["cnf"]["x5t#S256"] != thumbprint:
            return web.Response(status=401)
        if token not in taken:
            taken.append(token)
        return web.Response(text=thumbprint)

    authority = pki.authority("orders")
    server = authority.server()
    (folder / "server.pem").write_bytes(server.tls_key + server.tls_crt)
    (folder / "resource-ca.crt").write_text(authority.bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.load_verify_locations(cadata=trusted.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_get("/orders", orders)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
        yield f"https://localhost:{port}/orders", taken
    finally:
        await runner.cleanup()


async def test_no_request_fails_while_the_certificate_is_renewed_again_and_again(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, scopes=["orders.read"])
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    mounted = tmp_path / "credential"
    mount(mounted, await world.secret(shop))
    client = example().Client(mounted, "orders.read", str(tmp_path / "resource-ca.crt"))

    async with resource((await world.secret(shop))["ca.crt"], tmp_path) as (url, taken):
        for number in range(RENEWALS):
            now = await world.secret(shop)
            for _ in range(3):
                assert (await asyncio.to_thread(client.get, url)).decode() == x5t_s256(now["tls.crt"])
            annotations = {"metadata": {"annotations": {RENEW_REQUESTED: str(number)}}}
            await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), annotations)

            async def renewed(before: bytes = now["tls.crt"]) -> bool:
                # Before the kubelet has brought the new one, the old one and its token are as good as ever.
                await asyncio.to_thread(client.get, url)
                return (await world.secret(shop))["tls.crt"] != before

            await eventually(renewed)
            mount(mounted, await world.secret(shop))
        program = [sys.executable, EXAMPLE, str(mounted), "orders.read", url, str(tmp_path / "resource-ca.crt")]
        printed = await asyncio.to_thread(subprocess.check_output, program, text=True)
        assert printed == x5t_s256((await world.secret(shop))["tls.crt"])
        taken.pop()
    assert len(taken) == RENEWALS, "one token for each certificate, and none for nothing"
