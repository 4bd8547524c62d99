"""RFC 7523 with its update, over real TLS, a row a clause: which assertion authenticates a client.

The assertions are signed by joserfc; the issuer reads them with PyJWT.
"""

import base64
import hmac
import json
import warnings
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import joserfc.jws
import pytest
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from builders.issuer import ISSUER_URL, MTLS_URL, Bench, Reply, registration, running_issuer
from builders.pki import DAY, HOUR, NOW, uri
from builders.witness import verify_with_joserfc
from mintls.core.oauth.client_assertion import keys_of_jwks
from mintls.core.oauth.self_signed import Jwk

OWN = ECKey.generate_key("P-256", {"kid": "own"})
OTHER = ECKey.generate_key("P-256", {"kid": "own"})
NEXT = {
    "ES256": ECKey.generate_key("P-256", {"kid": "p256"}),
    "ES384": ECKey.generate_key("P-384", {"kid": "p384"}),
    "PS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "RS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
}
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
T = int(NOW.timestamp())
CLAIMS = {"iss": "shop:batch", "sub": "shop:batch", "aud": ISSUER_URL, "jti": "1", "iat": T, "exp": T + 60}
HEADER = {"alg": "ES256", "typ": "client-authentication+jwt", "kid": "own"}
LEFT_OUT = object()


def changed(value: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in ({**value} | {**changes}).items() if one is not LEFT_OUT}


