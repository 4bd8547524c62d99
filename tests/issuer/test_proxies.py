"""docs/proxies.md: its commands, run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from builders.issuer import SETTINGS, Reply, registration, running_issuer
from builders.pki import uri
from builders.processes import output
from builders.world import REPOSITORY
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.settings import InvalidSettings, TrustedProxy

PAGE = (REPOSITORY / "docs" / "proxies.md").read_text()
GATEWAY = TrustedProxy("edge", "gateway", Format.CLIENT_CERT)


async def test_the_commands(tmp_path: Path) -> None:
    for_a_token, to_a_resource = re.findall(r"^\$ (curl .*Client-Cert.*)$", PAGE, re.MULTILINE)
    async with running_issuer(tmp_path, replace(SETTINGS, proxies=(GATEWAY,))) as bench:
        bench.put(registration("gateway", "edge"))
        bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway")).write(tmp_path, "gateway")
        bench.authority.client().write(tmp_path, "tls")
        (tmp_path / "client-id").write_text("shop:billing")
        (tmp_path / "token-endpoint").write_text(bench.url("/token"))
        assert bench.ca_file.name == "ca.crt"
        answer = json.loads(await shell(for_a_token, tmp_path))
        (tmp_path / "token").write_text(answer["access_token"])
        verified = Reply.parse(await shell(to_a_resource, tmp_path))
    assert answer.keys() == {"access_token", "token_type", "expires_in", "scope"}
    [shown] = re.findall(r"^HTTP/1.1 200 OK\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
    headers = {name.lower(): value for name, value in (line.split(": ") for line in shown.splitlines() if line)}
    varying = {"date", "x-request-id"}
    assert verified.headers.keys() == headers.keys()
    assert {verified.headers[name] == value for name, value in headers.items() if name not in varying} == {True}


async def shell(command: str, directory: Path) -> bytes:
    out: bytes = (await output(command, cwd=directory)).stdout
    return out


def test_every_format_is_on_the_page() -> None:
    table = PAGE.partition("| `format`")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", table, re.MULTILINE)) == set(Format)


def test_a_proxy_cannot_be_named_twice() -> None:
    with pytest.raises(InvalidSettings, match="edge/gateway twice"):
        replace(SETTINGS, proxies=(GATEWAY, replace(GATEWAY, form=Format.XFCC)))
