"""Access tokens as a client wants them signed (RFC 9068, RFC 7517, RFC 8414) over real TLS, a row a clause."""

from typing import Any

import jwt
import pytest

from builders.issuer import OPERATOR_ID, Bench, registration
from builders.pki import uri
from builders.witness import BUSY, header
from mintls.core.oauth.access_token import access_token_claims, sign_access_token
from mintls.core.oauth.client_signing_keys import ClientSigningKeys
from mintls.core.oauth.signing_algorithms import ALGORITHMS
from mintls.core.oauth.signing_keys import SigningKey

from .test_signing_algorithms import by_joserfc, document, made

AUDIENCE = "https://orders.shop.svc"
OWN_SET = "/clients/shop:billing/jwks"
METADATA = "/.well-known/oauth-authorization-server"
every = pytest.mark.parametrize("alg", ALGORITHMS)


def ask(bench: Bench, alg: str = "", *, dedicated: bool = False, **changes: Any) -> SigningKey:
    """The client shop:billing wants its tokens signed so, and there is a key for it."""
    key = made(alg or "ES256")
    bench.put(registration(signing_algorithm=alg, dedicated_key=dedicated, **changes))
    shared, own = ({}, {registration().uid: (key,)}) if dedicated else ({alg: (key,)}, {})
    bench.issuer.directory.put_asked_keys(ClientSigningKeys(shared, own))
    return key


async def token(bench: Bench) -> str:
    return str((await bench.token(bench.authority.client())).json["access_token"])


async def active(bench: Bench, value: str) -> bool:
    data = ("-d", "client_id=shop:billing", "-d", f"token={value}")
    return bool((await bench.curl("/introspect", *data, leaf=bench.authority.client())).json["active"])


@every
async def test_rfc_7515_4_1_1_a_token_has_the_algorithm_that_its_client_wants(bench: Bench, alg: str) -> None:
    key = ask(bench, alg)
    value = await token(bench)
    assert header(value)["alg"] == alg
    assert header(value)["kid"] in {key.kid, *([bench.key.kid] if alg == bench.key.alg else [])}
    keys = await document(bench, "/jwks")
    assert {one["kid"] for one in keys["keys"]} == {bench.key.kid, key.kid}, "RFC 8414 2: at jwks_uri beside the others"
    assert by_joserfc(value, keys, alg)["sub"] == "shop:billing"
    assert await active(bench, value)


@every
async def test_rfc_7517_5_a_key_of_one_client_is_in_a_set_of_its_own_and_in_no_other(bench: Bench, alg: str) -> None:
    key = ask(bench, alg, dedicated=True)
    value = await token(bench)
    assert header(value)["kid"] == key.kid
    own, issuers = await document(bench, OWN_SET), await document(bench, "/jwks")
    [published] = own["keys"]
    assert published["kid"] == key.kid
    assert not published.keys() & {"d", "p", "q", "dp", "dq", "qi"}, "no private member"
    assert [one["kid"] for one in issuers["keys"]] == [bench.key.kid]
    claims = jwt.decode(value, jwt.PyJWK(published), algorithms=[alg], audience=AUDIENCE, leeway=BUSY)
    assert claims == by_joserfc(value, own, alg)
    assert await active(bench, value)


async def test_rfc_9068_4_another_clients_tokens_are_none_of_that_key(bench: Bench) -> None:
    """Whoever trusts the set of one client trusts no other: nothing here takes such a token either."""
    key = ask(bench, dedicated=True)
    bench.put(registration("orders"))
    other = bench.issuer.directory.client("shop:orders")
    assert other is not None
    issuer = bench.issuer.settings.issuer_url
    details: dict[str, Any] = {"issuer": issuer, "audience": AUDIENCE, "scope": "", "confirmation": None}
    claims = access_token_claims(other, jti="1", now=bench.clock.now, **details)
    assert await active(bench, sign_access_token(claims, bench.key)), "it concerns the caller, and is good otherwise"
    assert not await active(bench, sign_access_token(claims, key))


@pytest.mark.parametrize("dedicated", [False, True])
async def test_rfc_6749_5_2_there_is_no_token_while_there_is_no_such_key(bench: Bench, *, dedicated: bool) -> None:
    """Never one that is signed otherwise."""
    bench.put(registration(signing_algorithm="PS256", dedicated_key=dedicated))
    reply = await bench.token(bench.authority.client())
    assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")
    assert reply.headers["retry-after"]
    assert bench.audit[-1]["reason"] == "no_signing_key"


async def test_rfc_8414_2_the_metadata_names_what_is_at_jwks_uri_and_nothing_of_one_client(bench: Bench) -> None:
    ask(bench, "PS256")
    found = await document(bench, METADATA)
    assert set(found["id_token_signing_alg_values_supported"]) == {"ES256", "PS256"}
    assert found["introspection_signing_alg_values_supported"] == ["ES256"], "RFC 9701 7: what it signs itself"
    ask(bench, "PS256", dedicated=True)
    found = await document(bench, METADATA)
    assert found["id_token_signing_alg_values_supported"] == ["ES256"]


async def test_rfc_7517_5_a_set_is_that_of_its_client_and_there_is_none_of_others(bench: Bench) -> None:
    ask(bench, dedicated=True)
    bench.put(registration("orders"))
    for path in ("/clients/shop:orders/jwks", "/clients/shop:nobody/jwks", "/clients/shop/jwks"):
        assert (await bench.curl(path, mtls=False)).status == 404
    reply = await bench.curl(OWN_SET.replace(":", "%3A"), mtls=False)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/jwk-set+json")
    assert reply.headers["cache-control"] == "public, max-age=300"
    assert (await bench.curl(OWN_SET)).json == reply.json, "at both ports"


async def test_rfc_7592_2_1_the_registration_says_where_the_keys_are_and_what_is_missing(bench: Bench) -> None:
    base = bench.issuer.settings.issuer_url
    operator = bench.authority.client(uri(OPERATOR_ID))
    ask(bench, dedicated=True)
    shown = (await bench.curl("/register/shop:billing", leaf=operator)).json
    assert shown["mintls_access_token_jwks_uri"] == base + OWN_SET
    assert "mintls_signing_problem" not in shown
    bench.put(registration(signing_algorithm="PS256"))
    shown = (await bench.curl("/register/shop:billing", leaf=operator)).json
    assert shown["mintls_access_token_jwks_uri"] == f"{base}/jwks"
    assert shown["mintls_signing_problem"] == "there is no key to sign its tokens with yet"


async def test_a_key_ends_with_its_client(bench: Bench) -> None:
    ask(bench, dedicated=True)
    value = await token(bench)
    assert await active(bench, value)
    bench.issuer.directory.remove_client(("shop", "billing"))
    assert (await bench.curl(OWN_SET, mtls=False)).status == 404
    bench.put(registration(uid="uid-of-the-next", dedicated_key=True))
    assert (await bench.curl(OWN_SET, mtls=False)).status == 404, "the next of its name has other keys"
    assert not await active(bench, value)


async def test_a_key_that_was_taken_away_verifies_nothing(bench: Bench) -> None:
    ask(bench, dedicated=True)
    value = await token(bench)
    assert await active(bench, value)
    bench.issuer.directory.put_asked_keys(ClientSigningKeys())
    assert not await active(bench, value)
