"""RFC 9449 over real TLS, a row a clause: proofs at the token endpoint and at resources, nonces, introspection."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from builders.dpop import KEY, LEFT_OUT, TOKEN_URL, proof
from builders.forwarded import Headers, client_cert
from builders.issuer import ISSUER_URL, SETTINGS, Bench, Reply, form, registration, running_issuer
from builders.pki import NOW, uri
from builders.witness import header, verify_with_joserfc
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.settings import Settings, TrustedProxy

T = int(NOW.timestamp())
KEYS: dict[str, Key] = {
    "ES256": KEY,
    "ES384": ECKey.generate_key("P-384"),
    "PS256": RSAKey.generate_key(2048),
    "RS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}
OTHER = ECKey.generate_key("P-256")
SETTINGS_HERE = replace(SETTINGS, proxies=(TrustedProxy("edge", "gateway", Format.CLIENT_CERT),))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(tmp_path, SETTINGS_HERE) as value:
        yield value


def running(directory: Path, settings: Settings) -> Any:
    return running_issuer(directory, settings)


def put(bench: Bench, **changes: Any) -> None:
    """shop:billing, which is registered for DPoP."""
    bench.put(registration(**{"dpop_bound": True} | changes))


async def ask(bench: Bench, *proofs: str, **parameters: str) -> Reply:
    headers = [argument for one in proofs for argument in ("-H", f"DPoP: {one}")]
    data = [argument for pair in form(**parameters).items() for argument in ("-d", "=".join(pair))]
    return await bench.curl("/token", *headers, *data, leaf=bench.authority.client())


def forged() -> str:
    """The payload of another proof under a good signature."""
    head, _, signature = proof().split(".")
    return ".".join((head, proof(jti="2").split(".")[1], signature))


def private() -> str:
    return proof(header={"jwk": KEY.as_dict(private=True)})


def symmetric() -> str:
    secret = OctKey.generate_key()
    return proof(secret, {"alg": "HS256", "jwk": secret.as_dict(private=True)})


def weak() -> str:
    with pytest.warns(match=".*"):
        key = RSAKey.generate_key(1024)
    return proof(key, {"alg": "RS256"})


# Clause, what it demands, the proofs, what the audit log says ("ok" if there is a token).
ROWS: tuple[tuple[str, str, Callable[[], str | tuple[str, ...]], str], ...] = (
    ("4.2", "a proof", proof, "ok"),
    ("4.3 1", "not two", lambda: (proof(), proof(jti="2")), "wrong_proof"),
    ("5.2", "dpop_bound_access_tokens: not none", lambda: (), "wrong_proof"),
    ("4.3 2", "a JWT", lambda: "x", "wrong_proof"),
    ("4.3 2", "well-formed", lambda: "a.b.c", "wrong_proof"),
    ("4.3 3", "jti is required", lambda: proof(jti=LEFT_OUT), "wrong_proof"),
    ("4.3 3", "htm is required", lambda: proof(htm=LEFT_OUT), "wrong_proof"),
    ("4.3 3", "htu is required", lambda: proof(htu=LEFT_OUT), "wrong_proof"),
    ("4.3 3", "iat is required", lambda: proof(iat=LEFT_OUT), "wrong_proof"),
    ("4.3 3", "iat is a number", lambda: proof(iat=str(T)), "wrong_proof"),
    ("4.3 4", "typ is required", lambda: proof(header={"typ": LEFT_OUT}), "wrong_proof"),
    ("4.3 4", "typ is dpop+jwt", lambda: proof(header={"typ": "JWT"}), "wrong_proof"),
    ("4.3 4", "which has no case (RFC 7515-4.1.9)", lambda: proof(header={"typ": "DPoP+JWT"}), "ok"),
    ("4.3 5", "not none", lambda: proof(header={"alg": "none"}), "wrong_proof"),
    ("4.3 5", "not symmetric", symmetric, "wrong_proof"),
    ("4.3 5", "one that is supported", lambda: proof(KEYS["RS256"], {"alg": "RS512"}), "wrong_proof"),
    *(("4.3 5", f"{alg} is", lambda alg=alg: proof(KEYS[alg], {"alg": alg}), "ok") for alg in KEYS),
    ("4.3 5", "the key is strong enough (RFC 7518-3.3)", weak, "wrong_proof"),
    ("4.3 6", "signed by the key in it", lambda: proof(signed_by=OTHER), "wrong_proof"),
    ("4.3 6", "all of it", forged, "wrong_proof"),
    ("4.3 6", "there is a key in it", lambda: proof(header={"jwk": LEFT_OUT}), "wrong_proof"),
    ("4.3 6", "a key", lambda: proof(header={"jwk": {"kty": "EC", "crv": "P-256"}}), "wrong_proof"),
    ("4.3 7", "not the private key", private, "wrong_proof"),
    ("4.3 8", "htm is the method", lambda: proof(htm="GET"), "wrong_proof"),
    ("4.3 8", "which has a case (RFC 9110-9.1)", lambda: proof(htm="post"), "wrong_proof"),
    ("4.3 9", "htu is the URL", lambda: proof(htu="https://localhost:9443/revoke"), "wrong_proof"),
    ("4.3 9", "of this server", lambda: proof(htu="https://elsewhere.example/token"), "wrong_proof"),
    ("4.3 9", "not a longer one", lambda: proof(htu=TOKEN_URL + "/x"), "wrong_proof"),
    ("4.3 9", "https", lambda: proof(htu="http://localhost:9443/token"), "wrong_proof"),
    ("4.3 9", "a URL", lambda: proof(htu="/token"), "wrong_proof"),
    ("4.3 9", "without its query and fragment", lambda: proof(htu=TOKEN_URL + "?a=b#c"), "ok"),
    ("4.3 9", "by its other name", lambda: proof(htu=f"{ISSUER_URL}/token"), "ok"),
    ("4.3 9", "normalized (RFC 3986-6.2.2)", lambda: proof(htu="HTTPS://LOCALHOST:9443/x/../%74oken"), "ok"),
    ("4.3 11", "iat is about now", lambda: proof(iat=T - 59), "ok"),
    ("4.3 11", "not a minute ago", lambda: proof(iat=T - 60), "wrong_proof"),
    ("4.3 11", "a clock may be ahead", lambda: proof(iat=T + 30), "ok"),
    ("4.3 11", "not by more", lambda: proof(iat=T + 31), "wrong_proof"),
    ("4.3 11", "nor infinitely", lambda: proof(iat=1e300), "wrong_proof"),
    ("11.1", "jti is not too long", lambda: proof(jti="x" * 257), "wrong_proof"),
    ("11.1", "nor empty", lambda: proof(jti=""), "wrong_proof"),
    ("7515-4.1.11", "no crit", lambda: proof(header={"crit": ["b64"], "b64": True}), "wrong_proof"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "reason"), [row[2:] for row in ROWS], ids=[f"RFC 9449-{row[0]} {row[1]}" for row in ROWS]
)
async def test_a_proof(bench: Bench, make: Callable[[], str | tuple[str, ...]], reason: str) -> None:
    put(bench)
    made = make()
    reply = await ask(bench, *((made,) if isinstance(made, str) else made))
    assert bench.audit[-1]["reason"] == reason, bench.audit[-1]
    if reason == "ok":
        assert (reply.status, reply.json["token_type"]) == (200, "DPoP")
    else:
        assert (reply.status, reply.json["error"]) == (400, "invalid_dpop_proof")
        assert not bench.ledger.spent, "what does not hold costs no write"


class TestToken:
    async def test_rfc_9449_6_1_it_is_bound_to_the_key_alone(self, bench: Bench) -> None:
        put(bench)
        token = (await ask(bench, proof())).json["access_token"]
        claims = verify_with_joserfc(token, (await bench.curl("/jwks", mtls=False)).json)
        assert claims["cnf"] == {"jkt": KEY.thumbprint()}

    async def test_rfc_9449_6_2_introspection_says_so(self, bench: Bench) -> None:
        put(bench)
        token = (await ask(bench, proof())).json["access_token"]
        data = ("-d", "client_id=shop:billing", "-d", f"token={token}")
        answer = (await bench.curl("/introspect", *data, leaf=bench.authority.client())).json
        assert (answer["token_type"], answer["cnf"]) == ("DPoP", {"jkt": KEY.thumbprint()})

    async def test_rfc_9449_5_a_client_that_is_not_registered_for_it_gets_what_it_always_gets(
        self, bench: Bench
    ) -> None:
        put(bench, dpop_bound=False)
        reply = await ask(bench, proof())
        assert reply.json["token_type"] == "Bearer"
        assert not bench.ledger.spent

    async def test_rfc_9449_5_1_the_metadata_names_the_algorithms(self, bench: Bench) -> None:
        document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
        assert set(document["dpop_signing_alg_values_supported"]) == set(KEYS)

    async def test_the_caller_is_authenticated_before_its_proof_is_looked_at(self, bench: Bench) -> None:
        put(bench)
        data = [argument for pair in form().items() for argument in ("-d", "=".join(pair))]
        reply = await bench.curl("/token", "-H", f"DPoP: {proof()}", *data)
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        assert not bench.ledger.spent


class TestReplay:
    async def test_rfc_9449_11_1_a_proof_counts_once(self, bench: Bench) -> None:
        put(bench)
        assert (await ask(bench, proof())).status == 200
        assert (await ask(bench, proof())).json["error"] == "invalid_dpop_proof"
        assert bench.audit[-1]["reason"] == "replayed_proof"
        assert (await ask(bench, proof(jti="2"))).status == 200

    async def test_nor_at_another_replica(self, bench: Bench) -> None:
        put(bench)
        assert (await ask(bench, proof())).status == 200
        for name in bench.ledger.spent:
            bench.issuer.directory.remove_spent(name)  # as at a replica that has not heard of it yet
        assert (await ask(bench, proof())).json["error"] == "invalid_dpop_proof"

    async def test_it_is_remembered_as_long_as_it_could_be_used(self, bench: Bench) -> None:
        put(bench)
        assert (await ask(bench, proof(iat=T + 30))).status == 200
        [spent] = bench.ledger.spent.values()
        assert spent.expires == NOW + timedelta(seconds=90)

    async def test_while_nobody_can_tell_it_is_temporarily_unavailable(self, bench: Bench) -> None:
        put(bench)
        bench.ledger.up = False
        reply = await ask(bench, proof())
        assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")


class TestNonce:
    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        async with running(tmp_path, replace(SETTINGS, dpop_nonce=True)) as value:
            put(value)
            yield value

    async def test_rfc_9449_8_it_is_asked_for_and_then_taken(self, bench: Bench) -> None:
        reply = await ask(bench, proof())
        assert (reply.status, reply.json["error"]) == (400, "use_dpop_nonce")
        assert not bench.ledger.spent
        assert (await ask(bench, proof(nonce=reply.headers["dpop-nonce"]))).status == 200

    async def test_rfc_9449_8_2_an_answer_has_the_next(self, bench: Bench) -> None:
        nonce = (await ask(bench, proof())).headers["dpop-nonce"]
        bench.clock.now += timedelta(seconds=20)
        following = (await ask(bench, proof(nonce=nonce))).headers["dpop-nonce"]
        assert following != nonce
        assert (await ask(bench, proof(jti="2", nonce=following))).status == 200

    @pytest.mark.parametrize("seconds", [-31, 300])
    async def test_rfc_9449_8_only_a_recent_one(self, bench: Bench, seconds: int) -> None:
        nonce = (await ask(bench, proof())).headers["dpop-nonce"]
        bench.clock.now += timedelta(seconds=seconds)
        now = int(bench.clock.now.timestamp())
        assert (await ask(bench, proof(nonce=nonce, iat=now))).json["error"] == "use_dpop_nonce"

    @pytest.mark.parametrize(
        "change", [lambda one: one[:-1], lambda one: f"{one}A", lambda one: "A" + one[1:-2] + "AA"]
    )
    async def test_rfc_9449_8_only_the_issuers_own(self, bench: Bench, change: Callable[[str], str]) -> None:
        nonce = change((await ask(bench, proof())).headers["dpop-nonce"])
        assert (await ask(bench, proof(nonce=nonce))).json["error"] == "use_dpop_nonce"

    async def test_one_of_a_key_that_signs_no_longer_is_taken_as_long_as_that_is_published(self, bench: Bench) -> None:
        nonce = (await ask(bench, proof())).headers["dpop-nonce"]
        newer = replace(bench.key, kid="newer", sign_from=NOW)
        bench.issuer.directory.put_signing_keys((bench.key, newer))
        assert (await ask(bench, proof(nonce=nonce))).status == 200


RESOURCE = "https://orders.shop.svc/orders"


async def get(bench: Bench, headers: Headers, query: str = "") -> Reply:
    """What the gateway asks of ``GET https://orders.shop.svc/orders?page=1``."""
    told = [("Method", "GET"), ("Proto", "https"), ("Host", "orders.shop.svc"), ("Uri", "/orders?page=1")]
    lines = [*headers, *((f"X-Forwarded-{name}", value) for name, value in told)]
    async with bench.connect(
        bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway"))
    ) as connection:
        raw = "".join(f"{name}: {value}\r\n" for name, value in lines)
        path = f"/verify?audience=https://orders.shop.svc{query}"
        await connection.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{raw}\r\n".encode())
        return await connection.reply()


