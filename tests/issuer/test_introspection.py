"""``POST /introspect`` over real TLS."""

from datetime import timedelta

import pytest

from builders.issuer import Bench, Reply, registration
from builders.pki import Leaf, uri

ORDERS_ID = "spiffe://cluster.local/ns/shop/client/orders"
OTHER_ID = "spiffe://cluster.local/ns/shop/client/other"


async def introspect(bench: Bench, token: str, *, by: str = "shop:billing", leaf: Leaf | None = None) -> Reply:
    data = ("-d", f"client_id={by}", "--data-urlencode", f"token={token}")
    return await bench.curl("/introspect", *data, leaf=leaf or bench.authority.client())


async def issued(bench: Bench) -> str:
    token = (await bench.token(bench.authority.client())).json["access_token"]
    assert isinstance(token, str)
    return token


async def test_a_client_sees_its_own_token(bench: Bench) -> None:
    leaf = bench.authority.client()
    token = (await bench.token(leaf)).json["access_token"]
    reply = await introspect(bench, token)
    now = int(bench.clock.now.timestamp())
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json["jti"]
    assert {name: value for name, value in reply.json.items() if name != "jti"} == {
        "active": True,
        "token_type": "Bearer",
        "client_id": "shop:billing",
        "sub": "shop:billing",
        "iss": "https://localhost:8443",
        "aud": "https://orders.shop.svc",
        "scope": "orders.read",
        "iat": now,
        "exp": now + 600,
        "cnf": {"x5t#S256": leaf.thumbprint},
    }


async def test_a_resource_sees_the_tokens_that_are_for_it(bench: Bench) -> None:
    bench.put(registration("orders", audiences=("https://orders.shop.svc",)))
    leaf = bench.authority.client(uri(ORDERS_ID))
    assert (await introspect(bench, await issued(bench), by="shop:orders", leaf=leaf)).json["active"] is True


async def test_anybody_else_learns_that_it_is_inactive_and_nothing_more(bench: Bench) -> None:
    bench.put(registration("other", audiences=("https://other.shop.svc",)))
    leaf = bench.authority.client(uri(OTHER_ID))
    reply = await introspect(bench, await issued(bench), by="shop:other", leaf=leaf)
    assert (reply.status, reply.body) == (200, b'{"active":false}')


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "\u20ac", "." * 1000])
async def test_what_is_no_token_of_the_issuer_is_inactive(bench: Bench, token: str) -> None:
    assert (await introspect(bench, token)).body == b'{"active":false}'


async def test_a_token_with_a_changed_signature_is_inactive(bench: Bench) -> None:
    token = await issued(bench)
    changed = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
    assert (await introspect(bench, token)).json["active"] is True
    assert (await introspect(bench, changed)).json["active"] is False


async def test_an_expired_token_is_inactive(bench: Bench) -> None:
    token = await issued(bench)
    bench.clock.now += timedelta(seconds=599)
    assert (await introspect(bench, token)).json["active"] is True
    bench.clock.now += timedelta(seconds=1)
    assert (await introspect(bench, token)).json["active"] is False


async def other_caller(bench: Bench, token: str) -> Reply:
    """Asked by the resource, since the client itself may be suspended."""
    bench.put(registration("orders", audiences=("https://orders.shop.svc",)))
    return await introspect(bench, token, by="shop:orders", leaf=bench.authority.client(uri(ORDERS_ID)))


async def test_the_tokens_of_a_suspended_client_are_inactive_until_it_is_back(bench: Bench) -> None:
    token = await issued(bench)
    bench.put(registration(suspended=True))
    assert (await other_caller(bench, token)).json == {"active": False}
    bench.put(registration())
    assert (await other_caller(bench, token)).json["active"] is True


async def test_the_tokens_of_a_deleted_client_are_inactive(bench: Bench) -> None:
    token = await issued(bench)
    bench.issuer.directory.remove_client(("shop", "billing"))
    assert (await other_caller(bench, token)).json == {"active": False}


async def test_the_tokens_of_an_earlier_client_of_the_same_id_are_inactive(bench: Bench) -> None:
    token = await issued(bench)
    bench.put(registration(uid="another", created=bench.clock.now + timedelta(seconds=1)))
    assert (await other_caller(bench, token)).json == {"active": False}


async def test_tokens_from_before_tokens_not_before_are_inactive(bench: Bench) -> None:
    token = await issued(bench)
    bench.put(registration(tokens_not_before=bench.clock.now))
    assert (await other_caller(bench, token)).json["active"] is True
    bench.put(registration(tokens_not_before=bench.clock.now + timedelta(seconds=1)))
    assert (await other_caller(bench, token)).json == {"active": False}


async def test_a_token_of_a_retired_key_is_inactive(bench: Bench) -> None:
    token = await issued(bench)
    bench.issuer.directory.put_signing_keys(())
    assert (await introspect(bench, token)).json == {"active": False}


async def test_the_caller_has_to_authenticate(bench: Bench) -> None:
    token = await issued(bench)
    reply = await bench.curl("/introspect", "-d", f"client_id=shop:billing&token={token}")
    assert (reply.status, reply.json["error"]) == (401, "invalid_client")
    late = bench.authority.expired_client()
    assert (await introspect(bench, token, leaf=late)).status == 401


async def test_the_token_may_not_be_missing(bench: Bench) -> None:
    reply = await bench.curl("/introspect", "-d", "client_id=shop:billing", leaf=bench.authority.client())
    assert (reply.status, reply.json["error"]) == (400, "invalid_request")


async def test_the_audit_log_names_the_token_and_does_not_hold_it(bench: Bench) -> None:
    token = await issued(bench)
    await introspect(bench, token)
    line = bench.audit[-1]
    assert (line["endpoint"], line["decision"], line["active"]) == ("introspection", "granted", True)
    assert line["jti"] == bench.audit[0]["jti"]
    assert token not in str(bench.audit)
    assert token.split(".")[2] not in str(bench.audit)
