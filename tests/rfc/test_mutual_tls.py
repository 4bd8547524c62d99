"""RFC 8705 over real TLS, a row a clause: sections 2.1, 2.2, 3 and 5; with RFC 9068, 7662 and 8414 where they meet."""

from typing import Any

import pytest

from builders.issuer import ISSUER_URL, MTLS_URL, Bench, registration
from builders.pki import Leaf, authority, dns, email, ip, self_signed_client, uri
from builders.witness import header, verify_with_joserfc, verify_with_pyjwt
from mintls.core.pki.names import SubjectKind, SubjectName

DN, DNS, URI = SubjectKind.SUBJECT_DN, SubjectKind.SAN_DNS, SubjectKind.SAN_URI
IP, EMAIL = SubjectKind.SAN_IP, SubjectKind.SAN_EMAIL

# RFC 8705 section 2.1.2, how names compare: registered kind and value, what the leaf carries, whether it is the client.
NAMES: tuple[tuple[str, SubjectKind, str, dict[str, Any], bool], ...] = (
    ("the whole subject", DN, "CN=billing,O=Shop", {"subject": "CN=billing,O=Shop"}, True),
    ("RFC 4517: case and blanks", DN, "cn=BILLING,  o=shop", {"subject": "CN=billing,O=Shop"}, True),
    ("RFC 4514: an OID for a type", DN, "2.5.4.3=billing,O=Shop", {"subject": "CN=billing,O=Shop"}, True),
    ("RFC 4514: escapes", DN, r"CN=a\2Cb", {"subject": r"CN=a\,b"}, True),
    ("a multi-valued RDN is a set", DN, "OU=x+CN=billing", {"subject": "CN=billing+OU=x"}, True),
    ("not a part of the subject", DN, "CN=billing", {"subject": "CN=billing,O=Shop"}, False),
    ("not in another order", DN, "O=Shop,CN=billing", {"subject": "CN=billing,O=Shop"}, False),
    ("two RDNs are no multi-valued one", DN, "CN=billing+O=Shop", {"subject": "CN=billing,O=Shop"}, False),
    ("a dNSName", DNS, "billing.shop.svc", {"san": dns("billing.shop.svc")}, True),
    ("one of several", DNS, "billing.shop.svc", {"san": dns("a.svc", "billing.shop.svc")}, True),
    ("host names without case", DNS, "BILLING.shop.svc", {"san": dns("billing.Shop.svc")}, True),
    ("not a host below", DNS, "shop.svc", {"san": dns("billing.shop.svc")}, False),
    ("not a host above", DNS, "billing.shop.svc", {"san": dns("shop.svc")}, False),
    ("not the common name", DNS, "billing.shop.svc", {"subject": "CN=billing.shop.svc"}, False),
    ("not a dNSName of an other kind", URI, "billing:x", {"san": dns("billing")}, False),
    ("a uniformResourceIdentifier", URI, "spiffe://x/a", {"san": uri("spiffe://x/a")}, True),
    ("its host and scheme without case", URI, "spiffe://X/a", {"san": uri("SPIFFE://x/a")}, True),
    ("its path with case", URI, "spiffe://x/A", {"san": uri("spiffe://x/a")}, False),
    ("not a prefix of a path", URI, "spiffe://x/a", {"san": uri("spiffe://x/a/b")}, False),
    ("an iPAddress", IP, "10.0.0.7", {"san": ip("10.0.0.7")}, True),
    ("in binary", IP, "2001:db8:0:0::7", {"san": ip("2001:0db8::7")}, True),
    ("not the mapped address", IP, "::ffff:10.0.0.7", {"san": ip("10.0.0.7")}, False),
    ("an rfc822Name", EMAIL, "a@shop.example", {"san": email("a@shop.example")}, True),
    ("its domain without case", EMAIL, "a@SHOP.example", {"san": email("a@shop.example")}, True),
    ("its local part with case", EMAIL, "A@shop.example", {"san": email("a@shop.example")}, False),
)


@pytest.mark.parametrize(
    ("kind", "value", "leaf", "is_client"),
    [row[1:] for row in NAMES],
    ids=[f"RFC 8705-2.1.2 {row[1]}: {row[0]}" for row in NAMES],
)
async def test_the_registered_name(
    bench: Bench, kind: SubjectKind, value: str, leaf: dict[str, Any], *, is_client: bool
) -> None:
    bench.put(registration(subject=SubjectName(kind, value)))
    reply = await bench.token(bench.authority.client(**leaf))
    assert reply.status == (200 if is_client else 401)
    assert bench.audit[-1]["reason"] == ("ok" if is_client else "wrong_name")


def own(*leaves: Leaf) -> dict[str, Any]:
    certificates = tuple(leaf.certificate for leaf in leaves)
    return {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None, "certificates": certificates}


class TestMethods:
    async def test_rfc_8705_2_1_the_chain_is_validated(self, bench: Bench) -> None:
        other = authority()
        bench.trust("other", other)
        assert (await bench.token(other.client())).status == 401
        assert (await bench.token(bench.authority.client())).status == 200

    async def test_rfc_8705_2_2_the_chain_is_not_validated_and_the_certificate_is_compared(self, bench: Bench) -> None:
        mine, theirs = self_signed_client(), self_signed_client()
        bench.put(registration("other", **own(theirs)))
        bench.put(registration(**own(mine)))
        assert (await bench.token(mine)).status == 200
        assert (await bench.token(theirs)).status == 401
        assert (await bench.token(bench.authority.client())).status == 401

    async def test_rfc_8705_2_client_id_is_required_though_the_certificate_says_who_it_is(self, bench: Bench) -> None:
        reply = await bench.curl("/token", "-d", "grant_type=client_credentials", leaf=bench.authority.client())
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")


