"""Keys of a client at a URL of its own, over time: rotated without a word to the issuer, away, moved, and foreign."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.forwarded import client_cert
from builders.issuer import ISSUER_URL, OPERATOR_ID, SETTINGS, Bench, form, registration, running_issuer
from builders.jwks import JwksServer, document, jwk, jwks_server
from builders.pki import HOUR, MINUTE, NOW, SECOND, Leaf, authority, ec_key, raw, self_signed_client, uri
from mintls.core.oauth.access_token import access_token_claims, sign_access_token
from mintls.core.oauth.confirmation import Confirmation
from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.jwks_uri import CEILING, FLOOR, UNSAID
from mintls.core.oauth.key_cache import ON_DEMAND, STALE_FOR
from mintls.core.pki.dn import parse_dn
from mintls.issuer import tls as tls_module
from mintls.issuer.settings import TrustedProxy

INVALID_CLIENT = {"error": "invalid_client", "error_description": "client authentication failed"}
OLD, NEW = self_signed_client(), self_signed_client()


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[JwksServer]:
    async with jwks_server(tmp_path) as server:
        server.body = document(jwk(OLD))
        yield server


@pytest.fixture
async def bench(tmp_path: Path, source: JwksServer) -> AsyncIterator[Bench]:
    settings = replace(SETTINGS, internal_jwks_uri=True, jwks_uri_ca_file=str(source.ca_file))
    async with running_issuer(tmp_path, settings) as value:
        yield value


def put(bench: Bench, url: str, **changes: Any) -> None:
    method = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None}
    bench.put(registration(**method | {"jwks_uri": url} | changes))


async def problem(bench: Bench) -> str:
    shown = await bench.curl("/register/shop:billing", leaf=bench.authority.client(uri(OPERATOR_ID)))
    return str(shown.json.get("mintls_jwks_problem", ""))


class TestRotation:
    async def test_a_new_certificate_is_let_in_with_its_first_request(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 200
        source.body = document(jwk(OLD), jwk(NEW))
        bench.clock.now += ON_DEMAND
        assert (await bench.token(NEW)).status == 200, "it passes the handshake, and the document is fetched again"
        assert (await bench.token(OLD)).status == 200
        assert len(source.requests) == 2

    async def test_an_old_one_is_refused_with_the_next_request_after_the_document_came(
        self, bench: Bench, source: JwksServer
    ) -> None:
        put(bench, source.url)
        async with bench.connect(OLD) as connection:
            assert (await connection.post("/token", form())).status == 200
            source.body = document(jwk(NEW))
            bench.clock.now += ON_DEMAND
            assert (await bench.token(NEW)).status == 200
            reply = await connection.post("/token", form())
            assert (reply.status, reply.json) == (401, INVALID_CLIENT)

    async def test_whoever_presents_unknown_ones_has_the_document_fetched_now_and_then_only(
        self, bench: Bench, source: JwksServer
    ) -> None:
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 200
        for _ in range(5):
            reply = await bench.token(self_signed_client())
            assert (reply.status, reply.json) == (401, INVALID_CLIENT)
        assert len(source.requests) == 1
        bench.clock.now += ON_DEMAND
        for _ in range(3):
            assert (await bench.token(self_signed_client())).status == 401
        assert len(source.requests) == 2

    async def test_requests_at_once_share_one_fetch(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        replies = await asyncio.gather(*(bench.token(OLD) for _ in range(4)))
        assert [reply.status for reply in replies] == [200] * 4
        assert len(source.requests) == 1

    async def test_another_url_is_another_source(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 200
        put(bench, source.url + "?elsewhere", generation=2)
        source.body = document(jwk(NEW))
        assert (await bench.token(OLD)).status == 401, "what was found at the first does not count"
        assert (await bench.token(NEW)).status == 200

    async def test_a_client_without_a_url_is_asked_about_nowhere(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 200
        bench.put(registration())
        bench.clock.now += 2 * HOUR
        bench.issuer.remote_keys._changed.set()
        assert (await bench.token(bench.authority.client())).status == 200
        assert len(source.requests) == 1


class TestAtAResource:
    @pytest.fixture
    async def bench(self, tmp_path: Path, source: JwksServer) -> AsyncIterator[Bench]:
        proxies = (TrustedProxy("edge", "gateway", Format.CLIENT_CERT),)
        settings = replace(SETTINGS, internal_jwks_uri=True, jwks_uri_ca_file=str(source.ca_file), proxies=proxies)
        async with running_issuer(tmp_path, settings) as value:
            value.put(registration("gateway", "edge"))
            yield value

    async def verified(self, bench: Bench, leaf: Leaf) -> int:
        """Status of /verify for a token that another replica issued over this certificate."""
        client = bench.issuer.directory.client("shop:billing")
        assert client is not None
        audience, bound = "https://orders.shop.svc", Confirmation(x5t_s256=leaf.thumbprint)
        details: dict[str, Any] = {"issuer": ISSUER_URL, "audience": audience, "scope": "", "confirmation": bound}
        claims = access_token_claims(client, jti="1", now=bench.clock.now, **details)
        lines = [("Authorization", f"Bearer {sign_access_token(claims, bench.key)}"), *client_cert(leaf)]
        headers = [argument for name, value in lines for argument in ("-H", f"{name}: {value}")]
        proxy = bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway"))
        return (await bench.curl(f"/verify?audience={audience}", *headers, leaf=proxy)).status

    async def test_a_certificate_that_another_replica_knows_already_has_the_document_fetched(
        self, bench: Bench, source: JwksServer
    ) -> None:
        put(bench, source.url)
        assert await self.verified(bench, OLD) == 200
        source.body = document(jwk(NEW))
        assert await self.verified(bench, NEW) == 401, "not again so soon"
        bench.clock.now += ON_DEMAND
        assert await self.verified(bench, NEW) == 200
        assert await self.verified(bench, OLD) == 401
        assert len(source.requests) == 2

    async def test_what_nobody_can_tell_is_503(self, bench: Bench, source: JwksServer) -> None:
        source.status = 500
        put(bench, source.url)
        assert await self.verified(bench, OLD) == 503


class TestAway:
    async def test_the_last_keys_count_for_a_time_and_then_it_is_503_and_never_invalid_client(
        self, bench: Bench, source: JwksServer
    ) -> None:
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 200
        source.status = 500
        for later, status in ((STALE_FOR - SECOND, 200), (STALE_FOR, 503), (STALE_FOR + HOUR, 503)):
            bench.clock.now = NOW + later
            reply = await bench.token(OLD)
            assert reply.status == status, later
        assert reply.json["error"] == "temporarily_unavailable"
        assert reply.headers["retry-after"] == "5"
        assert await problem(bench) == "the server answered HTTP 500"
        source.status = 200
        bench.clock.now += ON_DEMAND
        assert (await bench.token(OLD)).status == 200

    async def test_a_suspended_client_is_refused_as_ever_and_nobody_is_asked(
        self, bench: Bench, source: JwksServer
    ) -> None:
        source.status = 500
        put(bench, source.url, suspended=True)
        # It is fetched once by itself: not before that has ended is it known who asked for more.
        while await problem(bench) != "the server answered HTTP 500":  # noqa: ASYNC110 - it is told by no event
            await asyncio.sleep(0.01)
        bench.clock.now += ON_DEMAND
        asked = len(source.requests)
        reply = await bench.token(OLD)
        assert (reply.status, reply.json) == (401, INVALID_CLIENT)
        assert len(source.requests) == asked

    async def test_it_is_counted(self, bench: Bench, source: JwksServer) -> None:
        source.status = 500
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 503
        shown = bench.issuer.metrics.render().decode()
        assert 'mintls_issuer_jwks_uri_fetches_total{outcome="failed"} 1.0' in shown
        assert "mintls_issuer_clients_without_keys 1.0" in shown

    @pytest.mark.parametrize(
        ("url", "words"),
        [
            ("https://localhost:{port}/nothing", "the server answered HTTP 404"),
            ("https://nobody.invalid/", "the name of the server cannot be resolved"),
            ("https://127.0.0.1:1/", "there is no connection to the server"),
            ("https://127.0.0.2:{port}/", "there is no connection to the server"),
            ("https://localhost:{mtls}/", "the server's certificate is not of a CA that the issuer trusts for this"),
        ],
    )
    async def test_why_is_said_to_the_owner(self, bench: Bench, source: JwksServer, url: str, words: str) -> None:
        put(bench, url.format(port=source.port, mtls=bench.mtls_port))
        assert (await bench.token(OLD)).status == 503
        assert (await problem(bench)).startswith(words)

    async def test_a_server_that_says_nothing_is_not_waited_for_long(self, bench: Bench) -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        async with server:
            put(bench, f"https://localhost:{server.sockets[0].getsockname()[1]}/")
            reply = await bench.token(OLD)
            assert (reply.status, bench.audit[-1]["reason"]) == (503, "no_client_keys")


class TestInternalAddresses:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
    async def test_are_not_connected_to_unless_that_is_allowed(
        self, tmp_path: Path, source: JwksServer, host: str
    ) -> None:
        settings = replace(SETTINGS, jwks_uri_ca_file=str(source.ca_file))
        async with running_issuer(tmp_path, settings) as strict:
            put(strict, source.url.replace("localhost", host))
            assert (await strict.token(OLD)).status == 503
            assert await problem(strict) == "the server has an internal address, which the issuer does not ask"
        assert source.requests == []

    async def test_nor_when_a_name_led_elsewhere_before(
        self, tmp_path: Path, source: JwksServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DNS rebinding: whatever was looked up when, the address of the connection itself is looked at."""
        settings = replace(SETTINGS, jwks_uri_ca_file=str(source.ca_file))
        looked_up: list[str] = []
        monkeypatch.setattr("mintls.issuer.jwksclient.is_internal", lambda one: looked_up.append(one) or True)
        async with running_issuer(tmp_path, settings) as strict:
            put(strict, source.url)
            assert (await strict.token(OLD)).status == 503
        assert set(looked_up) <= {"127.0.0.1", "::1"}
        assert looked_up


