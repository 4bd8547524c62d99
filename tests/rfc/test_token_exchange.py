"""RFC 8693 over real TLS, a row a clause: what is taken in exchange, and how far the new token goes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.issuer import ISSUER_URL, SETTINGS, Bench, Reply, registration, running_issuer
from builders.pki import HOUR, uri
from builders.witness import verify_with_joserfc
from mintls.core.oauth.token_exchange import ReviewedAccount
from mintls.core.oauth.token_request import CLIENT_CREDENTIALS, TOKEN_EXCHANGE

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ORDERS_ID = "spiffe://cluster.local/ns/shop/client/orders"
STOCK = "https://stock.shop.svc"
ACCOUNT = "system:serviceaccount:shop:till"

# Clause, what it demands, further parameters, and how the answer's description begins.
REFUSED: tuple[tuple[str, str, dict[str, str], str, str], ...] = (
    ("8693-2.1", "subject_token is required", {"subject_token": ""}, "invalid_request", "an exchange has"),
    ("8693-2.1", "subject_token_type is required", {"subject_token_type": ""}, "invalid_request", "an exchange has"),
    ("8693-2.1", "a type that is known", {"subject_token_type": JWT.upper()}, "invalid_request", "an exchange"),
    ("8693-2.1", "no refresh token", {"requested_token_type": ACCESS_TOKEN.replace("access", "refresh")},
     "invalid_request", "an exchange has"),
    ("8693-2.1", "no actor but the caller", {"actor_token": "x"}, "invalid_request", "an exchange has"),
    ("8693-2.1", "no type without an actor token", {"actor_token_type": JWT}, "invalid_request", "an exchange has"),
    ("8693-2.2.2", "a token that is none", {"subject_token": "x"}, "invalid_request", "the subject_token is"),
    ("8693-2.2.2", "an unknown audience", {"audience": "https://bank.svc"}, "invalid_target", "the resource"),
    ("8693-2.2.2", "an unknown resource", {"resource": "https://bank.svc"}, "invalid_target", "the resource"),
    ("8693-2.1", "no scope that the subject lacks", {"scope": "stock.read orders.write"}, "invalid_scope", "the scope"),
    ("8693-2.1", "no scope that the caller lacks", {"scope": "orders.admin"}, "invalid_scope", "the scope"),
)  # fmt: skip


def orders(**changes: Any) -> Any:
    """A service that is called with tokens for it, and calls another one for whoever called it."""
    grants: dict[str, Any] = {
        "grant_types": (CLIENT_CREDENTIALS, TOKEN_EXCHANGE),
        "audiences": ("https://orders.shop.svc", STOCK),
        "scopes": ("orders.read", "orders.write", "stock.read"),
        "service_accounts": ("till",),
    }
    return registration("orders", **(grants | changes))


async def billing_s_token(bench: Bench, **parameters: str) -> str:
    reply = await bench.token(bench.authority.client(), **parameters)
    assert reply.status == 200, reply.body
    return str(reply.json["access_token"])


async def exchange(bench: Bench, token: str, **parameters: str) -> Reply:
    """By the client ``orders``, for the stock."""
    leaf = bench.authority.client(uri(ORDERS_ID))
    wanted = {
        "grant_type": TOKEN_EXCHANGE,
        "client_id": "shop:orders",
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "resource": STOCK,
    }
    if "audience" in parameters:
        del wanted["resource"]
    return await bench.token(leaf, **(wanted | parameters))


async def claims(bench: Bench, reply: Reply) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    return verify_with_joserfc(reply.json["access_token"], (await bench.curl("/jwks", mtls=False)).json)


@pytest.mark.parametrize(
    ("parameters", "error", "description"),
    [row[2:] for row in REFUSED],
    ids=[f"RFC {row[0]} {row[1]}" for row in REFUSED],
)
async def test_what_is_refused(bench: Bench, parameters: dict[str, str], error: str, description: str) -> None:
    bench.put(orders())
    reply = await exchange(bench, await billing_s_token(bench, scope="orders.read"), **parameters)
    assert (reply.status, reply.json["error"]) == (400, error)
    assert reply.json["error_description"].startswith(description)


class TestAccessToken:
    async def test_rfc_8693_4_1_the_subject_is_who_it_was_and_the_caller_acts(self, bench: Bench) -> None:
        bench.put(orders())
        reply = await exchange(bench, await billing_s_token(bench))
        assert reply.json["issued_token_type"] == ACCESS_TOKEN, "RFC 8693 section 2.2.1"
        found = await claims(bench, reply)
        assert (found["sub"], found["client_id"], found["aud"]) == ("shop:billing", "shop:orders", STOCK)
        assert found["act"] == {"sub": "shop:orders"}
        noted = next(line for line in bench.audit if "subject" in line)
        assert (noted["subject"], noted["client"]) == ("shop:billing", "shop/orders")

    async def test_rfc_8705_3_it_is_bound_to_the_certificate_of_the_caller(self, bench: Bench) -> None:
        bench.put(orders())
        token = await billing_s_token(bench)
        leaf = bench.authority.client(uri(ORDERS_ID))
        form = {"grant_type": TOKEN_EXCHANGE, "client_id": "shop:orders", "subject_token": token}
        reply = await bench.token(leaf, **form, subject_token_type=ACCESS_TOKEN)
        assert (await claims(bench, reply))["cnf"] == {"x5t#S256": leaf.thumbprint}

    async def test_rfc_8693_4_1_who_acted_before_is_inside(self, bench: Bench) -> None:
        bench.put(orders())
        stock = {"audiences": (STOCK,), "grant_types": (TOKEN_EXCHANGE,), "scopes": ("orders.read",)}
        bench.put(registration("stock", **stock))
        first = (await exchange(bench, await billing_s_token(bench))).json["access_token"]
        leaf = bench.authority.client(uri("spiffe://cluster.local/ns/shop/client/stock"))
        form = {"grant_type": TOKEN_EXCHANGE, "client_id": "shop:stock", "subject_token": first}
        found = await claims(bench, await bench.token(leaf, **form, subject_token_type=ACCESS_TOKEN))
        assert found["sub"] == "shop:billing"
        assert found["act"] == {"sub": "shop:stock", "act": {"sub": "shop:orders"}}

    async def test_rfc_8693_2_1_without_a_scope_it_is_what_both_have(self, bench: Bench) -> None:
        bench.put(orders(scopes=("orders.write", "stock.read")))
        token = await billing_s_token(bench, scope="orders.read orders.write")
        assert (await claims(bench, await exchange(bench, token)))["scope"] == "orders.write"

    async def test_it_ends_with_the_token_that_it_came_of(self, bench: Bench) -> None:
        bench.put(orders(access_token_lifetime=HOUR))
        token = await billing_s_token(bench)
        subject = verify_with_joserfc(token, (await bench.curl("/jwks", mtls=False)).json)
        assert (await claims(bench, await exchange(bench, token)))["exp"] == subject["exp"]

    async def test_an_audience_says_what_a_resource_says(self, bench: Bench) -> None:
        bench.put(orders())
        found = await claims(bench, await exchange(bench, await billing_s_token(bench), audience=STOCK))
        assert found["aud"] == STOCK

    async def test_introspection_says_who_acts(self, bench: Bench) -> None:
        bench.put(orders())
        token = (await exchange(bench, await billing_s_token(bench))).json["access_token"]
        leaf = bench.authority.client(uri(ORDERS_ID))
        data = ("-d", "client_id=shop:orders", "--data-urlencode", f"token={token}")
        answer = (await bench.curl("/introspect", *data, leaf=leaf)).json
        assert (answer["sub"], answer["act"]) == ("shop:billing", {"sub": "shop:orders"})

    @pytest.mark.parametrize("case", ["expired", "revoked", "suspended", "for somebody else"])
    async def test_rfc_8693_2_2_2_what_counts_no_longer_is_refused(self, bench: Bench, case: str) -> None:
        bench.put(orders(audiences=(STOCK,)) if case == "for somebody else" else orders())
        token = await billing_s_token(bench)
        if case == "expired":
            bench.clock.now += HOUR
        elif case == "suspended":
            bench.put(registration(suspended=True))
        elif case == "revoked":
            data = ("-d", "client_id=shop:billing", "--data-urlencode", f"token={token}")
            assert (await bench.curl("/revoke", *data, leaf=bench.authority.client())).status == 200
        reply = await exchange(bench, token)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert bench.audit[-1]["reason"] == "wrong_subject_token"

    async def test_a_client_that_is_not_registered_for_it_may_not(self, bench: Bench) -> None:
        bench.put(orders(grant_types=(CLIENT_CREDENTIALS,)))
        reply = await exchange(bench, await billing_s_token(bench))
        assert (reply.status, reply.json["error"]) == (400, "unauthorized_client")

    async def test_the_caller_has_to_authenticate(self, bench: Bench) -> None:
        bench.put(orders())
        token = await billing_s_token(bench)
        form = {"grant_type": TOKEN_EXCHANGE, "client_id": "shop:orders", "subject_token": token}
        reply = await bench.token(bench.authority.client(), **form, subject_token_type=ACCESS_TOKEN)
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")


class TestServiceAccount:
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async with running_issuer(tmp_path, replace(SETTINGS, service_account_tokens=True)) as value:
            value.put(orders())
            yield value

    def account(self, bench: Bench, username: str = ACCOUNT) -> int:
        """What Kubernetes says of the token ``till``."""
        expires = int(bench.clock.now.timestamp()) + 90
        bench.reviewer.accounts["till", ISSUER_URL] = ReviewedAccount(username, expires)
        return expires

    async def test_the_account_is_the_subject_and_the_token_ends_with_its_own(self, bench: Bench) -> None:
        expires = self.account(bench)
        found = await claims(bench, await exchange(bench, "till", subject_token_type=JWT))
        assert (found["sub"], found["act"], found["exp"]) == (ACCOUNT, {"sub": "shop:orders"}, expires)

    @pytest.mark.parametrize(
        "username", ["system:serviceaccount:bank:till", "system:serviceaccount:shop:other", "till", ""]
    )
    async def test_an_account_that_the_client_does_not_name_is_refused(self, bench: Bench, username: str) -> None:
        self.account(bench, username)
        reply = await exchange(bench, "till", subject_token_type=JWT)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    async def test_a_token_for_another_audience_is_refused(self, bench: Bench) -> None:
        bench.reviewer.accounts["till", "https://kubernetes.default.svc"] = ReviewedAccount(ACCOUNT, 2**40)
        reply = await exchange(bench, "till", subject_token_type=JWT)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    async def test_when_kubernetes_is_away_it_is_temporarily_unavailable(self, bench: Bench) -> None:
        bench.reviewer.up = False
        reply = await exchange(bench, "till", subject_token_type=JWT)
        assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")

    async def test_an_issuer_that_does_not_take_them_says_so(self, tmp_path: Path) -> None:
        async with running_issuer(tmp_path) as other:
            other.put(orders())
            self.account(other)
            reply = await exchange(other, "till", subject_token_type=JWT)
            assert (reply.status, reply.json["error"]) == (400, "invalid_request")
            assert other.audit[-1]["reason"] == "malformed_exchange"


async def test_rfc_8414_2_the_metadata_names_the_grant(bench: Bench) -> None:
    document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
    assert TOKEN_EXCHANGE in document["grant_types_supported"]
