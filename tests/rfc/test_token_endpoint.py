"""The token endpoint over mTLS, a row a clause: RFC 6749 sections 3.2, 3.3, 4.4 and 5.2, RFC 8707 section 2."""

from dataclasses import dataclass
from typing import Any

import pytest

from builders.issuer import Bench, registration
from builders.witness import verify_with_pyjwt

FORM = "application/x-www-form-urlencoded"
GOOD = "grant_type=client_credentials&client_id=shop:billing"
ORDERS, INVOICES = "https://orders.shop.svc", "https://invoices.shop.svc/v1?tenant=a"


@dataclass(frozen=True)
class Row:
    """A request and what has to come of it.

    Attributes:
        section: The clause.
        title: What it demands.
        body: The form.
        error: ``error`` of the answer; "" for a token.
        claims: Members that the token has to have.
        method: HTTP method.
        headers: Further headers, or others.
        status: Of the answer, where it is not 200 or 400.
        client: What is different about the registration.
    """

    section: str
    title: str
    body: str = GOOD
    error: str = ""
    claims: tuple[tuple[str, Any], ...] = ()
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", FORM),)
    status: int = 0
    client: tuple[tuple[str, Any], ...] = ()


def accept(section: str, title: str, extra: str = "", /, **rest: Any) -> Row:
    claims = rest.pop("claims", {})
    return Row(section, title, rest.pop("body", GOOD + extra), claims=tuple(claims.items()), **rest)


def refuse(section: str, title: str, error: str, extra: str = "", /, **rest: Any) -> Row:
    return Row(section, title, rest.pop("body", GOOD + extra), error, **rest)


def content_type(value: str) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", value),)


ROWS = (
    accept("6749-2.3", "a client_id beside the certificate is what RFC 8705 section 2 demands"),
    refuse("6749-2.3", "one method of authentication in a request: secret", "invalid_request", "&client_secret=x"),
    refuse("6749-2.3", "one method of authentication: assertion", "invalid_request", "&client_assertion=x"),
    refuse("6749-3.2", "the client must use POST: GET", "invalid_request", method="GET", status=405),
    refuse("6749-3.2", "the client must use POST: PUT", "invalid_request", method="PUT", status=405),
    accept("6749-3.2", "a parameter without a value counts as omitted", "&scope=", claims={"scope": "orders.read"}),
    refuse("6749-3.2", "so a required one is missing", "invalid_request", body="grant_type=&client_id=shop:billing"),
    accept("6749-3.2", "unrecognized parameters are ignored", "&favourite_colour=green"),
    refuse("6749-3.2", "no parameter twice: scope", "invalid_request", "&scope=orders.read&scope=orders.write"),
    refuse("6749-3.2", "no parameter twice, though it says the same", "invalid_request", "&client_id=shop:billing"),
    refuse("6749-3.2", "no parameter twice, though one is empty", "invalid_request", "&scope=&scope=orders.read"),
    refuse("6749-3.2", "no parameter twice, though it is unrecognized", "invalid_request", "&x=1&x=2"),
    refuse("6749-3.2.1", "the client says who it is", "invalid_request", body="grant_type=client_credentials"),
    accept("6749-3.3", "scopes are separated by a space", "&scope=orders.read+orders.write"),
    accept(
        "6749-3.3",
        "their order does not matter",
        "&scope=orders.write%20orders.read",
        claims={"scope": "orders.write orders.read"},
    ),
    accept(
        "6749-3.3", "one that is repeated is one", "&scope=orders.read+orders.read", claims={"scope": "orders.read"}
    ),
    accept("6749-3.3", "without a scope the registered default", claims={"scope": "orders.read"}),
    refuse("6749-3.3", "scopes are case-sensitive", "invalid_scope", "&scope=Orders.read"),
    refuse("6749-3.3", "not separated by a tab", "invalid_scope", "&scope=orders.read%09orders.write"),
    refuse("6749-3.3", "not separated by a comma", "invalid_scope", "&scope=orders.read,orders.write"),
    refuse("6749-3.3", "no space at the beginning", "invalid_scope", "&scope=+orders.read"),
    refuse("6749-3.3", "no space at the end", "invalid_scope", "&scope=orders.read+"),
    refuse("6749-3.3", "no quotation mark in a scope", "invalid_scope", "&scope=orders%22read"),
    refuse("6749-3.3", "no backslash in a scope", "invalid_scope", "&scope=orders%5Cread"),
    refuse("6749-3.3", "none beyond ASCII", "invalid_scope", "&scope=%C3%BC"),
    refuse("6749-3.3", "no NUL", "invalid_scope", "&scope=orders.read%00"),
    refuse("6749-4.4.2", "grant_type is required", "invalid_request", body="client_id=shop:billing"),
    refuse(
        "6749-4.4.2",
        "its value is client_credentials, as it is",
        "unsupported_grant_type",
        body=GOOD.replace("=c", "=C", 1),
    ),
    refuse("6749-5.2", "unsupported_grant_type", "unsupported_grant_type", body=GOOD.replace("client_c", "c")),
    refuse("6749-5.2", "unauthorized_client", "unauthorized_client", client=(("grant_types", ()),)),
    refuse("6749-5.2", "invalid_scope: beyond what is registered", "invalid_scope", "&scope=orders.read+admin"),
    refuse("6749-5.2", "invalid_client is 401", "invalid_client", body=GOOD + "x", status=401),
    accept("6749-B", "the form is UTF-8 and may say so", headers=content_type(f"{FORM}; charset=UTF-8")),
    refuse("6749-B", "another character set", "invalid_request", headers=content_type(f"{FORM}; charset=iso-8859-1")),
    refuse("6749-B", "another media type: JSON", "invalid_request", headers=content_type("application/json")),
    refuse("6749-B", "another media type: multipart", "invalid_request", headers=content_type("multipart/form-data")),
    refuse("6749-B", "a percent sign without two digits", "invalid_request", "&scope=%4"),
    refuse("6749-B", "not UTF-8", "invalid_request", "&scope=%C3%28"),
    accept("8707-2", "without a resource all that are registered", claims={"aud": [ORDERS, INVOICES]}),
    accept("8707-2", "a resource is the audience", f"&resource={ORDERS}", claims={"aud": ORDERS}),
    accept(
        "8707-2",
        "a query may be part of it",
        "&resource=https://invoices.shop.svc/v1?tenant%3Da",
        claims={"aud": INVOICES},
    ),
    accept(
        "8707-2",
        "the one parameter that may be repeated",
        f"&resource=https://invoices.shop.svc/v1?tenant%3Da&resource={ORDERS}",
        claims={"aud": [INVOICES, ORDERS]},
    ),
    accept("8707-2", "the same twice is one", f"&resource={ORDERS}&resource={ORDERS}", claims={"aud": ORDERS}),
    refuse("8707-2", "no fragment", "invalid_target", f"&resource={ORDERS}%23a"),
    refuse("8707-2", "absolute", "invalid_target", "&resource=/orders"),
    refuse("8707-2", "a URI", "invalid_target", "&resource=orders"),
    refuse("8707-2", "one that the server knows", "invalid_target", "&resource=https://elsewhere.example"),
    refuse("8707-2", "each of them", "invalid_target", f"&resource={ORDERS}&resource=https://elsewhere.example"),
    refuse("8707-2", "no part of a registered one", "invalid_target", "&resource=https://orders.shop.sv"),
    refuse("8707-2", "nothing below a registered one", "invalid_target", f"&resource={ORDERS}/v1"),
)


