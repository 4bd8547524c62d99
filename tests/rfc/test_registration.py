"""RFC 7591 and RFC 7592 over real TLS, a row a clause: who may register what, and who may manage it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.issuer import SETTINGS, Bench, Reply, registration, running_issuer
from builders.pki import email, self_signed_client
from builders.registrations import INITIAL, grant
from mintls.core.oauth.self_signed import jwks_of
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.issuer.settings import RegistrationSecret
from mintls.reconcile.registeredclient import TOKENS_ANNOTATION

GRANT = grant(max_clients=3)
EC = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}

ASSERTIONS = {"token_endpoint_auth_method": "private_key_jwt"}
SELF_SIGNED = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
BILLING = "spiffe://cluster.local/ns/shop/client/billing"

# Clause, what it says, the metadata, and what of the response it is about.
REGISTERED: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("7591-2", "an empty request gets the defaults", {}, {"token_endpoint_auth_method": "tls_client_auth"}),
    ("7591-2", "unknown members are ignored", {"logo_uri": 1}, {"scope": "orders.read orders.write"}),
    ("7591-2", "null is left out", {"scope": None, "jwks": None}, {"scope": "orders.read orders.write"}),
    ("7591-2", "a scope of the grant's", {"scope": "orders.write"}, {"scope": "orders.write"}),
    ("7591-2", "no scope at all", {"scope": ""}, {"scope": ""}),
    ("7591-2", "a name for people", {"client_name": "Abrechnung für €"}, {"client_name": "Abrechnung für €"}),
    ("7591-2", "the one grant", {"grant_types": ["client_credentials"]}, {"grant_types": ["client_credentials"]}),
    ("7591-2", "no response types", {"response_types": [], "redirect_uris": []}, {}),
    ("7591-2", "keys for assertions", {**ASSERTIONS, "jwks": {"keys": [EC]}},
     {**ASSERTIONS, "jwks": {"keys": [EC]}}),
    ("7591-2", "where its keys are", {**ASSERTIONS, "jwks_uri": "https://127.0.0.1:1/jwks.json"},
     {**ASSERTIONS, "jwks_uri": "https://127.0.0.1:1/jwks.json"}),
    ("8705-2.2.2", "where its certificates are", {**SELF_SIGNED, "jwks_uri": "https://127.0.0.1:1/jwks.json"},
     {**SELF_SIGNED, "jwks_uri": "https://127.0.0.1:1/jwks.json"}),
    ("7591-2", "a client_id of its own is ignored: the issuer gives it", {"client_id": "shop:billing"}, {}),
    ("8705-2.1.2", "an e-mail address", {"tls_client_auth_san_email": "a@shop.example"},
     {"tls_client_auth_san_email": "a@shop.example"}),
    ("8705-2.1.2", "a subject", {"tls_client_auth_subject_dn": "CN=a"}, {"tls_client_auth_subject_dn": "CN=a"}),
    ("8705-2.1.2", "a DNS name", {"tls_client_auth_san_dns": "a.shop.svc"}, {"tls_client_auth_san_dns": "a.shop.svc"}),
    ("8705-2.1.2", "a URI", {"tls_client_auth_san_uri": "https://a.example/x"},
     {"tls_client_auth_san_uri": "https://a.example/x"}),
    ("8705-2.1.2", "an address", {"tls_client_auth_san_ip": "10.0.0.7"}, {"tls_client_auth_san_ip": "10.0.0.7"}),
    ("8705-3.4", "bound unless it says otherwise", {}, {"tls_client_certificate_bound_access_tokens": True}),
    ("8705-3.4", "not bound where it says so", {"tls_client_certificate_bound_access_tokens": False},
     {"tls_client_certificate_bound_access_tokens": False}),
    ("9449-5.2", "bound to the key of a proof", {"dpop_bound_access_tokens": True}, {"dpop_bound_access_tokens": True}),
)  # fmt: skip

# Clause, what it says, the metadata, and what the answer names.
REFUSED: tuple[tuple[str, str, Any, str], ...] = (
    ("7591-3.1", "no JSON", "grant_types=client_credentials", "JSON object"),
    ("7591-3.1", "no object", [], "JSON object"),
    ("7591-3.1", "a member of another type", {"scope": ["orders.read"]}, "$.scope"),
    ("7591-2", "a redirection", {"redirect_uris": ["https://a.example"]}, "redirect_uris"),
    ("7591-2", "a response type", {"response_types": ["code"]}, "response_types"),
    ("7591-2", "another grant", {"grant_types": ["authorization_code"]}, "grant_types"),
    ("7591-2", "another grant beside", {"grant_types": ["client_credentials", "refresh_token"]}, "grant_types"),
    ("7591-2", "a secret", {"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method"),
    ("7591-2", "no authentication", {"token_endpoint_auth_method": "none"}, "token_endpoint_auth_method"),
    ("7591-2", "a scope beyond the grant's", {"scope": "orders.read admin"}, "scope must be of these"),
    ("7591-2", "a malformed scope", {"scope": 'orders."read"'}, "scope must be of these"),
    ("7591-2", "keys and where they are", {**ASSERTIONS, "jwks": {"keys": [EC]}, "jwks_uri": "https://a.example"},
     "jwks must be left out with jwks_uri"),
    ("7591-2", "where keys are without need", {"jwks_uri": "https://a.example"}, "jwks_uri must be left out"),
    ("7591-2", "keys without TLS", {**ASSERTIONS, "jwks_uri": "http://a.example"}, "jwks_uri must be an https URL"),
    ("7591-2", "keys without need", {"jwks": {"keys": [EC]}}, "jwks must be left out"),
    ("7591-2", "no keys", ASSERTIONS, "jwks must have the keys"),
    ("7591-2", "a private key", {**ASSERTIONS, "jwks": {"keys": [{**EC, "d": "AA"}]}},
     "jwks.keys[0] has d"),
    ("7591-2", "a key that is none", {**ASSERTIONS, "jwks": {"keys": [{"kty": "EC"}]}},
     "jwks.keys[0]"),
    ("7591-2", "a certificate that is no string",
     {**SELF_SIGNED, "jwks": {"keys": [{**EC, "x5c": [7]}]}}, "jwks.keys[0].x5c"),
    ("7591-2", "no certificate", {**SELF_SIGNED, "jwks": {"keys": [EC]}},
     "has no x5c"),
    ("7517-4", "a use that is no string", {**ASSERTIONS, "jwks": {"keys": [{**EC, "use": []}]}},
     "jwks.keys[0].use must be a string"),
    ("7517-4", "a kid that is no string", {**ASSERTIONS, "jwks": {"keys": [{**EC, "kid": [1]}]}},
     "jwks.keys[0].kid must be a string"),
    ("7591-2", "a name with a line break", {"client_name": "a\nb"}, "client_name"),
    ("7591-2", "a long name", {"client_name": "a" * 257}, "client_name"),
    ("8705-2.1.2", "two names",
     {"tls_client_auth_san_dns": "a.shop.svc", "tls_client_auth_san_ip": "10.0.0.7"}, "exactly one"),
    ("8705-2.1.2", "a name with another method",
     {**ASSERTIONS, "tls_client_auth_san_ip": "10.0.0.7"}, "exactly one"),
    ("8705-2.1.2", "a malformed address", {"tls_client_auth_san_ip": "10.0.0"}, "san_ip cannot be used"),
    ("8705-2.1.2", "a name of another namespace", {"tls_client_auth_san_dns": "a.bank.svc"}, "outside of namespace"),
    ("8705-2.1.2", "an identity of another client", {"tls_client_auth_san_uri": BILLING}, "trust domain"),
)  # fmt: skip


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    settings = replace(SETTINGS, registrations=(RegistrationSecret("registration-shop", "shop"),))
    async with running_issuer(tmp_path, settings) as value:
        value.issuer.directory.put_grant(GRANT)
        yield value


async def call(bench: Bench, method: str, path: str, token: str | None, metadata: Any = None) -> Reply:
    authorization = ("-H", f"Authorization: Bearer {token}") if token is not None else ()
    body = metadata if isinstance(metadata, str) else json.dumps(metadata)
    data = ("-H", "Content-Type: application/json", "-d", body) if metadata is not None else ()
    return await bench.curl(path, "-X", method, *authorization, *data, mtls=False)


async def register(bench: Bench, metadata: Any, token: str | None = INITIAL) -> Reply:
    return await call(bench, "POST", "/register", token, metadata)


async def manage(bench: Bench, method: str, client: dict[str, Any], metadata: Any = None, **other: str) -> Reply:
    token = other.get("token", client["registration_access_token"])
    return await call(bench, method, f"/register/{client['client_id']}", token, metadata)


def error(reply: Reply) -> tuple[int, str]:
    assert set(reply.json["error_description"]) <= set(map(chr, range(32, 127))) - set('"\\'), "RFC 6749 section 5.2"
    return reply.status, reply.json["error"]


@pytest.mark.parametrize(
    ("metadata", "expected"), [row[2:] for row in REGISTERED], ids=[f"RFC {row[0]} {row[1]}" for row in REGISTERED]
)
async def test_what_is_registered(bench: Bench, metadata: dict[str, Any], expected: dict[str, Any]) -> None:
    reply = await register(bench, metadata)
    assert reply.status == 201, reply.body
    assert reply.json | expected == reply.json
    # RFC 7591 section 3.2.1 and RFC 7592 section 3.
    assert reply.json["client_id"].startswith("shop:registered-")
    assert reply.json["registration_client_uri"].endswith(f"/register/{reply.json['client_id']}")
    assert reply.headers["cache-control"] == "no-store"
    assert bench.issuer.directory.client(reply.json["client_id"]) is not None


@pytest.mark.parametrize(
    ("metadata", "named"), [row[2:] for row in REFUSED], ids=[f"RFC {row[0]} {row[1]}" for row in REFUSED]
)
async def test_what_is_refused(bench: Bench, metadata: Any, named: str) -> None:
    reply = await register(bench, metadata)
    code = "invalid_redirect_uri" if named == "redirect_uris" else "invalid_client_metadata"
    assert error(reply) == (400, code), reply.body
    assert named in reply.json["error_description"]
    assert not bench.registry.clients


class TestRegistration:
    async def test_rfc_7591_3_the_client_gets_a_token(self, bench: Bench) -> None:
        made = (await register(bench, {"tls_client_auth_san_email": "a@shop.example", "scope": "orders.read"})).json
        leaf = bench.authority.client(email("a@shop.example"))
        answer = await bench.token(leaf, client_id=made["client_id"])
        assert (answer.status, answer.json["scope"]) == (200, "orders.read")

    async def test_rfc_8705_2_2_a_client_with_its_own_certificate_gets_a_token(self, bench: Bench) -> None:
        own = self_signed_client()
        metadata = {
            "token_endpoint_auth_method": "self_signed_tls_client_auth",
            "jwks": jwks_of((own.certificate,)),
        }
        made = (await register(bench, metadata)).json
        assert made["jwks"] == metadata["jwks"]
        assert (await bench.token(own, client_id=made["client_id"])).status == 200

    @pytest.mark.parametrize("token", [None, "", "x" * 37, INITIAL[:-1], INITIAL + "="])
    async def test_rfc_7591_3_nobody_registers_without_an_initial_access_token(
        self, bench: Bench, token: str | None
    ) -> None:
        reply = await register(bench, {}, token)
        assert error(reply) == (401, "invalid_token")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert not bench.registry.clients

    async def test_rfc_7591_3_a_grant_that_is_taken_away_counts_no_longer(self, bench: Bench) -> None:
        bench.issuer.directory.remove_grant(GRANT.name)
        assert error(await register(bench, {})) == (401, "invalid_token")

    async def test_a_grant_has_a_number_of_clients(self, bench: Bench) -> None:
        for _ in range(GRANT.max_clients):
            assert (await register(bench, {})).status == 201
        assert error(await register(bench, {})) == (403, "access_denied")

    async def test_a_name_of_another_client_is_refused_before_anything_is_written(self, bench: Bench) -> None:
        bench.put(registration("orders", subject=SubjectName(SubjectKind.SAN_EMAIL, "A@shop.example")))
        reply = await register(bench, {"tls_client_auth_san_email": "A@SHOP.example"})
        assert error(reply) == (400, "invalid_client_metadata")
        assert "another client" in reply.json["error_description"]
        assert not bench.registry.clients

    async def test_what_the_kubernetes_api_refuses_is_said(self, bench: Bench) -> None:
        bench.registry.refusal = 'spec.scopes[0]: Invalid value: "x": must be shorter'
        reply = await register(bench, {})
        assert error(reply) == (400, "invalid_client_metadata")
        assert "must be shorter" in reply.json["error_description"]

    async def test_without_the_kubernetes_api_it_is_temporarily_unavailable(self, bench: Bench) -> None:
        bench.registry.up = False
        reply = await register(bench, {})
        assert error(reply) == (503, "temporarily_unavailable")
        assert reply.headers["retry-after"]

    async def test_neither_token_is_kept_or_logged(self, bench: Bench) -> None:
        made = (await register(bench, {})).json
        seen = json.dumps([list(bench.registry.clients.values()), bench.audit])
        assert made["registration_access_token"] not in seen
        assert INITIAL not in seen
        assert bench.audit[-1]["grant"] == "registration-shop"

    async def test_rfc_8414_2_the_metadata_names_the_endpoint(self, bench: Bench) -> None:
        document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
        assert document["registration_endpoint"] == "https://localhost:8443/register"


class TestManagement:
    async def test_rfc_7592_2_1_the_client_reads_itself(self, bench: Bench) -> None:
        made = (await register(bench, {"client_name": "Partner"})).json
        reply = await manage(bench, "GET", made)
        assert (reply.status, reply.json) == (200, made)

    async def test_rfc_7592_2_2_an_update_replaces_all_of_it(self, bench: Bench) -> None:
        made = (await register(bench, {"client_name": "Partner", "scope": "orders.read"})).json
        changed = await manage(bench, "PUT", made, {"client_id": made["client_id"], "scope": "orders.write"})
        assert changed.status == 200
        assert changed.json["scope"] == "orders.write"
        assert "client_name" not in changed.json
        assert changed.json["client_id_issued_at"] == made["client_id_issued_at"]

    @pytest.mark.parametrize(
        ("metadata", "named"),
        [
            ({}, "client_id must be"),
            ({"client_id": "shop:billing"}, "client_id must be"),
            ({"registration_access_token": "x"}, "registration_access_token must not"),
            ({"registration_client_uri": "x"}, "registration_client_uri must not"),
            ({"client_id_issued_at": 1}, "client_id_issued_at must not"),
            ({"client_secret_expires_at": 0}, "client_secret_expires_at must not"),
            ({"scope": "admin"}, "scope must be of these"),
        ],
        ids=lambda value: next(iter(value), "nothing") if isinstance(value, dict) else "",
    )
    async def test_rfc_7592_2_2_what_an_update_may_not_say(
        self, bench: Bench, metadata: dict[str, Any], named: str
    ) -> None:
        made = (await register(bench, {})).json
        who = {} if named.startswith("client_id must be") else {"client_id": made["client_id"]}
        reply = await manage(bench, "PUT", made, {**who, **metadata})
        assert error(reply) == (400, "invalid_client_metadata")
        assert named in reply.json["error_description"]
        assert (await manage(bench, "GET", made)).json == made

    async def test_rfc_7592_2_3_a_deleted_client_is_gone(self, bench: Bench) -> None:
        made = (await register(bench, {"tls_client_auth_san_email": "a@shop.example"})).json
        reply = await manage(bench, "DELETE", made)
        assert (reply.status, reply.body) == (204, b"")
        assert error(await manage(bench, "GET", made)) == (401, "invalid_token")
        leaf = bench.authority.client(email("a@shop.example"))
        assert error(await bench.token(leaf, client_id=made["client_id"])) == (401, "invalid_client")

    async def test_rfc_7592_5_an_update_gives_a_new_token_and_its_use_ends_the_old(self, bench: Bench) -> None:
        made = (await register(bench, {})).json
        changed = (await manage(bench, "PUT", made, {"client_id": made["client_id"]})).json
        assert changed["registration_access_token"] != made["registration_access_token"]
        # The answer may have been lost: until the new one is used, the old one counts.
        assert (await manage(bench, "GET", made)).status == 200
        assert (await manage(bench, "GET", changed)).status == 200
        assert error(await manage(bench, "GET", made)) == (401, "invalid_token")
        assert (await manage(bench, "GET", changed)).status == 200

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    @pytest.mark.parametrize("token", [None, "x" * 43, INITIAL], ids=["none", "another", "initial"])
    async def test_rfc_7592_2_nobody_else_may(self, bench: Bench, method: str, token: str | None) -> None:
        made = (await register(bench, {})).json
        body = {"client_id": made["client_id"]} if method == "PUT" else None
        reply = await call(bench, method, f"/register/{made['client_id']}", token, body)
        assert error(reply) == (401, "invalid_token")
        assert reply.headers["www-authenticate"].startswith("Bearer")
        assert (await manage(bench, "GET", made)).json == made

    @pytest.mark.parametrize("client_id", ["shop:nobody", "shop:billing", "bank:x", "nobody", "shop:..%2Fx", "%00"])
    async def test_rfc_7592_2_1_an_unknown_client_is_401(self, bench: Bench, client_id: str) -> None:
        reply = await call(bench, "GET", f"/register/{client_id}", "x" * 43)
        assert error(reply) == (401, "invalid_token")

    async def test_the_token_of_one_client_is_none_of_another(self, bench: Bench) -> None:
        one, other = [(await register(bench, {})).json for _ in range(2)]
        reply = await manage(bench, "DELETE", one, token=other["registration_access_token"])
        assert error(reply) == (401, "invalid_token")
        assert len(bench.registry.clients) == 2

    @pytest.mark.parametrize("method", ["PUT", "DELETE"])
    async def test_what_somebody_else_has_changed_is_read_only(self, bench: Bench, method: str) -> None:
        made = (await register(bench, {})).json
        for client in bench.registry.clients.values():
            client["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "operation": "Update", "time": "now"}]
        body = {"client_id": made["client_id"]} if method == "PUT" else None
        reply = await manage(bench, method, made, body)
        assert error(reply) == (403, "access_denied")
        assert bench.audit[-1]["detail"] == "kubectl-edit"
        assert (await manage(bench, "GET", made)).json == made

    async def test_without_its_grant_a_client_can_be_read_and_deleted_only(self, bench: Bench) -> None:
        made = (await register(bench, {})).json
        bench.issuer.directory.remove_grant(GRANT.name)
        reply = await manage(bench, "PUT", made, {"client_id": made["client_id"]})
        assert error(reply) == (403, "access_denied")
        assert (await manage(bench, "GET", made)).status == 200
        assert (await manage(bench, "DELETE", made)).status == 204


async def test_nothing_is_there_unless_the_issuer_is_told_so(tmp_path: Path) -> None:
    async with running_issuer(tmp_path) as bench:
        assert (await register(bench, {})).status == 404
        document = (await bench.curl("/.well-known/oauth-authorization-server", mtls=False)).json
        assert "registration_endpoint" not in document


@pytest.mark.parametrize("path", ["/register", "/register/shop:a"])
async def test_rfc_9110_5_5_a_token_in_octets_that_are_no_text_is_refused(bench: Bench, path: str) -> None:
    async with bench.connect(mtls=False) as connection:
        method = "POST" if path == "/register" else "DELETE"
        await connection.send(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer ".encode()
            + b"\xff\r\n\r\n"
        )
        assert error(await connection.reply()) == (401, "invalid_token")


async def test_tokens_that_somebody_else_has_written_beside_are_none(bench: Bench) -> None:
    made = (await register(bench, {})).json
    [client] = bench.registry.clients.values()
    client["metadata"]["annotations"][TOKENS_ANNOTATION] += " \u00fc"
    assert (await manage(bench, "GET", made)).status == 200
    assert error(await manage(bench, "GET", made, token="\u00fc")) == (401, "invalid_token")
