"""RFC 7662 and RFC 9701 over real TLS, a row a clause: how a response is asked for, and what it says."""

from typing import Any

import pytest

from builders.issuer import ISSUER_URL, Bench, Reply, registration
from builders.pki import uri
from builders.witness import header, verify_with_joserfc, verify_with_pyjwt

JSON, JWT = "application/json", "application/token-introspection+jwt"
ORDERS_ID = "spiffe://cluster.local/ns/shop/client/orders"
OTHER_ID = "spiffe://cluster.local/ns/shop/client/other"

# Clause, what it demands, the Accept header (None for curl's own */*), the media type of the answer.
ACCEPT: tuple[tuple[str, str, str | None, str], ...] = (
    ("7662-2.2", "JSON unless something else is asked for", None, JSON),
    ("7662-2.2", "JSON where it is asked for", JSON, JSON),
    ("7662-2.2", "JSON for whatever there is", "*/*", JSON),
    ("7662-2.2", "JSON for any application type", "application/*", JSON),
    ("9701-4", "a JWT by its media type", JWT, JWT),
    ("9701-4", "media types have no case (RFC 9110-8.3.1)", JWT.upper(), JWT),
    ("9701-4", "beside others", f"text/html, {JWT}", JWT),
    ("9701-4", "as gladly as JSON", f"{JSON}, {JWT}", JWT),
    ("9701-4", "less gladly than JSON (RFC 9110-12.5.1)", f"{JSON}, {JWT};q=0.5", JSON),
    ("9701-4", "more gladly than JSON (RFC 9110-12.5.1)", f"{JSON};q=0.1, {JWT}; q=0.5", JWT),
    ("9701-4", "not at all (RFC 9110-12.4.2)", f"{JWT};q=0", JSON),
    ("9701-4", "not with a weight that is none", f"{JWT};q=gladly", JSON),
    ("9701-4", "not by a name that is longer", f"{JWT}s", JSON),
    ("9701-4", "not by the name of another JWT", "application/jwt", JSON),
)


@pytest.fixture
async def token(bench: Bench) -> str:
    value = (await bench.token(bench.authority.client())).json["access_token"]
    assert isinstance(value, str)
    return value


async def introspect(bench: Bench, token: str, accept: str | None = JWT, **who: str) -> Reply:
    """By the client itself, or by the client and identity in ``by`` and ``san``."""
    leaf = bench.authority.client(uri(who["san"])) if who else bench.authority.client()
    data = ("-d", f"client_id={who.get('by', 'shop:billing')}", "--data-urlencode", f"token={token}")
    headers = ("-H", f"Accept: {accept}") if accept else ()
    return await bench.curl("/introspect", *data, *headers, leaf=leaf)


async def verified(bench: Bench, reply: Reply) -> dict[str, Any]:
    """What joserfc reads after it has checked the signature."""
    assert (reply.status, reply.headers["content-type"]) == (200, JWT)
    return verify_with_joserfc(reply.body.decode(), (await bench.curl("/jwks", mtls=False)).json)


@pytest.mark.parametrize(
    ("accept", "media_type"), [row[2:] for row in ACCEPT], ids=[f"RFC {row[0]} {row[1]}" for row in ACCEPT]
)
async def test_how_a_jwt_is_asked_for(bench: Bench, token: str, accept: str | None, media_type: str) -> None:
    reply = await introspect(bench, token, accept)
    assert (reply.status, reply.headers["content-type"]) == (200, media_type)
    assert reply.headers["vary"] == "Accept", "RFC 9110 section 12.5.5"
    assert reply.headers["cache-control"] == "no-store", "RFC 7662 section 4"


class TestJwtResponse:
    async def test_rfc_9701_5_the_header_tells_it_from_an_access_token(self, bench: Bench, token: str) -> None:
        reply = await introspect(bench, token)
        assert header(reply.body.decode())["typ"] == "token-introspection+jwt"
        assert header(token)["typ"] == "at+jwt"

    async def test_rfc_9701_5_who_says_it_to_whom_and_when(self, bench: Bench, token: str) -> None:
        bench.put(registration("orders"))
        claims = await verified(bench, await introspect(bench, token, by="shop:orders", san=ORDERS_ID))
        now = int(bench.clock.now.timestamp())
        assert {name: claims[name] for name in ("iss", "aud", "iat")} == {
            "iss": ISSUER_URL,
            "aud": "shop:orders",
            "iat": now,
        }

    async def test_rfc_9701_5_what_json_says_is_inside(self, bench: Bench, token: str) -> None:
        claims = await verified(bench, await introspect(bench, token))
        plain = (await introspect(bench, token, JSON)).json
        assert plain["active"] is True
        assert claims["token_introspection"] == plain

    async def test_rfc_9701_5_no_sub_and_no_exp_outside(self, bench: Bench, token: str) -> None:
        claims = await verified(bench, await introspect(bench, token))
        assert claims.keys() == {"iss", "aud", "iat", "token_introspection"}

    async def test_rfc_9701_5_an_inactive_token_says_nothing_else_there_either(self, bench: Bench) -> None:
        claims = await verified(bench, await introspect(bench, "no-such-token"))
        assert claims["token_introspection"] == {"active": False}

    async def test_rfc_9701_5_a_token_for_somebody_else_is_inactive(self, bench: Bench, token: str) -> None:
        bench.put(registration("other", audiences=("https://other.shop.svc",)))
        claims = await verified(bench, await introspect(bench, token, by="shop:other", san=OTHER_ID))
        assert claims["token_introspection"] == {"active": False}

    async def test_rfc_9701_8_1_it_is_no_access_token(self, bench: Bench, token: str) -> None:
        response = (await introspect(bench, token)).body.decode()
        assert (await introspect(bench, response, JSON)).json == {"active": False}

    async def test_rfc_9701_4_the_caller_has_to_authenticate(self, bench: Bench, token: str) -> None:
        data = ("-d", "client_id=shop:billing", "-d", f"token={token}", "-H", f"Accept: {JWT}")
        reply = await bench.curl("/introspect", *data)
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        assert reply.headers["content-type"] == JSON

    async def test_rfc_9701_7_the_metadata_names_the_algorithm(self, bench: Bench, token: str) -> None:
        document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
        algorithm = header((await introspect(bench, token)).body.decode())["alg"]
        assert algorithm in document["introspection_signing_alg_values_supported"]

    async def test_the_access_token_is_as_it_was(self, bench: Bench, token: str) -> None:
        keys = (await bench.curl("/jwks", mtls=False)).json
        assert verify_with_pyjwt(token, keys, "https://orders.shop.svc")["client_id"] == "shop:billing"

    async def test_without_a_signing_key_it_is_temporarily_unavailable(self, bench: Bench, token: str) -> None:
        bench.issuer.directory.put_signing_keys(())
        reply = await introspect(bench, token)
        assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) > 0
        assert (await introspect(bench, token, JSON)).json == {"active": False}