def every(rows: list[Row]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", rows, ids=[f"RFC {row.section} {row.title}" for row in rows])


async def answer(bench: Bench, row: Row) -> Any:
    changes = {"audiences": (ORDERS, INVOICES)} | dict(row.client)
    bench.put(registration(**changes))
    async with bench.connect(bench.authority.client()) as connection:
        return await connection.request(row.method, "/token", body=row.body.encode(), headers=dict(row.headers))


@every([row for row in ROWS if not row.error])
async def test_it_is_granted(bench: Bench, row: Row) -> None:
    reply = await answer(bench, row)
    assert reply.status == 200, reply
    # RFC 6749 section 5.1
    assert reply.headers["content-type"] == "application/json"
    assert (reply.headers["cache-control"], reply.headers["pragma"]) == ("no-store", "no-cache")
    assert reply.json["token_type"] == "Bearer"
    assert isinstance(reply.json["expires_in"], int)
    assert "refresh_token" not in reply.json, "RFC 6749 section 4.4.3"
    keys = (await bench.curl("/jwks", mtls=False)).json
    claims = verify_with_pyjwt(reply.json["access_token"], keys, dict(row.claims).get("aud", ORDERS))
    assert reply.json["scope"] == claims["scope"], (
        "RFC 6749 section 3.3: told, since it can differ from what was asked for"
    )
    assert {name: claims[name] for name, _ in row.claims} == dict(row.claims)


@every([row for row in ROWS if row.error])
async def test_it_is_refused(bench: Bench, row: Row) -> None:
    reply = await answer(bench, row)
    assert reply.status == (row.status or 400)
    # RFC 6749 section 5.2
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json.keys() == {"error", "error_description"}
    assert reply.json["error"] == row.error
    assert all(" " <= letter <= "~" and letter not in '"\\' for letter in reply.json["error_description"])
    assert ("www-authenticate" in reply.headers) == (reply.status == 401), "RFC 9110 section 15.5.2"
    assert ("allow" in reply.headers) == (reply.status == 405), "RFC 9110 section 15.5.6"