class TestTokens:
    async def claims(self, bench: Bench, leaf: Leaf) -> tuple[str, dict[str, Any]]:
        token = (await bench.token(leaf)).json["access_token"]
        keys = (await bench.curl("/jwks", mtls=False)).json
        claims = verify_with_pyjwt(token, keys, "https://orders.shop.svc")
        assert claims == verify_with_joserfc(token, keys)
        return token, claims

    @pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
    async def test_rfc_8705_3_1_cnf_is_the_thumbprint_of_this_connections_certificate(
        self, bench: Bench, method: str
    ) -> None:
        leaf = self_signed_client()
        if method == "tls_client_auth":
            leaf = bench.authority.client()
        else:
            bench.put(registration(**own(leaf)))
        _, claims = await self.claims(bench, leaf)
        assert claims["cnf"] == {"x5t#S256": leaf.thumbprint}

    async def test_rfc_8705_3_a_client_whose_tokens_are_bound_never_gets_an_unbound_one(self, bench: Bench) -> None:
        for mtls in (True, False):
            reply = await bench.token(None, mtls=mtls)
            assert (reply.status, reply.json["error"]) == (401, "invalid_client")

    async def test_rfc_9068_2_1_the_header(self, bench: Bench) -> None:
        token, _ = await self.claims(bench, bench.authority.client())
        assert header(token)["typ"] == "at+jwt"
        assert header(token)["alg"] not in {"none", "HS256"}

    async def test_rfc_9068_2_2_the_required_claims(self, bench: Bench) -> None:
        _, claims = await self.claims(bench, bench.authority.client())
        assert {"iss", "exp", "aud", "sub", "client_id", "iat", "jti"} <= claims.keys()
        assert claims["iss"] == ISSUER_URL
        assert claims["sub"] == claims["client_id"], "no resource owner takes part"

    async def introspected(self, bench: Bench, token: str, leaf: Leaf, *arguments: str) -> Any:
        data = ("-d", "client_id=shop:billing", "-d", f"token={token}")
        return await bench.curl("/introspect", *data, *arguments, leaf=leaf)

    async def test_rfc_8705_3_2_introspection_says_cnf_too(self, bench: Bench) -> None:
        leaf = bench.authority.client()
        token, claims = await self.claims(bench, leaf)
        reply = await self.introspected(bench, token, leaf)
        assert reply.json["cnf"] == claims["cnf"]
        shown = ("scope", "client_id", "exp", "iat", "sub", "aud", "iss", "jti")
        assert {name: reply.json[name] for name in shown} == {name: claims[name] for name in shown}, "RFC 7662 2.2"

    @pytest.mark.parametrize("hint", ["access_token", "refresh_token", "anything"])
    async def test_rfc_7662_2_1_a_wrong_hint_does_not_keep_the_token_from_being_found(
        self, bench: Bench, hint: str
    ) -> None:
        leaf = bench.authority.client()
        token, _ = await self.claims(bench, leaf)
        assert (await self.introspected(bench, token, leaf, "-d", f"token_type_hint={hint}")).json["active"] is True

    async def test_rfc_7662_2_2_an_inactive_token_is_said_to_be_that_and_nothing_else(self, bench: Bench) -> None:
        reply = await self.introspected(bench, "no-such-token", bench.authority.client())
        assert (reply.status, reply.body) == (200, b'{"active":false}')

    async def test_rfc_7662_2_1_the_caller_has_to_authenticate(self, bench: Bench) -> None:
        reply = await bench.curl("/introspect", "-d", "client_id=shop:billing", "-d", "token=x")
        assert (reply.status, reply.json["error"]) == (401, "invalid_client"), "RFC 7662 section 2.3"


class TestMetadata:
    @pytest.fixture
    async def document(self, bench: Bench) -> dict[str, Any]:
        reply = await bench.curl("/.well-known/oauth-authorization-server", mtls=False)
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json", "RFC 8414 section 3.2"
        return reply.json

    async def test_rfc_8414_3_3_the_issuer_is_the_url_that_it_was_found_by(self, document: dict[str, Any]) -> None:
        assert document["issuer"] == ISSUER_URL

    async def test_rfc_8414_2_what_is_required_is_there(self, document: dict[str, Any]) -> None:
        assert {"issuer", "token_endpoint", "response_types_supported", "jwks_uri"} <= document.keys()

    async def test_rfc_8414_2_nothing_is_null(self, document: dict[str, Any]) -> None:
        assert None not in document.values()

    async def test_rfc_8705_2_1_1_and_2_2_1_both_methods_are_named(self, document: dict[str, Any]) -> None:
        both = {"tls_client_auth", "self_signed_tls_client_auth"}
        for endpoint in ("token", "introspection", "revocation"):
            assert both < set(document[f"{endpoint}_endpoint_auth_methods_supported"])

    async def test_rfc_8705_3_3_bound_tokens_are_named(self, document: dict[str, Any]) -> None:
        assert document["tls_client_certificate_bound_access_tokens"] is True

    async def test_rfc_8705_5_the_aliases_are_real_endpoints_of_the_document(self, document: dict[str, Any]) -> None:
        aliases = document["mtls_endpoint_aliases"]
        assert aliases.keys() <= document.keys()
        assert aliases == {
            "token_endpoint": f"{MTLS_URL}/token",
            "introspection_endpoint": f"{MTLS_URL}/introspect",
            "revocation_endpoint": f"{MTLS_URL}/revoke",
        }
