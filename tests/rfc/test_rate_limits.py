"""RFC 6585 section 4 over real TLS: who is limited, by what, and how that is answered."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import click
import jwt
import pytest

from builders.issuer import ISSUER_URL, SETTINGS, Bench, Reply, registration, running_issuer
from builders.pki import NOW, ec_key, uri
from mintls.cli.options import rate
from mintls.core.oauth.client_assertion import ASSERTION_TYPE as TYPE
from mintls.core.oauth.client_assertion import keys_of_jwks
from mintls.core.oauth.rate_limit import Rate
from mintls.core.oauth.self_signed import Jwk

OTHER_ID = "spiffe://cluster.local/ns/shop/client/other"


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Bench]:
    """Two requests at once of each client, and one more every four seconds."""
    async with running_issuer(tmp_path, replace(SETTINGS, client_rate=Rate(0.25, 2))) as value:
        yield value


async def tokens(bench: Bench, count: int) -> list[Reply]:
    return [await bench.token(bench.authority.client()) for _ in range(count)]


async def test_rfc_6585_4_one_too_many_is_429_and_says_when_to_come_back(slow: Bench) -> None:
    first, second, third = await tokens(slow, 3)
    assert (first.status, second.status) == (200, 200)
    assert (third.status, third.json["error"]) == (429, "temporarily_unavailable")
    assert third.headers["retry-after"] == "4"
    assert third.headers["cache-control"] == "no-store", "RFC 6585 section 4: must not be stored by a cache"
    assert third.headers["x-request-id"] == slow.audit[-1]["requestId"]
    assert (slow.audit[-1]["decision"], slow.audit[-1]["reason"]) == ("refused", "too_many_requests")


async def test_rfc_6585_4_after_that_time_it_is_answered(slow: Bench) -> None:
    await tokens(slow, 3)
    slow.clock.now += timedelta(seconds=4)
    assert [reply.status for reply in await tokens(slow, 2)] == [200, 429]


async def test_all_endpoints_count_together(slow: Bench) -> None:
    await tokens(slow, 2)
    data = ("-d", "client_id=shop:billing", "-d", "token=x")
    for path in ("/introspect", "/revoke"):
        assert (await slow.curl(path, *data, leaf=slow.authority.client())).status == 429


async def test_another_client_is_not_held_up(slow: Bench) -> None:
    slow.put(registration("other"))
    await tokens(slow, 3)
    assert (await slow.token(slow.authority.client(uri(OTHER_ID)), client_id="shop:other")).status == 200


async def test_nobody_else_can_use_a_clients_share_up(slow: Bench) -> None:
    stranger = slow.authority.client(uri(OTHER_ID))
    assert [(await slow.token(stranger)).status for _ in range(4)] == [401] * 4
    assert [reply.status for reply in await tokens(slow, 3)] == [200, 200, 429]


async def test_one_too_many_is_refused_before_anything_is_written_down_for_it(slow: Bench) -> None:
    key = ec_key()
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    method = {"token_endpoint_auth_method": "private_key_jwt", "subject": None, "certificate_bound": False}
    slow.put(registration("batch", **method, keys=keys_of_jwks([Jwk(jwk, ())], "jwks")))
    claims = {"iss": "shop:batch", "sub": "shop:batch", "aud": ISSUER_URL, "exp": int(NOW.timestamp()) + 60}
    statuses = []
    for jti in "123":
        assertion = jwt.encode(claims | {"jti": jti}, key, "ES256")
        pairs = {"grant_type": "client_credentials", "client_assertion": assertion, "client_assertion_type": TYPE}
        statuses.append((await slow.curl("/token", "-d", urlencode(pairs), mtls=False)).status)
    assert statuses == [200, 200, 429]
    assert len(slow.ledger.spent) == 2


async def test_an_address_is_limited_before_anything_is_known_of_the_caller(tmp_path: Path) -> None:
    async with running_issuer(tmp_path, replace(SETTINGS, address_rate=Rate(0.25, 2))) as bench:
        assert [(await bench.token(None)).status for _ in range(3)] == [401, 401, 429]
        assert (await bench.token(bench.authority.client())).status == 429
        assert (await bench.curl("/jwks", mtls=False)).status == 200, "what everybody may read is not counted"


async def test_without_a_limit_there_is_none(bench: Bench) -> None:
    async with bench.connect(bench.authority.client()) as connection:
        body = {"grant_type": "client_credentials", "client_id": "shop:billing"}
        assert {(await connection.post("/token", body)).status for _ in range(200)} == {200}


@pytest.mark.parametrize(
    ("text", "meant"),
    [(None, None), ("20", Rate(20, 20)), ("20/100", Rate(20, 100)), ("0.5", Rate(0.5, 1)), ("0.5/3", Rate(0.5, 3))],
)
def test_how_a_limit_is_written(text: str | None, meant: Rate | None) -> None:
    assert rate(text, "--client-rate") == meant


@pytest.mark.parametrize("text", ["", "0", "fast", "-1", "20/0", "20/", "1e3", "20/100/3"])
def test_what_is_no_limit_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"--client-rate .* such as 20 or 20/100"):
        rate(text, "--client-rate")
