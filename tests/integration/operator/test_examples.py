"""The scripts in docs/examples, run as they are; what they print is in docs/examples.md.

``MINTLS_WRITE_EXAMPLES=1`` writes the page's blocks anew.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from builders.jwks import jwks_server
from builders.nginx import nginx_program
from builders.registrations import INITIAL
from builders.world import REPOSITORY, World
from integration.operator.test_dynamic_registration import granted
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.settings import TrustedProxy
from mintls.kube.paths import CERTIFICATE_AUTHORITIES

pytestmark = pytest.mark.cluster

EXAMPLES = REPOSITORY / "docs" / "examples"
PAGE = REPOSITORY / "docs" / "examples.md"
HALF_A_MINUTE = timedelta(seconds=31)
VARYING = (
    (r"eyJ[\w.-]+", "TOKEN"),
    (r'"(exp|iat)":\d+', r'"\1":EPOCH'),
    (r'"jti":"[^"]+"', '"jti":"JTI"'),
    (r"(?<![\w-])[\w-]{43}(?![\w-])", "THUMBPRINT"),
    (r"registered-[0-9a-f]{16}", "registered-NAME"),
    (r"[0-9a-f]{8}-[0-9a-f-]{27}", "UID"),
)


async def installed(world: World, **settings: object) -> str:
    shop = await world.namespace()
    await world.authority()
    await world.operator()
    forms = {"gateway": Format.CLIENT_CERT, "edge": Format.ESCAPED_PEM}
    await world.issuer(proxies=tuple(TrustedProxy(shop, name, form) for name, form in forms.items()), **settings)
    return shop


async def printed(
    world: World, name: str, namespace: str, later: Mapping[str, timedelta] | None = None, **environment: str
) -> str:
    """What a script prints; the clock is moved when it says that it is time."""
    authority = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    (world.folder / "roots.crt").write_text(authority["status"]["keys"][0]["certificate"])
    process = await asyncio.create_subprocess_exec(
        str(EXAMPLES / name),
        env=os.environ
        | {
            "ISSUER": world.installation.issuer_url,
            "CA": str(world.folder / "roots.crt"),
            "NAMESPACE": namespace,
            "KUBECONFIG": str(world.cluster.kubeconfig),
            "PATH": f"{world.cluster.kubectl_path.parent}:{os.environ['PATH']}",
        }
        | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    lines: list[str] = []
    async for line in process.stdout:
        lines.append(line.decode())
        for beginning, time in (later or {}).items():
            if lines[-1].startswith(f"# {beginning}"):
                world.clock.pass_(time)
    said = "".join(lines)
    assert await process.wait() == 0, said
    return readable(said, world, namespace)


def readable(said: str, world: World, namespace: str) -> str:
    """With the ports and the namespace that are in all documents."""
    for own, usual in ((world.ports[0], 8443), (world.ports[1], 9443)):
        said = said.replace(f"localhost:{own}", f"localhost:{usual}")
    return said.replace(namespace, "shop").strip()


def is_on_the_page(name: str, said: str) -> None:
    pattern = re.compile(rf"(^## {re.escape(name)}$.*?^```text\n)(.*?)(\n```$)", re.MULTILINE | re.DOTALL)
    page = PAGE.read_text()
    if os.environ.get("MINTLS_WRITE_EXAMPLES"):
        page = pattern.sub(lambda found: found[1] + said + found[3], page)
        PAGE.write_text(page)
    found = pattern.search(page)
    assert found is not None, f"{PAGE} has no block below {name}"
    assert normalized(said) == normalized(found[2])


def normalized(text: str) -> list[str]:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text.splitlines()


async def test_a_client_that_registers_itself(world: World) -> None:
    shop = await granted(world, scopes="orders.read")
    is_on_the_page("register.sh", await printed(world, "register.sh", shop, INITIAL_TOKEN=INITIAL))


async def test_clients_whose_certificates_no_ca_has_signed(world: World, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(jwks_server(tmp_path))
        server.file = tmp_path / "jwks.json"
        shop = await installed(world, internal_jwks_uri=True, jwks_uri_ca_file=str(server.ca_file))
        said = await printed(
            world,
            "self-signed.sh",
            shop,
            {"Rotation without a word": HALF_A_MINUTE, "The third is taken out": HALF_A_MINUTE},
            JWKS_URI=server.url,
            JWKS_FILE=str(server.file),
        )
    is_on_the_page("self-signed.sh", said)


async def test_tokens_that_are_bound_and_who_checks_that(world: World) -> None:
    is_on_the_page("bound-tokens.sh", await printed(world, "bound-tokens.sh", await installed(world)))


async def test_nginx_in_front_of_a_resource(world: World) -> None:
    if nginx_program() is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    is_on_the_page("behind-nginx.sh", await printed(world, "behind-nginx.sh", await installed(world)))


async def test_client_credentials(world: World) -> None:
    shop = await installed(world, json_bodies=True)
    said = await printed(world, "client-credentials.sh", shop, {"Until it ends": HALF_A_MINUTE})
    is_on_the_page("client-credentials.sh", said)


async def test_a_script_can_be_run_after_another_one_and_again(world: World, tmp_path: Path) -> None:
    async with jwks_server(tmp_path) as server:
        server.file = tmp_path / "jwks.json"
        shop = await installed(world, internal_jwks_uri=True, jwks_uri_ca_file=str(server.ca_file))
        at_a_url = {"JWKS_URI": server.url, "JWKS_FILE": str(server.file)}
        later = {"Rotation without a word": HALF_A_MINUTE, "The third is taken out": HALF_A_MINUTE}
        await printed(world, "self-signed.sh", shop, later, **at_a_url)
        assert "401" in await printed(world, "self-signed.sh", shop)
        world.clock.come_back()  # else assertions are too old
        await printed(world, "bound-tokens.sh", shop)
        await printed(world, "self-signed.sh", shop)


async def test_the_first_surprise_ends_a_script(world: World) -> None:
    shop = await installed(world)  # takes no JSON
    with pytest.raises(AssertionError, match="UNEXPECTED: expected 200, got 400"):
        await printed(world, "client-credentials.sh", shop)
