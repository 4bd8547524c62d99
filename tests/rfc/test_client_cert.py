"""RFC 9440 over real TLS: whose headers are believed, and that what they say is judged as a handshake's certificate."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import joserfc.jwt
import pytest
from joserfc.jwk import ECKey

from builders.forwarded import Headers, client_cert, escaped_pem, xfcc
from builders.issuer import ISSUER_URL, SETTINGS, Bench, Reply, form, registration, running_issuer
from builders.pki import Leaf, authority, forged_client, self_signed_client, uri
from mintls.core.oauth.client_assertion import ASSERTION_TYPE, keys_of_jwks
from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.self_signed import Jwk
from mintls.issuer.settings import TrustedProxy

PROXIES = (
    TrustedProxy("edge", "gateway", Format.CLIENT_CERT),
    TrustedProxy("edge", "envoy", Format.XFCC),
    TrustedProxy("edge", "nginx", Format.ESCAPED_PEM),
)
WRITERS = {"gateway": client_cert, "envoy": xfcc, "nginx": escaped_pem}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_issuer(tmp_path, replace(SETTINGS, proxies=PROXIES)) as value:
        for name in WRITERS:
            value.put(registration(name, "edge"))
        yield value


def proxy_leaf(bench: Bench, name: str = "gateway") -> Leaf:
    return bench.authority.client(uri(f"spiffe://cluster.local/ns/edge/client/{name}"))


async def through(bench: Bench, headers: Headers, leaf: Leaf | None = None, *, mtls: bool = True, **who: str) -> Reply:
    """A token request with these headers over a connection with this certificate; the gateway's own by default."""
    body = urlencode(form(**who)).encode()
    lines = [("Content-Type", "application/x-www-form-urlencoded"), *headers]
    async with bench.connect(leaf or proxy_leaf(bench), mtls=mtls) as connection:
        head = f"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        await connection.send(
            head.encode() + "".join(f"{name}: {value}\r\n" for name, value in lines).encode() + b"\r\n" + body
        )
        return await connection.reply()


@pytest.mark.parametrize("name", WRITERS)
async def test_rfc_9440_2_4_a_registered_proxy_is_believed(bench: Bench, name: str) -> None:
    leaf = bench.authority.client()
    reply = await through(bench, WRITERS[name](leaf), proxy_leaf(bench, name))
    assert reply.status == 200, bench.audit[-1]
    line = bench.audit[-1]
    assert (line["proxy"], line["client"], line["thumbprint"]) == (f"edge/{name}", "shop/billing", leaf.thumbprint)


async def test_rfc_8705_3_the_token_is_bound_to_the_certificate_behind_the_proxy(bench: Bench) -> None:
    leaf = bench.authority.client()
    token = (await through(bench, client_cert(leaf))).json["access_token"]
    data = ("-d", "client_id=shop:billing", "-d", f"token={token}")
    assert (await bench.curl("/introspect", *data, leaf=leaf)).json["cnf"] == {"x5t#S256": leaf.thumbprint}


async def test_rfc_8705_2_2_a_self_signed_certificate_behind_it_is_compared_whole(bench: Bench) -> None:
    own, other = self_signed_client(), self_signed_client()
    bench.put(
        registration(
            token_endpoint_auth_method="self_signed_tls_client_auth", subject=None, certificates=(own.certificate,)
        )
    )
    assert (await through(bench, client_cert(own, chain=False))).status == 200
    assert (await through(bench, client_cert(other, chain=False))).status == 401


async def refused(bench: Bench, reply: Reply, reason: str) -> None:
    assert reply.status == 401
    assert reply.json == {"error": "invalid_client", "error_description": "client authentication failed"}
    assert bench.audit[-1]["reason"] == reason


async def test_rfc_9440_4_headers_of_anybody_else_are_ignored(bench: Bench) -> None:
    victim = bench.authority.client()
    bench.put(registration("other"))
    other = bench.authority.client(uri("spiffe://cluster.local/ns/shop/client/other"))
    for headers in (client_cert(victim), xfcc(victim), escaped_pem(victim)):
        await refused(bench, await through(bench, headers, other), "wrong_name")
    # And harm nobody: whoever sends them is who it is.
    assert (await through(bench, client_cert(victim), other, client_id="shop:other")).status == 200
    assert "proxy" not in bench.audit[-1]


async def test_rfc_9440_4_headers_over_a_connection_without_a_certificate_are_ignored(bench: Bench) -> None:
    victim = bench.authority.client()
    for mtls in (True, False):
        async with bench.connect(mtls=mtls) as connection:
            reply = await connection.post("/token", form(), **dict(client_cert(victim)))
        await refused(bench, reply, "no_certificate")


async def test_rfc_9440_2_4_without_a_header_the_client_has_no_certificate(bench: Bench) -> None:
    await refused(bench, await through(bench, []), "no_certificate")


