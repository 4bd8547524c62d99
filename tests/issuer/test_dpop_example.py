"""docs/examples/dpop.py against an issuer."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from builders.issuer import SETTINGS, registration, running_issuer
from builders.processes import output
from builders.world import REPOSITORY, free_port
from mintls.issuer.run import utc_now
from mintls.issuer.settings import Address

EXAMPLE = REPOSITORY / "docs" / "examples" / "dpop.py"


@pytest.mark.parametrize("dpop_nonce", [False, True])
async def test_it_gets_a_token(tmp_path: Path, *, dpop_nonce: bool) -> None:
    port = free_port()
    url = f"https://localhost:{port}"
    settings = replace(SETTINGS, mtls_url=url, mtls_address=Address("127.0.0.1", port), dpop_nonce=dpop_nonce)
    async with running_issuer(tmp_path, settings) as bench:
        bench.clock.now = utc_now()
        bench.put(registration(dpop_bound=True))
        bench.authority.client().write(tmp_path)
        (tmp_path / "client-id").write_text("shop:billing")
        (tmp_path / "token-endpoint").write_text(f"{url}/token")
        assert bench.ca_file == tmp_path / "ca.crt"
        said = (await output([sys.executable, str(EXAMPLE), str(tmp_path)])).stdout
    assert json.loads(said)["token_type"] == "DPoP", said