class TestResource:
    @pytest.fixture
    async def token(self, bench: Bench) -> str:
        put(bench)
        bench.put(registration("gateway", "edge"))
        value = (await ask(bench, proof(jti="token"))).json["access_token"]
        assert isinstance(value, str)
        return value

    async def test_rfc_9449_7_1_a_proof_with_the_hash_of_the_token(self, bench: Bench, token: str) -> None:
        reply = await get(bench, at_resource(token))
        assert (reply.status, reply.headers["x-token-client-id"]) == (200, "shop:billing")

    @pytest.mark.parametrize(
        "changes",
        [
            {"ath": LEFT_OUT},
            {"ath": "x"},
            {"htm": "POST"},
            {"htu": "https://orders.shop.svc/"},
            {"htu": TOKEN_URL},
            {"iat": T - 60},
        ],
        ids=["RFC 9449-7.1 ath", "its value", "htm", "htu", "htu of another server", "iat"],
    )
    async def test_rfc_9449_4_3_what_it_has_to_say(self, bench: Bench, token: str, changes: dict[str, Any]) -> None:
        reply = await get(bench, at_resource(token, **changes))
        assert reply.status == 401
        assert reply.headers["www-authenticate"].startswith(f'DPoP realm="{ISSUER_URL}", algs="ES256 ')
        assert reply.headers["www-authenticate"].endswith('error="invalid_dpop_proof"')

    async def test_rfc_9449_4_3_12_the_key_is_the_tokens(self, bench: Bench, token: str) -> None:
        reply = await get(bench, at_resource(token, key=OTHER))
        assert (reply.status, bench.audit[-1]["reason"]) == (401, "no_possession")
        assert reply.headers["www-authenticate"].endswith('error="invalid_token"')

    async def test_rfc_9449_7_1_no_proof(self, bench: Bench, token: str) -> None:
        assert (await get(bench, [("Authorization", f"DPoP {token}")])).status == 401
        assert bench.audit[-1]["reason"] == "wrong_proof"

    async def test_rfc_9449_7_2_never_as_a_bearer_token(self, bench: Bench, token: str) -> None:
        headers = [("Authorization", f"Bearer {token}"), *at_resource(token)[1:]]
        for query in ("", "&possession=optional"):
            assert (await get(bench, headers, query)).status == 401
            assert bench.audit[-1]["reason"] == "no_possession"

    async def test_a_token_that_is_bound_to_a_certificate_is_no_dpop_token(self, bench: Bench, token: str) -> None:
        del token
        put(bench, dpop_bound=False)
        leaf = bench.authority.client()
        bound = (await bench.token(leaf)).json["access_token"]
        assert (await get(bench, [*at_resource(bound), *client_cert(leaf)])).status == 401
        assert (await get(bench, [("Authorization", f"Bearer {bound}"), *client_cert(leaf)])).status == 200

    async def test_rfc_9449_11_1_a_proof_counts_once(self, bench: Bench, token: str) -> None:
        assert (await get(bench, at_resource(token))).status == 200
        assert (await get(bench, at_resource(token))).status == 401
        assert bench.audit[-1]["reason"] == "replayed_proof"
        assert (await get(bench, at_resource(token, jti="3"))).status == 200

    async def test_rfc_9449_11_1_a_proof_for_a_token_request_is_none_for_a_resource(
        self, bench: Bench, token: str
    ) -> None:
        headers = [("Authorization", f"DPoP {token}"), ("DPoP", proof(jti="4"))]
        assert (await get(bench, headers)).status == 401

    async def test_the_proxy_has_to_say_which_request_it_is(self, bench: Bench, token: str) -> None:
        assert (await get(bench, [*at_resource(token), ("X-Forwarded-Host", "elsewhere")])).status == 401
        assert "X-Forwarded-Host" in bench.audit[-1]["detail"]


def at_resource(token: str, *, key: Key = KEY, **changes: Any) -> Headers:
    made = proof(key, token=token, **{"htm": "GET", "htu": RESOURCE, "jti": "2"} | changes)
    return [("Authorization", f"DPoP {token}"), ("DPoP", made)]


async def test_the_header_of_a_token_says_nothing_of_dpop(bench: Bench) -> None:
    put(bench)
    assert header((await ask(bench, proof())).json["access_token"])["typ"] == "at+jwt"
