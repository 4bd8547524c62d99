"""The resource side over real TLS, a row a clause: RFC 6750 sections 2 and 3, RFC 8705 section 3, at ``/verify``."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.forwarded import Headers, client_cert
from builders.issuer import ISSUER_URL, SETTINGS, Bench, Reply, registration, running_issuer
from builders.pki import HOUR, NOW, Leaf, authority, self_signed_client, uri
from mintls.core.oauth.accounting import Account
from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.pki.origin import Origin
from mintls.issuer.settings import TrustedProxy

ORDERS = "https://orders.shop.svc"
QUERY = f"?audience={ORDERS}&scope=orders.read"
OPTIONAL = f"{QUERY}&possession=optional"
REALM = f'Bearer realm="{ISSUER_URL}"'
NO_TOKEN = f'{REALM}, DPoP realm="{ISSUER_URL}", algs="ES256 ES384 PS256 RS256 EdDSA"'
INVALID = f'{REALM}, error="invalid_token"'


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    proxies = (TrustedProxy("edge", "gateway", Format.CLIENT_CERT),)
    async with running_issuer(tmp_path, replace(SETTINGS, proxies=proxies)) as value:
        value.put(registration("gateway", "edge"))
        yield value


@dataclass
class Scene:
    """A token, whose it is, and how it is presented; each row changes one thing."""

    bench: Bench
    leaf: Leaf
    token: str
    query: str = QUERY
    headers: Headers | None = None
    shown: Leaf | None = None
    caller: Leaf | None = None
    way: str = "query"

    async def ask(self) -> Reply:
        headers = [("Authorization", f"Bearer {self.token}")] if self.headers is None else self.headers
        shown = client_cert(self.shown) if self.shown else []
        path, demand = told(self.way, self.query.removeprefix("?"))
        return await get(self.bench, path, [*headers, *shown, *demand], self.caller)


def told(way: str, demand: str) -> tuple[str, Headers]:
    """How a proxy says what it demands, by path and headers. What is in a client's own query counts for nothing."""
    match way:
        case "query":
            return f"/verify?{demand}", []
        case "path":
            return f"/verify;{demand.replace('/', '%2F')}/orders?audience=x&scope=", []
    return "/verify;demand=header/orders?audience=x&scope=", [("X-Token-Demand", demand)]


async def get(
    bench: Bench, path: str, headers: Headers, caller: Leaf | None = None, *, method: str = "GET", body: bytes = b""
) -> Reply:
    caller = caller or bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    async with bench.connect(caller) as connection:
        await connection.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode() + body)
        return await connection.reply(has_body=method != "HEAD")


async def scene(bench: Bench, leaf: Leaf | None = None, **client: Any) -> Scene:
    bench.put(registration(**client))
    leaf = leaf or bench.authority.client()
    reply = await bench.token(leaf)
    assert reply.status == 200, bench.audit[-1]
    return Scene(bench, leaf, reply.json["access_token"], shown=leaf)


type Change = Callable[[Scene], object]


def set_(**changes: Any) -> Change:
    return lambda now: [setattr(now, name, value) for name, value in changes.items()]


def header(name: str, value: str) -> Change:
    return lambda now: setattr(now, "headers", [(name, value.format(token=now.token))])


def put(**client: Any) -> Change:
    return lambda now: now.bench.put(registration(**client))


def later(**delta: float) -> Change:
    return lambda now: setattr(now.bench.clock, "now", now.bench.clock.now + timedelta(**delta))


def tampered(now: Scene) -> None:
    head, payload, signature = now.token.split(".")
    now.token = ".".join((head, payload, ("A" if signature[0] != "A" else "B") + signature[1:]))


def without_key(now: Scene) -> None:
    now.bench.issuer.directory.put_signing_keys(())


def twice(now: Scene) -> None:
    now.headers = [("Authorization", f"Bearer {now.token}")] * 2


def another_certificate(now: Scene) -> None:
    now.shown = now.bench.authority.client()


def same_key(now: Scene) -> None:
    now.shown = now.bench.authority.client(key=now.leaf.key)


