"""HTTP that is wrong, late or too much, and what everybody may read."""

import asyncio
import gc
import gzip
import time
from dataclasses import replace
from pathlib import Path

import pytest

from builders.issuer import SETTINGS, Bench, form, registration, running_issuer, signing_key_made
from builders.pki import DAY, HOUR, NOW, authority
from mintls.core.pki.crl import RevocationList, read_lists, sign_list

FORM = "application/x-www-form-urlencoded"


async def post(bench: Bench, body: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    lines = {name.replace("_", "-"): value for name, value in ({"Content_Type": FORM} | headers).items()}
    async with bench.connect(bench.authority.client()) as connection:
        reply = await connection.request("POST", "/token", body=body, headers=lines)
    assert reply.headers["content-type"] == "application/json"
    return reply.status, reply.json


GOOD = b"grant_type=client_credentials&client_id=shop:billing"


class TestBody:
    @pytest.mark.parametrize(
        ("body", "word"),
        [
            (b"", "grant_type is missing"),
            (b"client_id=shop:billing", "grant_type is missing"),
            (b"grant_type=client_credentials", "client_id is missing"),
            (GOOD + b"&scope=a&scope=b", "repeated"),
            (GOOD + b"&grant_type=client_credentials", "repeated"),
            (GOOD + b"&unknown=1&unknown=2", "repeated"),
            (GOOD + b"&scope=%zz", "well formed"),
            (GOOD + b"&scope=%", "well formed"),
            (GOOD + b"&scope=%ff", "well formed"),
            (GOOD + b"&scope=\xff", "well formed"),
            (GOOD + b"".join(b"&p%d=1" % n for n in range(100)), "well formed"),
            (b'{"grant_type":"client_credentials"}', "grant_type is missing"),
        ],
    )
    async def test_a_malformed_body_is_an_invalid_request_that_says_what_is_wrong(
        self, bench: Bench, body: bytes, word: str
    ) -> None:
        status, answer = await post(bench, body)
        assert (status, answer["error"]) == (400, "invalid_request")
        assert word in str(answer["error_description"])

    @pytest.mark.parametrize(
        "content_type", ["application/json", "text/plain", "", f"{FORM}; charset=latin1", "multipart/form-data"]
    )
    async def test_another_media_type_is_an_invalid_request(self, bench: Bench, content_type: str) -> None:
        status, answer = await post(bench, GOOD, Content_Type=content_type)
        assert (status, answer["error"]) == (400, "invalid_request")

    @pytest.mark.parametrize("content_type", [f"{FORM}; charset=UTF-8", FORM.upper(), f'{FORM};charset="utf-8"'])
    async def test_a_declared_utf_8_is_fine(self, bench: Bench, content_type: str) -> None:
        assert (await post(bench, GOOD, Content_Type=content_type))[0] == 200

    async def test_parameters_without_a_value_and_unknown_ones_do_not_matter(self, bench: Bench) -> None:
        assert (await post(bench, GOOD + b"&scope=&foo=bar&client_secret=&&"))[0] == 200

    async def test_an_oversized_body_is_413_and_the_connection_ends(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            reply = await connection.post("/token", form(scope="x" * 20_000))
            assert (reply.status, reply.json["error"]) == (413, "invalid_request")
            assert reply.headers["connection"] == "close"

    async def test_a_body_that_is_longer_than_what_is_kept_of_one_is_413_too(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 2000000\r\n\r\n"
            sending = asyncio.create_task(connection.send(head.encode() + b"x" * 2_000_000))
            assert (await connection.reply()).status == 413
            await asyncio.gather(sending, return_exceptions=True)

    async def test_an_oversized_chunked_body_is_413_without_reading_all_of_it(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nTransfer-Encoding: chunked\r\n\r\n"
            await connection.send(head.encode() + b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
            assert (await connection.reply()).status == 413

    async def test_a_compressed_body_is_not_unpacked(self, bench: Bench) -> None:
        status, answer = await post(bench, gzip.compress(GOOD), Content_Encoding="gzip")
        assert (status, answer["error"]) == (400, "invalid_request")
        assert "Content-Encoding" in str(answer["error_description"])

    async def test_a_body_that_does_not_come_is_given_up(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\ngrant"
            await connection.send(head.encode())
            reply = await connection.reply()
            assert (reply.status, reply.json["error"]) == (408, "invalid_request")
            assert reply.headers["connection"] == "close"

    async def test_a_client_that_goes_away_in_the_middle_is_no_defect_of_the_issuer(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 100\r\n\r\ngrant"
            await connection.send(head.encode())
            await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            while not bench.audit:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        assert (bench.audit[-1]["decision"], bench.audit[-1]["reason"]) == ("refused", "malformed_body")
        assert not caplog.text

    async def test_malformed_http_is_400_and_shows_nothing_in_the_log(
        self, bench: Bench, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            await connection.send(b"POST /token HTTP/1.1\r\nHost: x\r\nBad Header\x00: s3cret\r\n\r\n")
            reply = await connection.reply()
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert (reply.headers["server"], reply.headers["connection"]) == ("mintls", "close")
        assert reply.headers["x-request-id"]
        assert b"s3cret" not in reply.body
        assert "s3cret" not in caplog.text
        assert "Traceback" not in caplog.text

    @pytest.mark.parametrize(
        "header", [b"Authorization: s3cret\x7f", b"Accept: " + b"a" * 9000, b"Content-Length: x", b"s3cret"]
    )
    async def test_no_line_of_malformed_http_is_repeated(self, bench: Bench, header: bytes) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            await connection.send(b"POST /token HTTP/1.1\r\nHost: x\r\n" + header + b"\r\n\r\n")
            reply = await connection.reply()
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert reply.body.count(b"s3cret") + reply.body.count(b"aaa") == 0

    @pytest.mark.parametrize("line", [b"CONNECT \r\n", b"CONNECT \nb: x\r\n"])
    async def test_a_request_without_a_target_is_refused_and_its_connection_ends(
        self, bench: Bench, line: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with bench.connect(mtls=False) as connection:
            await connection.send(line + b"Host: x\r\n\r\n")
            reply = await asyncio.wait_for(connection.reply(), 5)
            assert (reply.status, reply.json["error"]) == (400, "invalid_request")
            assert await asyncio.wait_for(connection.closed(), 5)
        gc.collect()
        assert "never retrieved" not in caplog.text

    @pytest.mark.parametrize("path", ["/token", "/nothing"])
    @pytest.mark.parametrize("expected", [b"200-maybe", b"\xff"])
    async def test_rfc_9110_10_1_1_another_expectation_is_417(self, bench: Bench, path: str, expected: bytes) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nExpect: ".encode()
            await connection.send(head + expected + b"\r\n\r\n")
            reply = await connection.reply()
        assert (reply.status, reply.json["error"]) == (417, "invalid_request")
        assert reply.headers["x-request-id"]

    async def test_rfc_9110_10_1_1_a_body_is_asked_for(self, bench: Bench) -> None:
        data = ("-d", GOOD.decode(), "-H", "Expect: 100-Continue")
        assert (await bench.curl("/token", *data, leaf=bench.authority.client())).status == 100

    @pytest.mark.parametrize("octet", [b"\xff", b"\xc3", b"\xed\xa0\x80"])
    async def test_octets_that_are_no_text_are_refused_or_of_no_meaning(self, bench: Bench, octet: bytes) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            for path, header, status in (
                ("/token", b"Authorization: Basic ", 401),
                ("/token", b"Accept: ", 200),
                ("/token", b"X-Request-ID: ", 200),
                ("/introspect", b"Accept: application/", 400),
            ):
                lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(GOOD)}\r\n"
                await connection.send(lines.encode() + header + octet + b"\r\n\r\n" + GOOD)
                assert (await connection.reply()).status == status
        assert all(line["decision"] != "failed" for line in bench.audit)


class TestRouting:
    @pytest.mark.parametrize(
        ("method", "path", "allow"),
        [
            ("GET", "/token", "POST"),
            ("PUT", "/token", "POST"),
            ("DELETE", "/introspect", "POST"),
            ("POST", "/jwks", "GET, HEAD"),
            ("POST", "/register/shop:billing", "GET, HEAD"),
            ("POST", "/.well-known/oauth-authorization-server", "GET, HEAD"),
        ],
    )
    async def test_the_wrong_method_is_405_and_says_the_right_one(
        self, bench: Bench, method: str, path: str, allow: str
    ) -> None:
        async with bench.connect() as connection:
            reply = await connection.request(method, path)
        assert (reply.status, reply.headers["allow"]) == (405, allow)
        assert reply.json["error"] == "invalid_request"
        assert reply.headers["x-request-id"]

    @pytest.mark.parametrize("path", ["/", "/tokens", "/register", "/register/", "/../etc/passwd", "/token/"])
    async def test_nothing_else_is_there(self, bench: Bench, path: str) -> None:
        async with bench.connect() as connection:
            reply = await connection.request("GET", path)
        assert (reply.status, reply.json["error"]) == (404, "not_found")

    async def test_what_needs_a_certificate_is_not_on_the_open_listener(self, bench: Bench) -> None:
        async with bench.connect(mtls=False) as connection:
            assert (await connection.request("GET", "/register/shop:billing")).status == 404

    @pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke"])
    async def test_what_an_assertion_opens_is_there_and_refuses_whoever_has_none(self, bench: Bench, path: str) -> None:
        async with bench.connect(mtls=False) as connection:
            reply = await connection.post(path, form(token="x"))
            assert (reply.status, reply.json["error"]) == (401, "invalid_client")

    async def test_a_head_request_is_answered_without_a_body(self, bench: Bench) -> None:
        async with bench.connect() as connection:
            assert (await connection.request("HEAD", "/jwks")).status == 200
            assert (await connection.request("GET", "/jwks")).status == 200

    async def test_requests_on_one_connection_may_be_pipelined(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(GOOD)}\r\n\r\n"
            await connection.send((head.encode() + GOOD) * 3)
            assert [(await connection.reply()).status for _ in range(3)] == [200, 200, 200]

    async def test_more_of_them_than_are_parsed_at_once_are_all_answered(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: {len(GOOD)}\r\n\r\n"
            sending = asyncio.create_task(connection.send((head.encode() + GOOD) * 1000))
            async with asyncio.timeout(20):
                assert {(await connection.reply()).status for _ in range(1000)} == {200}
            await sending

    @pytest.mark.parametrize("path", ["/token?", "/token?x=y", "/%74oken", "https://localhost/token"])
    async def test_an_endpoint_is_found_however_its_path_is_written(self, bench: Bench, path: str) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            assert (await connection.request("POST", path, body=GOOD, headers={"Content-Type": FORM})).status == 200


class TestLimits:
    async def test_headers_that_come_drop_by_drop_end_the_connection(self, tmp_path: Path) -> None:
        limits = replace(SETTINGS.limits, idle_seconds=0.5)
        async with running_issuer(tmp_path, replace(SETTINGS, limits=limits)) as bench, bench.connect() as connection:
            started = time.monotonic()
            await connection.send(b"GET /jwks HTTP/1.1\r\n")
            assert await asyncio.wait_for(connection.closed(), 5)
            assert time.monotonic() - started < 3

    async def test_a_handshake_that_does_not_go_on_is_ended(self, tmp_path: Path) -> None:
        limits = replace(SETTINGS.limits, handshake_seconds=0.5)
        async with running_issuer(tmp_path, replace(SETTINGS, limits=limits)) as bench:
            reader, writer = await asyncio.open_connection("127.0.0.1", bench.mtls_port)
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()

    async def test_connections_beyond_the_limit_are_closed(self, tmp_path: Path) -> None:
        limits = replace(SETTINGS.limits, connections=2)
        async with running_issuer(tmp_path, replace(SETTINGS, limits=limits)) as bench, bench.connect() as first:
            async with bench.connect() as second:
                assert (await second.request("GET", "/jwks")).status == 200
                async with bench.connect() as third:
                    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                        await third.request("GET", "/jwks")
            await asyncio.sleep(0.1)
            async with bench.connect() as fourth:
                assert (await fourth.request("GET", "/jwks")).status == 200
            assert (await first.request("GET", "/jwks")).status == 200


class TestDocuments:
    @pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"])
    @pytest.mark.parametrize("mtls", [True, False])
    async def test_the_metadata_is_on_both_listeners(self, bench: Bench, path: str, *, mtls: bool) -> None:
        reply = await bench.curl(path, mtls=mtls)
        assert reply.status == 200
        assert reply.json["issuer"] == "https://localhost:8443"
        assert reply.json["mtls_endpoint_aliases"]["token_endpoint"] == "https://localhost:9443/token"
        assert reply.json["tls_client_certificate_bound_access_tokens"] is True
        assert reply.headers["cache-control"] == "public, max-age=300"

    async def test_an_issuer_with_a_path_has_its_metadata_where_rfc_8414_puts_it(self, tmp_path: Path) -> None:
        settings = replace(SETTINGS, issuer_url="https://localhost:8443/a/b", mtls_url="https://localhost:9443/m")
        async with running_issuer(tmp_path, settings) as bench:
            for path in (
                "/.well-known/oauth-authorization-server/a/b",
                "/.well-known/openid-configuration/a/b",
                "/a/b/.well-known/openid-configuration",
            ):
                reply = await bench.curl(path, mtls=False)
                assert (reply.status, reply.json["issuer"]) == (200, "https://localhost:8443/a/b")
            assert reply.json["jwks_uri"] == "https://localhost:8443/a/b/jwks"
            assert (await bench.curl("/a/b/jwks", mtls=False)).status == 200
            data = ("-d", GOOD.decode())
            assert (await bench.curl("/m/token", *data, leaf=bench.authority.client())).status == 200
            assert (await bench.curl("/token", *data, leaf=bench.authority.client())).status == 404

    async def test_the_next_key_is_published_and_the_retired_one_is_not(self, bench: Bench) -> None:
        now = bench.clock.now
        coming = signing_key_made(now, sign_from=now + HOUR)
        gone = signing_key_made(now - HOUR, retire_at=now)
        bench.issuer.directory.put_signing_keys((bench.key, coming, gone))
        reply = await bench.curl("/jwks", mtls=False)
        assert {key["kid"] for key in reply.json["keys"]} == {bench.key.kid, coming.kid}
        assert all("d" not in key for key in reply.json["keys"])


class TestProbes:
    async def test_metrics_count_by_endpoint_and_outcome(self, bench: Bench) -> None:
        await bench.token(bench.authority.client())
        await bench.token(None)
        bench.put(registration("orders"))
        text = bench.issuer.metrics.render().decode()
        of = 'endpoint="token",method="tls_client_auth"'
        assert f'mintls_issuer_requests_total{{{of},outcome="ok"}} 1.0' in text
        assert f'mintls_issuer_requests_total{{{of},outcome="no_certificate"}} 1.0' in text
        for outcome in ("ok", "refused"):
            assert f'mintls_issuer_request_seconds_count{{{of},outcome="{outcome}"}} 1.0' in text
        assert "mintls_issuer_clients 2.0" in text
        assert "mintls_issuer_trust_anchors 1.0" in text
        assert "mintls_issuer_signing_keys 1.0" in text
        [line] = [line for line in text.splitlines() if line.startswith("mintls_issuer_server_certificate_not_after")]
        assert float(line.split()[1]) == (bench.clock.now + DAY).timestamp()

    async def test_readiness_names_what_is_missing(self, bench: Bench) -> None:
        assert bench.issuer.missing() == ()
        bench.issuer.directory.put_signing_keys(())
        assert bench.issuer.missing() == ("no signing keys",)

    async def test_while_draining_each_answer_ends_its_connection(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            assert (await connection.post("/token", form())).status == 200
            bench.issuer.drain()
            reply = await connection.post("/token", form())
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await connection.closed()
        assert bench.issuer.missing() == ("stopping",)


async def test_json_is_taken_only_where_it_is_switched_on(bench: Bench, tmp_path: Path) -> None:
    body = b'{"grant_type": "client_credentials", "client_id": "shop:billing", "scope": "orders.write"}'
    status, answer = await post(bench, body, Content_Type="application/json")
    assert (status, answer["error"]) == (400, "invalid_request")
    (tmp_path / "other").mkdir()
    async with running_issuer(tmp_path / "other", replace(SETTINGS, json_bodies=True)) as other:
        for content_type in ("application/json", "Application/JSON; charset=utf-8"):
            status, answer = await post(other, body, Content_Type=content_type)
            assert (status, answer["scope"]) == (200, "orders.write")
        assert (await post(other, GOOD))[0] == 200
        status, answer = await post(other, b"[]", Content_Type="application/json")
        assert (status, answer["error"]) == (400, "invalid_request")
        status, answer = await post(other, body, Content_Type="application/json; charset=latin1")
        assert (status, answer["error"]) == (400, "invalid_request")


class TestRevocationLists:
    @staticmethod
    def put(bench: Bench) -> tuple[RevocationList, ...]:
        """The list of a new intermediate and that of the one before, which both have to be had."""
        lists = tuple(
            sign_list(one.intermediate, one.signer.key, {}, number=1, this_update=NOW, next_update=NOW + DAY)
            for one in (authority("new"), authority("old"))
        )
        bench.issuer.directory.put_lists("default", lists)
        return lists

    async def test_of_the_ca_that_signs_now_is_served_at_a_path_that_stays(self, bench: Bench) -> None:
        new, _ = self.put(bench)
        for mtls in (False, True):
            reply = await bench.curl("/crl/default.crl", mtls=mtls, leaf=bench.authority.client() if mtls else None)
            assert (reply.status, reply.headers["content-type"], reply.body) == (200, "application/pkix-crl", new.der)
            assert reply.headers["cache-control"] == "public, max-age=60"

    async def test_of_each_ca_is_served_by_what_its_leaves_say(self, bench: Bench) -> None:
        for one in self.put(bench):
            assert (await bench.curl(f"/crl/default/{one.key_id}.crl", mtls=False)).body == one.der
            assert (await bench.curl(f"/crl/default/{one.key_id.upper()}.crl", mtls=False)).body == one.der

    async def test_are_served_together_as_pem(self, bench: Bench) -> None:
        lists = self.put(bench)
        reply = await bench.curl("/crl/default.pem", mtls=False)
        assert read_lists(reply.body) == lists

    async def test_are_not_sent_again_to_who_has_them(self, bench: Bench) -> None:
        self.put(bench)
        tag = (await bench.curl("/crl/default.crl", mtls=False)).headers["etag"]
        again = await bench.curl("/crl/default.crl", "-H", f'If-None-Match: "x", {tag}', mtls=False)
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        assert (await bench.curl("/crl/default.crl", "-H", 'If-None-Match: "x"', mtls=False)).status == 200

    @pytest.mark.parametrize(
        "path", ["other.crl", "default", "default/00.crl", "default/.pem", "other.pem", "x/y/z.crl"]
    )
    async def test_of_nobody_are_not_found(self, bench: Bench, path: str) -> None:
        self.put(bench)
        reply = await bench.curl(f"/crl/{path}", mtls=False)
        assert (reply.status, reply.json["error"]) == (404, "not_found")
