"""``POST /token`` over real TLS, called with curl; openssl and PyJWT as witnesses."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.issuer import Bench, registration
from builders.pki import DAY, HOUR, Leaf, authority, dns, email, ip, raw_client, uri
from builders.witness import header, verify_with_joserfc, verify_with_openssl, verify_with_pyjwt, x5t_s256
from mintls.core.pki.names import SubjectKind, SubjectName

OTHER_ID = "spiffe://cluster.local/ns/shop/client/orders"


async def published(bench: Bench) -> dict[str, Any]:
    reply = await bench.curl("/jwks", mtls=False)
    return reply.json


class TestSuccess:
    async def test_the_token_is_bound_to_the_certificate_that_openssl_sees(self, bench: Bench, tmp_path: Path) -> None:
        leaf = bench.authority.client()
        reply = await bench.token(leaf)
        claims = verify_with_pyjwt(reply.json["access_token"], await published(bench), "https://orders.shop.svc")
        assert claims["cnf"] == {"x5t#S256": x5t_s256(leaf, tmp_path)}

    async def test_joserfc_agrees(self, bench: Bench) -> None:
        token = (await bench.token(bench.authority.client())).json["access_token"]
        claims = verify_with_joserfc(token, await published(bench))
        assert claims == verify_with_pyjwt(token, await published(bench), "https://orders.shop.svc")

    async def test_openssl_verifies_the_signature_with_the_published_key(self, bench: Bench, tmp_path: Path) -> None:
        token = (await bench.token(bench.authority.client())).json["access_token"]
        [jwk] = (await bench.curl("/jwks", mtls=False)).json["keys"]
        claims = verify_with_openssl(token, jwk, tmp_path)
        issued = int(bench.clock.now.timestamp())
        assert claims.pop("jti")
        assert claims.pop("cnf")
        assert claims == {
            "iss": "https://localhost:8443",
            "sub": "shop:billing",
            "client_id": "shop:billing",
            "aud": "https://orders.shop.svc",
            "iat": issued,
            "exp": issued + 600,
            "scope": "orders.read",
        }
        assert header(token) == {"typ": "at+jwt", "alg": "ES256", "kid": jwk["kid"]}

    async def test_the_answer_is_what_rfc_6749_section_5_1_says(self, bench: Bench) -> None:
        reply = await bench.token(bench.authority.client())
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.json.keys() == {"access_token", "token_type", "expires_in", "scope"}
        assert (reply.json["token_type"], reply.json["expires_in"]) == ("Bearer", 600)

    async def test_each_token_has_an_identifier_of_its_own(self, bench: Bench) -> None:
        leaf = bench.authority.client()
        keys = await published(bench)
        tokens = [(await bench.token(leaf)).json["access_token"] for _ in range(2)]
        first, second = (verify_with_pyjwt(token, keys, "https://orders.shop.svc")["jti"] for token in tokens)
        assert first != second

    async def test_a_client_without_scopes_and_audiences_gets_a_token_for_the_issuer(self, bench: Bench) -> None:
        bench.put(registration(scopes=(), default_scopes=(), audiences=()))
        reply = await bench.token(bench.authority.client())
        claims = verify_with_pyjwt(reply.json["access_token"], await published(bench), "https://localhost:8443")
        assert "scope" not in claims
        assert "scope" not in reply.json

    async def test_an_unbound_client_gets_a_bearer_token(self, bench: Bench) -> None:
        bench.put(registration(certificate_bound=False))
        reply = await bench.token(bench.authority.client())
        claims = verify_with_pyjwt(reply.json["access_token"], await published(bench), "https://orders.shop.svc")
        assert "cnf" not in claims

    async def test_claims_of_the_registration_are_in_the_token(self, bench: Bench) -> None:
        bench.put(registration(extra_claims=(("tenant", "shop"),)))
        reply = await bench.token(bench.authority.client())
        claims = verify_with_pyjwt(reply.json["access_token"], await published(bench), "https://orders.shop.svc")
        assert (claims["tenant"], claims["sub"]) == ("shop", "shop:billing")

    async def test_a_token_ends_with_the_certificate_and_the_answer_says_when(self, bench: Bench) -> None:
        leaf = bench.authority.client(not_after=bench.clock.now + timedelta(minutes=5))
        reply = await bench.token(leaf)
        claims = verify_with_pyjwt(reply.json["access_token"], await published(bench), "https://orders.shop.svc")
        assert reply.json["expires_in"] == claims["exp"] - claims["iat"] == 301
        bench.put(registration(ends_with_certificate=False))
        assert (await bench.token(leaf)).json["expires_in"] == 600

    async def test_scope_and_resources_that_are_registered_are_granted(self, bench: Bench) -> None:
        bench.put(registration(audiences=("https://a.example", "https://b.example", "https://c.example")))
        leaf = bench.authority.client()
        resources = [a for name in "ab" for a in ("-d", f"resource=https://{name}.example")]
        base = ("-d", "grant_type=client_credentials", "-d", "client_id=shop:billing")
        reply = await bench.curl("/token", *base, *resources, "-d", "scope=orders.write+orders.read", leaf=leaf)
        claims = verify_with_pyjwt(reply.json["access_token"], await published(bench), "https://a.example")
        assert claims["aud"] == ["https://a.example", "https://b.example"]
        assert claims["scope"] == reply.json["scope"] == "orders.write orders.read"

    @pytest.mark.parametrize(
        ("registered", "leaf"),
        [
            (
                SubjectName(SubjectKind.SUBJECT_DN, "cn=Billing , OU=shop,O=Example"),
                {"subject": "CN=billing,OU=shop,O=Example"},
            ),
            (SubjectName(SubjectKind.SAN_DNS, "Billing.shop.svc"), {"san": dns("other.shop.svc", "billing.shop.svc")}),
            (SubjectName(SubjectKind.SAN_URI, "SPIFFE://cluster.local/x"), {"san": uri("spiffe://cluster.local/x")}),
            (SubjectName(SubjectKind.SAN_IP, "2001:DB8:0::7"), {"san": ip("2001:db8::7")}),
            (SubjectName(SubjectKind.SAN_EMAIL, "billing@Shop.example"), {"san": email("billing@shop.example")}),
        ],
        ids=lambda value: value.kind if isinstance(value, SubjectName) else "",
    )
    async def test_each_kind_of_subject_authenticates(
        self, bench: Bench, registered: SubjectName, leaf: dict[str, object]
    ) -> None:
        bench.put(registration(subject=registered))
        reply = await bench.token(bench.authority.client(**leaf))  # type: ignore[arg-type] # the table says what
        assert reply.status == 200, reply
        assert (await bench.token(bench.authority.client())).status == 401

    async def test_a_client_that_sends_the_leaf_alone_is_helped_by_the_known_intermediate(self, bench: Bench) -> None:
        leaf = replace(bench.authority.client(), chain=())
        assert (await bench.token(leaf)).status == 200

    async def test_a_client_may_pin_several_authorities(self, bench: Bench) -> None:
        other = authority("other")
        bench.trust("partners", other)
        bench.put(registration(authorities=("default", "partners")))
        assert (await bench.token(other.client())).status == 200
        assert (await bench.token(bench.authority.client())).status == 200


@dataclass(frozen=True)
class Attempt:
    """Somebody who should not get a token, and why not."""

    reason: str
    client_id: str = "shop:billing"


def leaf_for(bench: Bench, attempt: Attempt) -> Leaf | None:
    match attempt.reason:
        case "no_certificate":
            return None
        case "wrong_name":
            return bench.authority.client(uri(OTHER_ID))
        case "expired_certificate":
            return bench.authority.expired_client()
        case "not_yet_valid_certificate":
            return bench.authority.future_client()
        case "untrusted_certificate":
            other = authority()  # of the same name, and trusted at the handshake for others
            bench.trust("partners", other)
            return other.client()
        case _:
            return bench.authority.client()


REFUSED = [
    Attempt("no_certificate"),
    Attempt("wrong_name"),
    Attempt("expired_certificate"),
    Attempt("not_yet_valid_certificate"),
    Attempt("untrusted_certificate"),
    Attempt("unknown_client", client_id="shop:nobody"),
    Attempt("suspended_client"),
]


class TestRefusal:
    @pytest.mark.parametrize("attempt", REFUSED, ids=lambda attempt: attempt.reason)
    async def test_all_failed_authentication_looks_alike_and_the_audit_log_knows_why(
        self, bench: Bench, attempt: Attempt
    ) -> None:
        if attempt.reason == "suspended_client":
            bench.put(registration(suspended=True))
        reply = await bench.token(leaf_for(bench, attempt), client_id=attempt.client_id)
        assert reply.status == 401
        assert reply.json == {"error": "invalid_client", "error_description": "client authentication failed"}
        assert reply.headers["www-authenticate"] == 'TLS-Client-Certificate realm="https://localhost:8443"'
        assert reply.headers["cache-control"] == "no-store"
        [line] = bench.audit
        assert (line["decision"], line["reason"]) == ("refused", attempt.reason)

    async def test_the_refusals_differ_in_no_header(self, bench: Bench) -> None:
        replies = []
        for attempt in REFUSED:
            bench.put(registration(suspended=attempt.reason == "suspended_client"))
            reply = await bench.token(leaf_for(bench, attempt), client_id=attempt.client_id)
            replies.append(
                (reply.status, {n: v for n, v in reply.headers.items() if n not in {"date", "x-request-id"}})
            )
        assert all(reply == replies[0] for reply in replies)

    async def test_a_certificate_of_an_unknown_ca_of_the_same_name_dies_in_the_handshake(self, bench: Bench) -> None:
        impostor = authority()
        assert impostor.root.subject == bench.authority.root.subject
        leaf = impostor.client()
        assert (await bench.token(leaf)).status == 0
        bench.trust("default", bench.authority, impostor)
        assert (await bench.token(leaf)).status == 200, "it was refused for its CA and nothing else"

    async def test_a_servers_certificate_is_no_clients(self, bench: Bench) -> None:
        leaf = bench.authority.server(uri("spiffe://cluster.local/ns/shop/client/billing"))
        assert (await bench.token(leaf)).status == 0, "OpenSSL refuses the purpose in the handshake"

    async def test_a_ca_certificate_is_no_client(self, bench: Bench) -> None:
        assert (await bench.token(raw_client(bench.authority, ca=True, usages=None))).status != 200

    async def test_there_is_no_certificate_on_the_open_listener(self, bench: Bench) -> None:
        reply = await bench.token(bench.authority.client(), mtls=False)
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        assert bench.audit[0]["reason"] == "no_certificate"

    async def test_a_contested_client_id_belongs_to_the_elder(self, bench: Bench) -> None:
        younger = registration("copy", client_id="shop:billing", created=registration().created + HOUR)
        bench.put(younger)
        assert (await bench.token(bench.authority.client())).status == 200
        assert (
            await bench.token(bench.authority.client(uri("spiffe://cluster.local/ns/shop/client/copy")))
        ).status == 401

    async def test_a_deleted_client_is_unknown_at_once(self, bench: Bench) -> None:
        bench.issuer.directory.remove_client(("shop", "billing"))
        assert (await bench.token(bench.authority.client())).status == 401

    async def test_an_expired_intermediate_ends_its_leaves(self, bench: Bench) -> None:
        leaf = bench.authority.client(not_after=bench.clock.now + 80 * DAY)
        bench.clock.now += 79 * DAY
        assert (await bench.token(leaf)).status == 200
        bench.clock.now += 12 * DAY
        assert (await bench.token(leaf)).status == 401


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
        ({"client_id": ""}, "invalid_request"),
        ({"client_secret": "hunter2"}, "invalid_request"),
        ({"client_assertion": "x"}, "invalid_request"),
        ({"scope": "orders.delete"}, "invalid_scope"),
        ({"scope": "orders.read orders.delete"}, "invalid_scope"),
        ({"scope": "orders.read  orders.write"}, "invalid_scope"),
        ({"scope": 'orders"read'}, "invalid_scope"),
        ({"resource": "https://other.svc"}, "invalid_target"),
        ({"resource": "https://orders.shop.svc/"}, "invalid_target"),
        ({"resource": "https://orders.shop.svc#x"}, "invalid_target"),
        ({"resource": "orders"}, "invalid_target"),
    ],
)
async def test_what_the_client_may_not_have_is_refused_by_name(
    bench: Bench, changes: dict[str, str], error: str
) -> None:
    reply = await bench.token(bench.authority.client(), mtls=True, **changes)
    assert (reply.status, reply.json["error"]) == (400, error)
    assert reply.headers["cache-control"] == "no-store"


async def test_a_grant_that_the_client_is_not_registered_for_is_refused(bench: Bench) -> None:
    bench.put(registration(grant_types=()))
    reply = await bench.token(bench.authority.client())
    assert (reply.status, reply.json["error"]) == (400, "unauthorized_client")


async def test_http_authentication_is_answered_in_its_own_scheme(bench: Bench) -> None:
    data = ("-d", "grant_type=client_credentials", "-d", "client_id=shop:billing")
    reply = await bench.curl("/token", *data, "--user", "shop:billing", leaf=bench.authority.client())
    assert (reply.status, reply.json["error"]) == (401, "invalid_client")
    assert reply.headers["www-authenticate"] == 'Basic realm="https://localhost:8443"'


async def test_without_a_signing_key_the_issuer_says_that_it_is_its_own_fault(bench: Bench) -> None:
    bench.issuer.directory.put_signing_keys(())
    reply = await bench.token(bench.authority.client())
    assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")
    assert reply.headers["retry-after"] == "5"


async def test_the_audit_log_says_who_got_what(bench: Bench) -> None:
    leaf = bench.authority.client()
    reply = await bench.curl(
        "/token",
        *("-H", "X-Request-ID: order-4711", "-d", "grant_type=client_credentials", "-d", "client_id=shop:billing"),
        leaf=leaf,
    )
    [line] = bench.audit
    assert reply.headers["x-request-id"] == "order-4711"
    assert line.pop("jti")
    assert line == {
        "event": "audit",
        "time": bench.clock.now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "requestId": "order-4711",
        "endpoint": "token",
        "decision": "granted",
        "reason": "ok",
        "remote": "127.0.0.1",
        "clientId": "shop:billing",
        "client": "shop/billing",
        "method": "tls_client_auth",
        "thumbprint": leaf.thumbprint,
        "serial": f"{leaf.facts.serial:x}",
        "scope": "orders.read",
        "audience": "https://orders.shop.svc",
        "expires": int((bench.clock.now + timedelta(minutes=10)).timestamp()),
    }
    assert reply.json["access_token"] not in str(bench.audit)


async def test_a_request_id_that_could_forge_a_log_line_is_replaced(bench: Bench) -> None:
    reply = await bench.curl("/token", "-H", "X-Request-ID: a b", "-d", "x=y", leaf=bench.authority.client())
    assert reply.headers["x-request-id"] not in {"", "a b"}