# Clause, what it demands, what is different, the status, the challenge, what the audit log says.
ROWS: tuple[tuple[str, str, Change, int, str, str], ...] = (
    ("6750-2.1", "a token in Authorization", set_(), 200, "", "ok"),
    ("9110-11.1", "schemes have no case", header("Authorization", "bearer {token}"), 200, "", "ok"),
    ("6750-3", "several scopes, all of them there", set_(query=f"{QUERY}+orders.write"), 403, "scope", "missing_scope"),
    ("6750-3.1", "no token: no error code", set_(headers=[]), 401, NO_TOKEN, "no_access_token"),
    ("6750-3.1", "another scheme", header("Authorization", "Basic eDp5"), 401, NO_TOKEN, "no_access_token"),
    ("6750-3.1", "no b64token", header("Authorization", "Bearer a b"), 401, INVALID, "wrong_token"),
    ("6750-3.1", "no token behind the scheme", header("Authorization", "Bearer"), 401, INVALID, "wrong_token"),
    ("6750-3.1", "not twice", twice, 401, INVALID, "wrong_token"),
    ("9700-4.3.2", "not in the query", set_(headers=[], query=f"{QUERY}&access_token=x"), 400, "", "malformed_demand"),
    ("6750-3.1", "malformed", header("Authorization", "Bearer x.y.z"), 401, INVALID, "wrong_token"),
    ("7519-7.2", "signed by somebody else", tampered, 401, INVALID, "wrong_token"),
    ("9068-4", "signed by a key that is gone", without_key, 401, INVALID, "wrong_token"),
    ("6750-3.1", "expired", later(minutes=10), 401, INVALID, "wrong_token"),
    ("6750-3.1", "of a client that is suspended", put(suspended=True), 401, INVALID, "wrong_token"),
    ("7519-4.1.3", "for another audience", set_(query="?audience=https://b"), 401, INVALID, "wrong_audience"),
    ("7519-4.1.3", "whole values", set_(query=f"?audience={ORDERS}/"), 401, INVALID, "wrong_audience"),
    ("8705-3", "no certificate", set_(shown=None), 401, INVALID, "no_possession"),
    ("8705-3", "nor where it is optional", set_(shown=None, query=OPTIONAL), 401, INVALID, "no_possession"),
    ("8705-3", "another certificate of the client", another_certificate, 401, INVALID, "no_possession"),
    ("8705-3.1", "of the same key: the certificate counts", same_key, 401, INVALID, "no_possession"),
    ("8705-6.2", "one that no authority vouches for", set_(shown=authority().client()), 401, INVALID, "no_possession"),
    ("9068-4", "the audience is always looked at", set_(query="?scope=orders.read"), 400, "", "malformed_demand"),
    ("verify", "a demand that got lost", set_(query=f"?audience={ORDERS}&scope="), 400, "", "malformed_demand"),
    ("verify", "a demand with a typing error", set_(query=f"?audience={ORDERS}&scpoe=a"), 400, "", "malformed_demand"),
    ("verify", "a demand twice", set_(query=f"{QUERY}&scope=x"), 400, "", "malformed_demand"),
    ("verify", "no kind of possession", set_(query=f"{QUERY}&possession=none"), 400, "", "malformed_demand"),
    ("6749-3.3", "no scope", set_(query=f"?audience={ORDERS}&scope=%22"), 400, "", "malformed_demand"),
)  # fmt: skip


@pytest.mark.parametrize("way", ["query", "path", "header"])
@pytest.mark.parametrize(
    ("change", "status", "challenge", "reason"),
    [row[2:] for row in ROWS],
    ids=[f"RFC {row[0]} {row[1]}" for row in ROWS],
)
async def test_a_request(bench: Bench, change: Change, status: int, challenge: str, *, reason: str, way: str) -> None:
    now = await scene(bench)
    now.way = way
    change(now)
    reply = await now.ask()
    assert (reply.status, bench.audit[-1]["reason"]) == (status, reason)
    wanted = f'{REALM}, error="insufficient_scope", scope="orders.read orders.write"' if status == 403 else challenge
    assert reply.headers.get("www-authenticate", "") == wanted
    assert reply.headers["cache-control"] == "no-store"
    assert now.token not in str(bench.audit)


