"""docs/proxies.md: its commands, run."""

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from builders.issuer import SETTINGS, registration, running_issuer
from builders.pki import uri
from builders.world import REPOSITORY
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.settings import InvalidSettings, TrustedProxy

PAGE = (REPOSITORY / "docs" / "proxies.md").read_text()
GATEWAY = TrustedProxy("edge", "gateway", Format.CLIENT_CERT)


async def test_what_a_proxy_sends(tmp_path: Path) -> None:
    [command] = re.findall(r"^\$ (curl .*Client-Cert.*)$", PAGE, re.MULTILINE)
    async with running_issuer(tmp_path, replace(SETTINGS, proxies=(GATEWAY,))) as bench:
        bench.put(registration("gateway", "edge"))
        bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway")).write(tmp_path, "gateway")
        bench.authority.client().write(tmp_path, "tls")
        (tmp_path / "client-id").write_text("shop:billing")
        (tmp_path / "token-endpoint").write_text(bench.url("/token"))
        assert bench.ca_file.name == "ca.crt"
        process = await asyncio.create_subprocess_shell(command, cwd=tmp_path, stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
    assert json.loads(out).keys() == {"access_token", "token_type", "expires_in", "scope"}


def test_every_format_is_on_the_page() -> None:
    assert set(re.findall(r"^\| `([a-z-]+)` \|", PAGE, re.MULTILINE)) == {"format", *Format}


def test_a_proxy_cannot_be_named_twice() -> None:
    with pytest.raises(InvalidSettings, match="edge/gateway twice"):
        replace(SETTINGS, proxies=(GATEWAY, replace(GATEWAY, form=Format.XFCC)))