def assertion(key: Key = OWN, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    head = changed(HEADER, header or {})
    registry = joserfc.jws.JWSRegistry(
        algorithms=["ES256", "ES384", "PS256", "RS256", "EdDSA", "HS256", "none", "RS512"], strict_check_header=False
    )
    with warnings.catch_warnings():
        # Of "none", and of EdDSA, which RFC 9864 calls Ed25519; PyJWT does not know that name.
        warnings.simplefilter("ignore", SecurityWarning)
        return joserfc.jws.serialize_compact(head, json.dumps(changed(CLAIMS, claims)), key, registry=registry)


def keys(*registered: Key) -> Any:
    return keys_of_jwks((Jwk(key.as_dict(private=False), ()) for key in registered), "spec.jwks.keys")


def put(bench: Bench, *registered: Key, **changes: Any) -> None:
    """The client shop:batch, which signs and whose tokens are bound to nothing unless that is changed."""
    method = {"token_endpoint_auth_method": "private_key_jwt", "subject": None, "certificate_bound": False}
    bench.put(registration("batch", **method | {"keys": keys(*registered or (OWN,))} | changes))


async def ask(bench: Bench, value: str, *arguments: str, path: str = "/token", **parameters: str) -> Reply:
    pairs = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": value} | parameters
    return await bench.curl(path, "-d", urlencode(pairs), *arguments, mtls=False)


def forged() -> str:
    """The payload of another assertion under a good signature."""
    head, _, signature = assertion().split(".")
    return ".".join((head, assertion(jti="2").split(".")[1], signature))


def confused() -> str:
    """HS256 with the public key as its secret (RFC 8725 section 2.1)."""
    head, payload, _ = assertion(OctKey.generate_key(), {"alg": "HS256"}).split(".")
    digest = hmac.digest(OWN.as_pem(private=False), f"{head}.{payload}".encode(), "sha256")
    return f"{head}.{payload}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


# Clause, what it demands, the assertion, what the audit log says ("ok" if it is let in).
ROWS: tuple[tuple[str, str, Callable[[], str], str], ...] = (
    ("7523-2.2", "an assertion of the client", assertion, "ok"),
    ("7523-3 1", "iss is the client", lambda: assertion(iss="shop:billing"), "wrong_assertion"),
    ("7523-3 1", "iss is required", lambda: assertion(iss=LEFT_OUT), "wrong_assertion"),
    ("7523-3 2", "sub is the client", lambda: assertion(sub="shop:billing"), "wrong_assertion"),
    ("7523-3 2", "sub of nobody", lambda: assertion(sub="shop:nobody", iss="shop:nobody"), "wrong_assertion"),
    ("7523-3 2", "sub is required", lambda: assertion(sub=LEFT_OUT), "wrong_assertion"),
    ("7523-3 3", "aud is required", lambda: assertion(aud=LEFT_OUT), "wrong_assertion"),
    ("7523-3 3", "another issuer's", lambda: assertion(aud="https://other"), "wrong_assertion"),
    ("7523bis-4", "aud may be a list of one", lambda: assertion(aud=[ISSUER_URL]), "ok"),
    ("7523bis-4", "the token endpoint is no audience", lambda: assertion(aud=f"{ISSUER_URL}/token"), "wrong_assertion"),
    ("7523bis-4", "nor is it on mTLS", lambda: assertion(aud=f"{MTLS_URL}/token"), "wrong_assertion"),
    ("7523bis-4", "nobody else beside", lambda: assertion(aud=[ISSUER_URL, "https://other"]), "wrong_assertion"),
    ("3986-6.2.1", "letter by letter", lambda: assertion(aud=f"{ISSUER_URL}/"), "wrong_assertion"),
    ("7523-3 4", "exp is required", lambda: assertion(exp=LEFT_OUT), "wrong_assertion"),
    ("7523-3 4", "exp is over", lambda: assertion(exp=T), "wrong_assertion"),
    ("7523-3 4", "exp is one second away", lambda: assertion(exp=T + 1), "ok"),
    ("7523-3 4", "exp five minutes away", lambda: assertion(exp=T + 300), "ok"),
    ("7523-3 4", "exp unreasonably far away", lambda: assertion(exp=T + 331), "wrong_assertion"),
    ("7523-3 4", "exp is a number", lambda: assertion(exp=str(T + 60)), "wrong_assertion"),
    ("7523-3 5", "nbf has come", lambda: assertion(nbf=T), "ok"),
    ("7523-3 5", "nbf is to come", lambda: assertion(nbf=T + 31), "wrong_assertion"),
    ("7523-3 6", "iat may be left out", lambda: assertion(iat=LEFT_OUT), "ok"),
    ("7523-3 6", "iat by a clock that is a little ahead", lambda: assertion(iat=T + 30), "ok"),
    ("7523-3 6", "iat in the future", lambda: assertion(iat=T + 31), "wrong_assertion"),
    ("7523-3 6", "iat unreasonably long ago", lambda: assertion(iat=T - 301), "wrong_assertion"),
    ("7523-3 7", "jti, without which replay goes unseen", lambda: assertion(jti=LEFT_OUT), "wrong_assertion"),
    ("7523-3 7", "an empty jti is none", lambda: assertion(jti=""), "wrong_assertion"),
    ("7523-3 7", "a jti that is too long", lambda: assertion(jti="j" * 257), "wrong_assertion"),
    ("7523-3 8", "other claims do no harm", lambda: assertion(email="batch@shop.example"), "ok"),
    ("7523-3 9", "another key of the same name", lambda: assertion(OTHER), "wrong_assertion"),
    ("7523-3 9", "a key of another name", lambda: assertion(OWN, {"kid": "else"}), "wrong_assertion"),
    ("7523-3 9", "no name", lambda: assertion(OWN, {"kid": LEFT_OUT}), "ok"),
    ("7523-3 9", "another payload", forged, "wrong_assertion"),
    ("7523-3 10", "no JWT", lambda: "x", "wrong_assertion"),
    ("7523-3 10", "an encrypted one", lambda: "a.b.c.d.e", "wrong_assertion"),
    ("7518-3.6", "no signature", lambda: assertion(OctKey.generate_key(), {"alg": "none"}), "wrong_assertion"),
    ("8725-2.1", "a public key for a secret", confused, "wrong_assertion"),
    ("8725-3.11", "the type of long ago", lambda: assertion(header={"typ": "JWT"}), "ok"),
    ("8725-3.11", "no type, as RFC 7523 has it", lambda: assertion(header={"typ": LEFT_OUT}), "ok"),
    (
        "7515-4.1.9",
        "the type in full",
        lambda: assertion(header={"typ": "application/client-authentication+JWT"}),
        "ok",
    ),
    ("8725-3.12", "the type of an access token", lambda: assertion(header={"typ": "at+jwt"}), "wrong_assertion"),
    ("8725-3.12", "the type of a DPoP proof", lambda: assertion(header={"typ": "dpop+jwt"}), "wrong_assertion"),
)


@pytest.mark.parametrize(("made", "reason"), [row[2:] for row in ROWS], ids=[f"RFC {row[0]} {row[1]}" for row in ROWS])
async def test_which_assertion_authenticates(bench: Bench, made: Callable[[], str], reason: str) -> None:
    put(bench)
    reply = await ask(bench, made(), client_id="shop:batch")
    assert bench.audit[-1]["reason"] == reason
    if reason == "ok":
        assert reply.status == 200
        return
    assert (reply.status, reply.json) == (
        401,
        {"error": "invalid_client", "error_description": "client authentication failed"},
    )
    assert "www-authenticate" in reply.headers
    assert bench.ledger.spent == {}


# Clause, what it demands, parameters beside (or instead of) those of a good request, status.
REQUESTS: tuple[tuple[str, str, Mapping[str, str], int], ...] = (
    ("7521-4.2", "client_id may be left out", {}, 200),
    ("7521-4.2", "client_id beside it names the same client", {"client_id": "shop:batch"}, 200),
    ("7521-4.2", "client_id names another one", {"client_id": "shop:billing"}, 401),
    ("7523-2.2", "another client_assertion_type", {"client_assertion_type": TYPE.replace("jwt", "saml2")}, 400),
    ("7523-2.2", "no client_assertion_type", {"client_assertion_type": ""}, 400),
    ("7523-2.2", "no client_assertion", {"client_assertion": ""}, 400),
    ("6749-2.3", "a secret beside it", {"client_secret": "x"}, 400),
)


@pytest.mark.parametrize(
    ("parameters", "status"), [row[2:] for row in REQUESTS], ids=[f"RFC {row[0]} {row[1]}" for row in REQUESTS]
)
async def test_how_it_is_sent(bench: Bench, parameters: Mapping[str, str], status: int) -> None:
    put(bench)
    assert (await ask(bench, assertion(), **parameters)).status == status


@pytest.mark.parametrize("alg", NEXT)
async def test_rfc_7523_5_each_algorithm_that_is_advertised(bench: Bench, alg: str) -> None:
    document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
    assert alg in document["token_endpoint_auth_signing_alg_values_supported"]
    assert "private_key_jwt" in document["token_endpoint_auth_methods_supported"]
    put(bench, OWN, *NEXT.values())
    key = NEXT[alg]
    header = {"alg": alg, "kid": key.kid or LEFT_OUT}
    assert (await ask(bench, assertion(key, header))).status == 200


async def test_rfc_8725_3_1_an_algorithm_that_is_not(bench: Bench) -> None:
    put(bench, NEXT["RS256"])
    assert (await ask(bench, assertion(NEXT["RS256"], {"alg": "RS512", "kid": LEFT_OUT}))).status == 401


async def test_rfc_7517_4_4_a_key_is_for_its_own_alg_alone(bench: Bench) -> None:
    members = NEXT["PS256"].as_dict(private=False) | {"alg": "PS256"}
    put(bench, keys=keys_of_jwks([Jwk(members, ())], "jwks"))
    assert (await ask(bench, assertion(NEXT["PS256"], {"alg": "RS256", "kid": "rsa"}))).status == 401
    assert (await ask(bench, assertion(NEXT["PS256"], {"alg": "PS256", "kid": "rsa"}))).status == 200


class TestReplay:
    async def test_rfc_7523_3_7_it_counts_once(self, bench: Bench) -> None:
        put(bench)
        value = assertion()
        assert [(await ask(bench, value)).status for _ in range(3)] == [200, 401, 401]
        assert bench.audit[-1]["reason"] == "replayed_assertion"

    async def test_rfc_7523_3_7_at_whatever_endpoint(self, bench: Bench) -> None:
        put(bench)
        token = (await ask(bench, assertion())).json["access_token"]
        assert (await ask(bench, assertion(), path="/introspect", token=token)).status == 401
        assert (await ask(bench, assertion(jti="2"), path="/introspect", token=token)).json["active"] is True
        assert (await ask(bench, assertion(jti="2"), path="/revoke", token=token)).status == 401
        assert (await ask(bench, assertion(jti="3"), path="/revoke", token=token)).status == 200
        assert (await ask(bench, assertion(jti="4"), path="/introspect", token=token)).json == {"active": False}

    async def test_rfc_7523_3_7_a_jti_is_one_among_the_clients_own(self, bench: Bench) -> None:
        put(bench)
        twin = registration("twin", token_endpoint_auth_method="private_key_jwt", subject=None, keys=keys(OWN))
        bench.put(twin)
        assert (await ask(bench, assertion())).status == 200
        await ask(bench, assertion(iss="shop:twin", sub="shop:twin"))
        assert bench.audit[-1]["reason"] == "certificate_needed", "authenticated, though the jti is the same"

    async def test_a_replica_that_has_not_seen_it_yet_refuses_it(self, bench: Bench, tmp_path: Any) -> None:
        put(bench)
        value = assertion()
        assert (await ask(bench, value)).status == 200
        (tmp_path / "other").mkdir()
        async with running_issuer(tmp_path / "other") as other:
            put(other)
            other.ledger.spent = bench.ledger.spent
            assert (await ask(other, value)).status == 401
            assert other.audit[-1]["reason"] == "replayed_assertion"

    async def test_it_is_remembered_until_it_has_expired(self, bench: Bench) -> None:
        put(bench)
        await ask(bench, assertion())
        (spent,) = bench.ledger.spent.values()
        assert spent.expires == NOW + timedelta(seconds=60)

    async def test_while_nobody_can_tell_it_is_503_and_not_invalid_client(self, bench: Bench) -> None:
        put(bench)
        bench.ledger.up = False
        reply = await ask(bench, assertion())
        assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")
        assert int(reply.headers["retry-after"]) > 0
        bench.ledger.up = True
        assert (await ask(bench, assertion())).status == 200


# What is different about the client, and what the audit log says.
CLIENTS: tuple[tuple[str, Mapping[str, Any], str], ...] = (
    ("suspended", {"suspended": True}, "suspended_client"),
    ("of another method", {"token_endpoint_auth_method": "tls_client_auth", "keys": ()}, "wrong_assertion"),
    (
        "of another method, with keys all the same",
        {"token_endpoint_auth_method": "tls_client_auth"},
        "unsupported_method",
    ),
)


@pytest.mark.parametrize(("changes", "reason"), [row[1:] for row in CLIENTS], ids=[row[0] for row in CLIENTS])
async def test_which_client_it_authenticates(bench: Bench, changes: Mapping[str, Any], reason: str) -> None:
    put(bench, **changes)
    reply = await ask(bench, assertion())
    assert (reply.status, reply.json["error"]) == (401, "invalid_client")
    assert bench.audit[-1]["reason"] == reason
    assert bench.ledger.spent == {}


async def test_its_certificate_does_not_authenticate_such_a_client(bench: Bench) -> None:
    put(bench)
    leaf = bench.authority.client(uri("spiffe://cluster.local/ns/shop/client/batch"))
    assert (await bench.token(leaf, client_id="shop:batch")).status == 401
    assert bench.audit[-1]["reason"] == "unsupported_method"


class TestBinding:
    """RFC 8705 section 4: the certificate that tokens are bound to need not be how the client authenticates."""

    async def test_without_a_certificate_it_is_an_error_and_never_a_bearer_token(self, bench: Bench) -> None:
        put(bench, certificate_bound=True)
        reply = await ask(bench, assertion())
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert "mtls_endpoint_aliases" in reply.json["error_description"]

    async def test_to_the_certificate_of_the_connection(self, bench: Bench) -> None:
        put(bench, certificate_bound=True)
        leaf = bench.authority.client()
        pairs = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion()}
        reply = await bench.curl("/token", "-d", urlencode(pairs), leaf=leaf)
        claims = verify_with_joserfc(reply.json["access_token"], (await bench.curl("/jwks", mtls=False)).json)
        assert claims["cnf"] == {"x5t#S256": leaf.thumbprint}

    async def test_to_nothing_where_that_is_registered(self, bench: Bench) -> None:
        put(bench)
        reply = await ask(bench, assertion())
        claims = verify_with_joserfc(reply.json["access_token"], (await bench.curl("/jwks", mtls=False)).json)
        assert "cnf" not in claims
        assert (claims["sub"], claims["client_id"]) == ("shop:batch", "shop:batch")

    async def test_an_expired_certificate_neither_binds_nor_shortens(self, bench: Bench) -> None:
        leaf = bench.authority.client(not_before=NOW - DAY, not_after=NOW - HOUR)
        pairs = {"grant_type": "client_credentials", "client_assertion_type": TYPE}
        put(bench, certificate_bound=True)
        reply = await bench.curl("/token", "-d", urlencode(pairs | {"client_assertion": assertion()}), leaf=leaf)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        put(bench)
        value = assertion(jti="2")
        reply = await bench.curl("/token", "-d", urlencode(pairs | {"client_assertion": value}), leaf=leaf)
        assert reply.json["expires_in"] == 600
