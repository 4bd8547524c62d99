"""A real HAProxy in front of the issuer, as docs/exposing.md says: TLS goes through, and the certificate with it."""

import asyncio
import dataclasses
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from builders.world import REPOSITORY, World, eventually, free_port
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

from .test_token import claims, token, x5t_s256

pytestmark = pytest.mark.cluster

EXAMPLES = REPOSITORY / "docs" / "examples" / "passthrough"
URLS = yaml.safe_load((EXAMPLES / "values.yaml").read_text())["issuer"]


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[Callable[[World], int]]:
    """Starts HAProxy in front of the issuer of a world; returns its port."""
    program = shutil.which("haproxy") or shutil.which("/usr/sbin/haproxy")
    if not program:
        pytest.skip("haproxy is not installed (Debian: apt-get install haproxy)")
    started: list[subprocess.Popen[bytes]] = []

    def start(world: World) -> int:
        port = free_port()
        text = (EXAMPLES / "haproxy.cfg").read_text().replace("bind :443", f"bind 127.0.0.1:{port}")
        for listener, here in zip((8443, 9443), world.ports, strict=True):
            text = text.replace(f"mintls-issuer.mintls-system.svc:{listener}", f"127.0.0.1:{here}")
        file = tmp_path / "haproxy.cfg"
        file.write_text(text)
        started.append(subprocess.Popen([program, "-db", "-f", file]))
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


async def test_a_client_outside_gets_a_bound_token_by_both_names(
    world: World, haproxy: Callable[[World], int], tmp_path: Path
) -> None:
    # Whoever wants to speak to either name speaks to HAProxy.
    names = tuple(url.removeprefix("https://") for url in (URLS["url"], URLS["mtlsURL"]))
    world.installation = dataclasses.replace(
        world.installation,
        issuer_url=URLS["url"],
        mtls_url=URLS["mtlsURL"],
        issuer_names=(*names, *world.installation.issuer_names),
    )
    port = haproxy(world)
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, scopes=["orders.read"])
    await world.certificate(shop)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    files = await world.secret(shop)
    await eventually(lambda: accepts(port))

    assert files["token-endpoint"].decode() == "https://mtls.tokens.example.com/token"
    through = ("--connect-to", f"::127.0.0.1:{port}")
    status, answer = await token(tmp_path, files, *through)
    assert status == 200, answer
    assert claims(answer)["iss"] == URLS["url"]
    assert claims(answer)["cnf"] == {"x5t#S256": x5t_s256(files["tls.crt"])}

    metadata = await asyncio.to_thread(
        subprocess.check_output,
        ["curl", "-sS", "--cacert", "ca.crt", *through, f"{URLS['url']}/.well-known/oauth-authorization-server"],
        cwd=tmp_path,
    )
    assert json.loads(metadata)["mtls_endpoint_aliases"]["token_endpoint"] == files["token-endpoint"].decode()


async def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