class TestStrangers:
    """While a client keeps its certificates elsewhere, self-signed ones that nobody knows pass the handshake."""

    async def test_get_no_further_than_to_an_answer(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        stranger = self_signed_client(uri("spiffe://cluster.local/ns/shop/client/orders", OPERATOR_ID))
        bench.put(registration("orders"))
        reply = await bench.token(stranger, client_id="shop:orders")
        assert (reply.status, reply.json) == (401, INVALID_CLIENT)
        assert bench.audit[-1]["reason"] == "untrusted_certificate"
        assert (await bench.curl("/register/shop:billing", leaf=stranger)).status == 401

    async def test_end_in_the_handshake_as_soon_as_there_is_no_such_client(
        self, bench: Bench, source: JwksServer
    ) -> None:
        assert (await bench.token(NEW)).status == 0
        put(bench, source.url)
        assert (await bench.token(NEW)).status == 401
        bench.put(registration())
        assert (await bench.token(self_signed_client())).status == 0

    async def test_that_could_vouch_for_others_end_in_the_handshake(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        key, name = ec_key(), parse_dn("CN=billing")
        ca = Leaf(raw(key.public_key(), name, key, subject=name, ca=True, usages=None), key)
        below_key = ec_key()
        below = Leaf(raw(below_key.public_key(), ca.certificate, ca.key), below_key, (ca.certificate,))
        foreign = authority("foreign").client()
        named = self_signed_client(subject=bench.authority.root.subject.rfc4514_string())
        for leaf in (ca, below, foreign, named):
            assert (await bench.token(leaf)).status == 0
        assert (await bench.token(bench.authority.client(), client_id="shop:nobody")).status == 401

    @pytest.mark.parametrize("version", ["1.2", "1.3"])
    async def test_pass_in_each_version_of_tls(self, bench: Bench, source: JwksServer, version: str) -> None:
        put(bench, source.url)
        source.body = document(jwk(OLD), jwk(NEW))
        crt, key = NEW.write(bench.directory, "new")
        pair = ("--cert", str(crt), "--key", str(key), "--tls-max", version, f"--tlsv{version}")
        data = ("-d", "grant_type=client_credentials", "-d", "client_id=shop:billing")
        assert (await bench.curl("/token", *pair, *data)).status == 200

    async def test_are_forgotten_when_they_are_many(
        self, bench: Bench, source: JwksServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls_module, "_FEW", 3)
        put(bench, source.url)
        assert (await bench.token(OLD)).status == 200
        context = bench.issuer._mtls_tls._current
        for _ in range(4):
            assert (await bench.token(self_signed_client())).status == 401
        assert bench.issuer._mtls_tls._current is not context
        assert (await bench.token(OLD)).status == 200

    async def test_without_a_certificate_it_is_as_ever(self, bench: Bench, source: JwksServer) -> None:
        put(bench, source.url)
        reply = await bench.token(None)
        assert (reply.status, reply.json) == (401, INVALID_CLIENT)


def test_the_times_are_those_that_the_page_names() -> None:
    assert timedelta(seconds=30) == ON_DEMAND
    assert timedelta(hours=6) == STALE_FOR
    assert (MINUTE, 5 * MINUTE, HOUR) == (FLOOR, UNSAID, CEILING)