async def test_rfc_6750_3_1_all_that_is_wrong_with_a_token_looks_the_same(bench: Bench) -> None:
    bodies = set()
    for change in (tampered, twice, another_certificate, set_(query="?audience=https://b"), put(suspended=True)):
        now = await scene(bench)
        change(now)
        reply = await now.ask()
        bodies.add((reply.status, reply.body, reply.headers["www-authenticate"]))
    assert len(bodies) == 1


async def test_whoever_passes_is_named_to_the_proxy_and_in_the_audit_log(bench: Bench) -> None:
    now = await scene(bench)
    reply = await now.ask()
    assert (reply.headers["x-token-client-id"], reply.headers["x-token-scope"]) == ("shop:billing", "orders.read")
    line = bench.audit[-1]
    assert (line["proxy"], line["client"], line["thumbprint"]) == ("edge/gateway", "shop/billing", now.leaf.thumbprint)
    assert (line["scope"], line["audience"]) == ("orders.read", ORDERS)


async def test_rfc_7009_2_a_revoked_token(bench: Bench) -> None:
    now = await scene(bench)
    data = ("-d", "client_id=shop:billing", "-d", f"token={now.token}")
    assert (await bench.curl("/revoke", *data, leaf=now.leaf)).status == 200
    assert (await now.ask()).status == 401
    assert bench.audit[-1]["detail"] == "revoked"


class TestDemand:
    """Only the proxy says what it demands, and only where its path says that it does."""

    async def get(self, bench: Bench, path: str, *demands: str) -> Reply:
        now = await scene(bench, certificate_bound=False)
        headers = [("Authorization", f"Bearer {now.token}"), *(("X-Token-Demand", value) for value in demands)]
        return await get(bench, path, headers)

    async def test_a_header_is_ignored_where_the_demand_is_in_the_path_or_the_query(self, bench: Bench) -> None:
        mild = f"audience={ORDERS}&possession=optional"
        for way in ("query", "path"):
            path, _ = told(way, QUERY.removeprefix("?"))
            assert (await self.get(bench, path, mild)).status == 401
            assert bench.audit[-1]["reason"] == "unbound_token"

    @pytest.mark.parametrize("number", [0, 2])
    async def test_where_it_is_in_the_header_that_is_there_once(self, bench: Bench, number: int) -> None:
        reply = await self.get(bench, "/verify;demand=header/", *[f"audience={ORDERS}&possession=optional"] * number)
        assert (reply.status, bench.audit[-1]["reason"]) == (400, "malformed_demand")
        assert bench.audit[-1]["detail"] == f"X-Token-Demand is there {number} times, not once"

    @pytest.mark.parametrize(
        "path",
        [
            f"/verify;audience={ORDERS.replace('/', '%2F')}",
            f"/verify;audience={ORDERS.replace('/', '%2F')}*",
            f"/verify;audience={ORDERS.replace('/', '%2F')}?/",
            f"/verify%3Baudience={ORDERS.replace('/', '%2F')}&possession=optional/",
            "/verify;/",
            "/verify;demand=header",
        ],
    )
    async def test_no_demand_is_none_of_which_nobody_knows_where_it_ends(self, bench: Bench, path: str) -> None:
        reply = await self.get(bench, path, f"audience={ORDERS}&possession=optional")
        assert (reply.status, bench.audit[-1]["reason"]) in {(400, "malformed_demand"), (401, "wrong_audience")}

    @pytest.mark.parametrize("path", ["/verify/", f"/verify/;audience={ORDERS}/", f"/verify/x?audience={ORDERS}"])
    async def test_a_prefix_without_a_demand_lets_nobody_through_whatever_is_behind(
        self, bench: Bench, path: str
    ) -> None:
        assert (await self.get(bench, path, f"audience={ORDERS}&possession=optional")).status == 404

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
    async def test_the_method_is_the_clients_and_its_body_is_not_waited_for(self, bench: Bench, method: str) -> None:
        now = await scene(bench)
        path, _ = told("path", QUERY.removeprefix("?"))
        headers = [("Authorization", f"Bearer {now.token}"), *client_cert(now.leaf), ("Content-Length", "99999")]
        reply = await get(bench, path, headers, method=method, body=b"only a part of it")
        assert reply.status == 200