async def test_what_a_proxy_sends_never_counts_as_the_proxys_own(bench: Bench) -> None:
    await refused(bench, await through(bench, [], client_id="edge:gateway"), "no_certificate")
    await refused(
        bench, await through(bench, client_cert(bench.authority.client()), client_id="edge:gateway"), "wrong_name"
    )


async def test_a_proxy_is_believed_in_its_own_format_only(bench: Bench) -> None:
    leaf = bench.authority.client()
    await refused(bench, await through(bench, xfcc(leaf)), "no_certificate")
    await refused(bench, await through(bench, client_cert(leaf), proxy_leaf(bench, "nginx")), "no_certificate")


async def test_rfc_5280_6_the_chain_is_validated_here_whatever_the_proxy_trusts(bench: Bench) -> None:
    await refused(bench, await through(bench, client_cert(authority().client())), "untrusted_certificate")
    await refused(bench, await through(bench, client_cert(forged_client(bench.authority))), "untrusted_certificate")
    late = bench.authority.expired_client()
    await refused(bench, await through(bench, client_cert(late)), "expired_certificate")


async def test_rfc_8705_4_nothing_is_bound_to_a_certificate_that_no_handshake_here_lets_through(bench: Bench) -> None:
    key = ECKey.generate_key("P-256", {"kid": "own"})
    keys = keys_of_jwks((Jwk(key.as_dict(private=False), ()),), "spec.jwks.keys")
    bench.put(registration("batch", token_endpoint_auth_method="private_key_jwt", subject=None, keys=keys))
    for leaf, reason in ((bench.authority.client(), "ok"), (authority().client(), "untrusted_certificate")):
        now = int(bench.clock.now.timestamp())
        claims = {"iss": "shop:batch", "sub": "shop:batch", "aud": ISSUER_URL, "exp": now + 60, "jti": reason}
        assertion = joserfc.jwt.encode({"alg": "ES256"}, claims, key)
        who = {"client_id": "shop:batch", "client_assertion": assertion, "client_assertion_type": ASSERTION_TYPE}
        reply = await through(bench, client_cert(leaf), **who)
        assert (reply.status, bench.audit[-1]["reason"]) == (200 if reason == "ok" else 401, reason)


async def test_rfc_9440_2_1_what_is_no_certificate_is_refused(bench: Bench) -> None:
    await refused(bench, await through(bench, [("Client-Cert", ":AAAA:")]), "unreadable_certificate")
    await refused(bench, await through(bench, [("Client-Cert", "AAAA")]), "forwarded_certificate")
    doubled = client_cert(bench.authority.client(), chain=False) * 2
    await refused(bench, await through(bench, doubled), "forwarded_certificate")


async def test_a_proxy_that_is_suspended_or_gone_is_believed_no_longer_in_an_open_connection(bench: Bench) -> None:
    headers = dict(client_cert(bench.authority.client()))
    async with bench.connect(proxy_leaf(bench)) as connection:
        assert (await connection.post("/token", form(), **headers)).status == 200
        bench.put(registration("gateway", "edge", suspended=True))
        await refused(bench, await connection.post("/token", form(), **headers), "wrong_name")
        bench.issuer.directory.remove_client(("edge", "gateway"))
        await refused(bench, await connection.post("/token", form(), **headers), "wrong_name")


async def test_another_clients_certificate_of_the_proxys_id_is_not_the_proxy(bench: Bench) -> None:
    bench.issuer.directory.remove_client(("edge", "gateway"))
    bench.put(registration("impostor", "evil", client_id="edge:gateway"))
    impostor = bench.authority.client(uri("spiffe://cluster.local/ns/evil/client/impostor"))
    await refused(bench, await through(bench, client_cert(bench.authority.client()), impostor), "wrong_name")


async def test_the_operator_is_never_behind_a_proxy(bench: Bench) -> None:
    operator = bench.authority.client(uri("spiffe://cluster.local/ns/mintls-system/operator"))
    async with bench.connect(proxy_leaf(bench)) as connection:
        reply = await connection.request("GET", "/register/shop:billing", headers=dict(client_cert(operator)))
    assert (reply.status, reply.json["error"]) == (401, "invalid_token")


async def test_rfc_9440_3_2_a_long_chain_fits_into_the_headers(bench: Bench) -> None:
    leaf = bench.authority.client()
    long = replace(leaf, chain=leaf.chain * 8)
    assert (await through(bench, client_cert(long))).status == 200


async def test_rfc_5280_4_1_2_a_certificate_that_can_only_half_be_read_is_refused(bench: Bench) -> None:
    leaf = bench.authority.client()
    for broken in (
        leaf.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x01"),
        leaf.der.replace(b"test intermediate", b"test\xffintermediate"),
    ):
        assert broken != leaf.der
        reply = await through(bench, [("Client-Cert", f":{base64.b64encode(broken).decode()}:")])
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")
        assert bench.audit[-1]["reason"] == "unreadable_certificate"
