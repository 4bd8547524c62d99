"""RFC 7009 over real TLS, a row a clause: who may revoke what, and what is answered."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from builders.issuer import Bench, Reply, registration, running_issuer
from builders.pki import DAY, NOW, uri

OTHER_ID = "spiffe://cluster.local/ns/shop/client/other"
SECOND = timedelta(seconds=1)

# Clause, what it demands, what is sent beside client_id (TOKEN stands for a good one), status, error.
REQUESTS: tuple[tuple[str, str, Mapping[str, str], int, str], ...] = (
    ("7009-2.1", "the token of the caller", {"token": "TOKEN"}, 200, ""),
    ("7009-2.1", "token is required", {}, 400, "invalid_request"),
    ("7009-2.1", "a hint that fits", {"token": "TOKEN", "token_type_hint": "access_token"}, 200, ""),
    ("7009-2.1", "a hint that does not fit", {"token": "TOKEN", "token_type_hint": "refresh_token"}, 200, ""),
    ("7009-2.1", "a hint that nobody knows", {"token": "TOKEN", "token_type_hint": "pct"}, 200, ""),
    ("7009-2.1", "a secret beside the certificate", {"token": "TOKEN", "client_secret": "x"}, 400, "invalid_request"),
    ("7009-2.2", "an invalid token is no error", {"token": "no-such-token"}, 200, ""),
    ("6749-3.1", "an empty token is one left out", {"token": ""}, 400, "invalid_request"),
)


async def fresh(bench: Bench) -> str:
    value = (await bench.token(bench.authority.client())).json["access_token"]
    assert isinstance(value, str)
    return value


@pytest.fixture
async def token(bench: Bench) -> str:
    return await fresh(bench)


async def post(bench: Bench, path: str, *, by: str = "shop:billing", san: str = "", **parameters: str) -> Reply:
    leaf = bench.authority.client(uri(san)) if san else bench.authority.client()
    pairs = {"client_id": by} | parameters
    data = [argument for name, value in pairs.items() for argument in ("--data-urlencode", f"{name}={value}")]
    return await bench.curl(path, *data, leaf=leaf)


async def revoke(bench: Bench, **parameters: str) -> Reply:
    return await post(bench, "/revoke", **parameters)


async def active(bench: Bench, token: str) -> dict[str, Any]:
    return (await post(bench, "/introspect", token=token)).json


@pytest.mark.parametrize(
    ("parameters", "status", "error"), [row[2:] for row in REQUESTS], ids=[f"RFC {row[0]} {row[1]}" for row in REQUESTS]
)
async def test_what_is_answered(
    bench: Bench, token: str, parameters: Mapping[str, str], status: int, error: str
) -> None:
    reply = await revoke(bench, **{name: value.replace("TOKEN", token) for name, value in parameters.items()})
    assert (reply.status, reply.json["error"] if error else reply.body.decode()) == (status, error)
    revoked = status == 200 and parameters["token"] == "TOKEN"
    assert (await active(bench, token))["active"] is not revoked
    assert bench.audit[-2]["endpoint"] == "revocation"


class TestRevocation:
    async def test_rfc_7009_2_1_it_is_invalid_at_once_and_says_nothing_else(self, bench: Bench, token: str) -> None:
        assert (await active(bench, token))["active"] is True
        await revoke(bench, token=token)
        assert await active(bench, token) == {"active": False}

    async def test_rfc_7009_2_1_another_token_of_the_client_stays(self, bench: Bench, token: str) -> None:
        other = await fresh(bench)
        await revoke(bench, token=token)
        assert (await active(bench, other))["active"] is True

    async def test_rfc_7009_2_1_another_clients_token_is_refused_and_stays(self, bench: Bench, token: str) -> None:
        bench.put(registration("other"))
        reply = await revoke(bench, by="shop:other", san=OTHER_ID, token=token)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert bench.audit[-1]["reason"] == "foreign_token"
        assert (await active(bench, token))["active"] is True, "though it is for an audience of the other, too"

    async def test_rfc_7009_2_1_the_caller_has_to_authenticate(self, bench: Bench, token: str) -> None:
        reply = await bench.curl("/revoke", "-d", "client_id=shop:billing", "-d", f"token={token}")
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        assert "www-authenticate" in reply.headers
        assert (await active(bench, token))["active"] is True

    async def test_rfc_7009_2_revocation_is_a_post(self, bench: Bench) -> None:
        reply = await bench.curl("/revoke", leaf=bench.authority.client())
        assert (reply.status, reply.headers["allow"]) == (405, "POST")

    async def test_rfc_7009_2_2_twice_is_as_good_as_once(self, bench: Bench, token: str) -> None:
        replies = [await revoke(bench, token=token) for _ in range(2)]
        assert [(reply.status, reply.body) for reply in replies] == [(200, b"")] * 2
        assert len(bench.ledger.spent) == 1

    async def test_rfc_7009_2_2_what_is_dead_anyway_is_not_written_down(self, bench: Bench, token: str) -> None:
        bench.clock.now = NOW + timedelta(minutes=10)
        assert (await revoke(bench, token=token)).status == 200
        assert (await revoke(bench, token=token[:-4] + "AAAA")).status == 200
        assert bench.ledger.spent == {}

    async def test_rfc_7009_2_2_1_503_while_it_cannot_be_made_known(self, bench: Bench, token: str) -> None:
        bench.ledger.up = False
        reply = await revoke(bench, token=token)
        assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) > 0
        assert (await active(bench, token))["active"] is True, "the client must assume that the token still exists"
        bench.ledger.up = True
        assert (await revoke(bench, token=token)).status == 200
        assert (await active(bench, token))["active"] is False

    async def test_what_is_written_down_ends_with_the_token_and_is_no_secret(self, bench: Bench, token: str) -> None:
        await revoke(bench, token=token)
        (spent,) = bench.ledger.spent.values()
        assert (spent.client_id, spent.expires) == ("shop:billing", NOW + timedelta(minutes=10))
        assert spent.identifier not in spent.name

    async def test_rfc_8414_2_the_metadata_names_it(self, bench: Bench) -> None:
        document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
        assert document["revocation_endpoint"] == document["mtls_endpoint_aliases"]["revocation_endpoint"]
        assert document["revocation_endpoint"].endswith(":9443/revoke")
        assert document["revocation_endpoint_auth_methods_supported"][0] == "tls_client_auth"


# What is done, what is changed of the client by it, and whether its token still counts.
CHANGES: tuple[tuple[str, dict[str, Any], bool], ...] = (
    ("suspended", {"suspended": True}, False),
    ("tokensNotBefore after its issue", {"tokens_not_before": NOW + SECOND}, False),
    ("tokensNotBefore at its issue", {"tokens_not_before": NOW}, True),
    ("made anew since", {"created": NOW + SECOND}, False),
    ("made before", {"created": NOW - DAY}, True),
)


@pytest.mark.parametrize(("changes", "still"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
async def test_rfc_7009_3_a_client_revokes_all_of_them_at_once(
    bench: Bench, token: str, changes: dict[str, Any], *, still: bool
) -> None:
    """By the object: seen on an open connection, by a resource that asks."""
    bench.put(registration("orders"))
    leaf = bench.authority.client(uri("spiffe://cluster.local/ns/shop/client/orders"))
    async with bench.connect(leaf) as connection:
        question = {"client_id": "shop:orders", "token": token}
        assert (await connection.post("/introspect", question)).json["active"] is True
        bench.put(registration(**changes))
        assert (await connection.post("/introspect", question)).json["active"] is still


async def test_a_replica_that_has_not_seen_it_yet_takes_it_for_done(bench: Bench, token: str, tmp_path: Any) -> None:
    """Two replicas that are asked to revoke one token at once meet in one record, and both say that it is done."""
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    await revoke(bench, token=token)
    async with running_issuer(other_folder) as other:
        other.ledger.spent = bench.ledger.spent
        other.authority = bench.authority
        other.trust("default", bench.authority)
        other.serve_as(bench.authority.server())
        other.issuer.directory.put_signing_keys((bench.key,))
        assert (await active(other, token))["active"] is True
        assert (await revoke(other, token=token)).status == 200
        assert await active(other, token) == {"active": False}
        assert len(bench.ledger.spent) == 1