async def test_verify_and_introspection_agree(bench: Bench) -> None:
    """RFC 7662 section 2.2: what is not active gives no access, and the other way round."""
    bench.put(registration("orders"))
    orders = bench.authority.client(uri("spiffe://cluster.local/ns/shop/client/orders"))
    for change in (set_(), later(minutes=10), put(suspended=True), tampered, without_key):
        now = await scene(bench)
        change(now)
        said = await bench.curl("/introspect", "-d", "client_id=shop:orders", "-d", f"token={now.token}", leaf=orders)
        assert said.json["active"] == ((await now.ask()).status == 200)
        bench.issuer.directory.put_signing_keys((bench.key,))


class TestPossession:
    async def test_rfc_6750_1_2_a_token_that_is_bound_to_nothing_is_for_whoever_has_it(self, bench: Bench) -> None:
        now = await scene(bench, certificate_bound=False)
        now.shown = None
        assert (await now.ask()).status == 401
        assert bench.audit[-1]["reason"] == "unbound_token"
        now.query = OPTIONAL
        assert (await now.ask()).status == 200
        now.shown = authority().client()  # which plays no part then
        assert (await now.ask()).status == 200

    async def test_rfc_5280_3_3_a_certificate_that_was_revoked_ends_the_token(self, bench: Bench) -> None:
        account = Account("u1", "shop", "billing", revoked=False)
        bench.issuer.directory.put_account(account)
        now = await scene(bench, bench.authority.client(origin=Origin("ClientCertificate", "u1")))
        assert (await now.ask()).status == 200
        bench.issuer.directory.put_account(replace(account, revoked=True))
        assert (await now.ask()).status == 401
        assert bench.audit[-1]["detail"].startswith("revoked_certificate")

    async def test_rfc_5280_4_1_2_5_and_one_that_ended(self, bench: Bench) -> None:
        leaf = bench.authority.client(not_after=NOW + HOUR)
        now = await scene(bench, leaf, ends_with_certificate=False, access_token_lifetime=timedelta(hours=3))
        bench.clock.now += timedelta(hours=2)
        assert (await now.ask()).status == 401
        assert bench.audit[-1]["detail"].startswith("expired_certificate")

    async def test_rfc_8705_2_2_a_self_signed_one_that_is_registered_no_longer(self, bench: Bench) -> None:
        own = self_signed_client()
        method = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None}
        now = await scene(bench, own, **method, certificates=(own.certificate,))
        assert (await now.ask()).status == 200
        bench.put(registration(**method, certificates=(self_signed_client().certificate,)))
        assert (await now.ask()).status == 401


class TestWhoMayAsk:
    async def test_rfc_7662_2_1_nobody_but_a_proxy(self, bench: Bench) -> None:
        now = await scene(bench)
        now.caller = now.leaf
        reply = await now.ask()
        assert (reply.status, reply.json["error"], bench.audit[-1]["reason"]) == (400, "invalid_request", "not_a_proxy")
        assert reply.headers["connection"] == "close", "a proxy with a new certificate has to connect anew"

    @pytest.mark.parametrize("way", ["path", "header"])
    async def test_however_it_says_what_it_demands(self, bench: Bench, way: str) -> None:
        now = await scene(bench)
        now.caller, now.way = now.leaf, way
        assert ((await now.ask()).status, bench.audit[-1]["reason"]) == (400, "not_a_proxy")

    async def test_without_a_certificate_neither(self, bench: Bench) -> None:
        now = await scene(bench)
        reply = await bench.curl(f"/verify{QUERY}", "-H", f"Authorization: Bearer {now.token}")
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    async def test_nor_at_the_port_that_asks_for_none(self, bench: Bench) -> None:
        assert (await bench.curl(f"/verify{QUERY}", mtls=False)).status == 404
