"""What of TLS lasts and what does not: connections, sessions, contexts. Clients: Python, openssl s_client, curl."""

import asyncio
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from builders.issuer import Bench, form, registration
from builders.pki import HOUR, MINUTE, Leaf, authority
from builders.processes import output
from builders.witness import verify_with_pyjwt
from mintls.issuer.tls import ListenerTLS


async def s_client(
    bench: Bench, *arguments: str, leaf: Leaf | None = None, given: bytes = b"", port: int | None = None
) -> str:
    """Everything that openssl s_client says."""
    identity: list[str] = []
    if leaf is not None:
        crt, key = leaf.write(bench.directory, "s_client")
        identity = ["-cert", str(crt), "-key", str(key), "-cert_chain", str(crt)]
    ended = await output(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{port or bench.mtls_port}", "-servername", "localhost"),
            *("-CAfile", str(bench.ca_file), "-verify_return_error", *identity, *arguments),
        ],
        input=given,
        stderr=subprocess.STDOUT,
        timeout=10,
    )
    return ended.stdout.decode(errors="replace")


def http_token_request() -> bytes:
    body = b"grant_type=client_credentials&client_id=shop:billing"
    return (
        b"POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Connection: close\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )


def tls12(bench: Bench, leaf: Leaf | None) -> ssl.SSLContext:
    context = bench.client_context(leaf)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class TestTimeCheck:
    """TLS itself does not look at the time here: what these tests pin is the one check that stands in for it."""

    async def test_a_keep_alive_connection_does_not_outlive_its_certificate(self, bench: Bench) -> None:
        leaf = bench.authority.client(not_after=bench.clock.now + HOUR)
        async with bench.connect(leaf) as connection:
            assert (await connection.post("/token", form())).status == 200
            bench.clock.now = leaf.facts.not_after
            assert (await connection.post("/token", form())).status == 200, "notAfter is still valid (RFC 5280 4.1.2.5)"
            bench.clock.now += MINUTE
            reply = await connection.post("/token", form())
            assert (reply.status, reply.json["error"]) == (401, "invalid_client")
            assert bench.audit[-1]["reason"] == "expired_certificate"
            bench.clock.now -= HOUR
            assert (await connection.post("/token", form())).status == 200, "the connection itself is still good"

    async def test_an_expired_certificate_is_told_so_in_json_and_not_by_an_alert(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.expired_client()) as connection:
            reply = await connection.post("/token", form())
        assert (reply.status, reply.json["error"]) == (401, "invalid_client")

    async def test_a_certificate_that_begins_later_is_good_from_then_on(self, bench: Bench) -> None:
        leaf = bench.authority.future_client()
        async with bench.connect(leaf) as connection:
            assert (await connection.post("/token", form())).status == 401
            bench.clock.now = leaf.facts.not_before
            assert (await connection.post("/token", form())).status == 200


class TestResumption:
    async def test_a_resumed_tls_12_session_does_not_outlive_its_certificate(self, bench: Bench) -> None:
        context = tls12(bench, bench.authority.client(not_after=bench.clock.now + HOUR))
        session, reused = await exchange(bench, context, None)
        assert (reused, session.status) == (False, 200)
        again, reused = await exchange(bench, context, session.session)
        assert reused, "else this test shows nothing"
        assert again.status == 200
        bench.clock.now += 2 * HOUR
        late, reused = await exchange(bench, context, session.session)
        assert reused
        assert late.status == 401

    async def test_a_resumed_tls_12_session_does_not_outlive_its_ca(self, bench: Bench) -> None:
        context = tls12(bench, bench.authority.client())
        session, _ = await exchange(bench, context, None)
        bench.trust("default", authority("successor"))
        late, reused = await exchange(bench, context, session.session)
        assert reused
        assert late.status == 401

    async def test_a_resumed_session_still_binds_to_the_certificate(self, bench: Bench) -> None:
        leaf = bench.authority.client()
        context = tls12(bench, leaf)
        session, _ = await exchange(bench, context, None)
        again, reused = await exchange(bench, context, session.session)
        assert reused
        keys = (await bench.curl("/jwks")).json
        assert verify_with_pyjwt(again.token, keys, "https://orders.shop.svc")["cnf"] == {"x5t#S256": leaf.thumbprint}

    async def test_tls_13_sessions_are_not_resumed_at_all(self, bench: Bench, tmp_path: Path) -> None:
        leaf, saved = bench.authority.client(), tmp_path / "session.pem"
        request = http_token_request()
        first = await s_client(bench, "-tls1_3", "-sess_out", str(saved), "-ign_eof", leaf=leaf, given=request)
        assert "HTTP/1.1 200" in first
        assert "New Session Ticket" not in first
        assert not saved.exists() or saved.stat().st_size == 0

    async def test_tls_12_gives_no_tickets(self, bench: Bench) -> None:
        said = await s_client(bench, "-tls1_2", leaf=bench.authority.client())
        assert "Cipher is ECDHE" in said
        assert "TLS session ticket:" not in said


class _Exchange:
    def __init__(self, session: ssl.SSLSession | None, status: int, token: str) -> None:
        self.session, self.status, self.token = session, status, token


async def exchange(bench: Bench, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[_Exchange, bool]:
    """One token over one connection of a blocking socket: asyncio cannot hand a session over."""

    def talk() -> tuple[_Exchange, bool]:
        with (
            socket.create_connection(("127.0.0.1", bench.mtls_port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as tls,
        ):
            tls.sendall(http_token_request())
            raw = b""
            while chunk := tls.recv(65536):
                raw += chunk
            status = int(raw.split(b" ", 2)[1])
            token = raw.partition(b'"access_token":"')[2].partition(b'"')[0].decode()
            return _Exchange(tls.session, status, token), bool(tls.session_reused)

    return await asyncio.to_thread(talk)


class TestReload:
    async def test_a_new_server_certificate_is_served_and_no_connection_is_dropped(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as old:
            assert (await old.post("/token", form())).status == 200
            renewed = bench.authority.server()
            bench.serve_as(renewed)
            async with bench.connect(bench.authority.client()) as new:
                assert new.tls.getpeercert(binary_form=True) == renewed.der
                assert old.tls.getpeercert(binary_form=True) != renewed.der
                assert (await new.post("/token", form())).status == 200
            assert (await old.post("/token", form())).status == 200

    async def test_the_open_listener_serves_it_too(self, bench: Bench) -> None:
        renewed = bench.authority.server()
        bench.serve_as(renewed)
        async with bench.connect(mtls=False) as connection:
            assert connection.tls.getpeercert(binary_form=True) == renewed.der

    async def test_after_reloads_it_still_falls_open_for_nobody(self, bench: Bench) -> None:
        for _ in range(3):
            bench.serve_as(bench.authority.server())
            bench.trust("partners", authority("partners"))
        assert (await bench.token(None)).status == 401, "no certificate"
        assert (await bench.token(authority().client())).status == 0, "a CA of the same name"
        assert (await bench.token(bench.authority.expired_client())).status == 401
        assert (await bench.token(bench.authority.client())).status == 200

    async def test_a_ca_that_is_added_is_trusted_from_the_next_handshake_on(self, bench: Bench) -> None:
        successor = authority("successor")
        assert (await bench.token(successor.client())).status == 0
        bench.trust("default", bench.authority, successor)
        assert (await bench.token(successor.client())).status == 200
        assert (await bench.token(bench.authority.client())).status == 200

    async def test_a_ca_that_is_removed_is_refused_at_once_also_on_open_connections(self, bench: Bench) -> None:
        leaf, successor = bench.authority.client(), authority("successor")
        async with bench.connect(leaf) as connection:
            assert (await connection.post("/token", form())).status == 200
            bench.trust("default", successor)
            reply = await connection.post("/token", form())
            assert (reply.status, bench.audit[-1]["reason"]) == (401, "untrusted_certificate")
        assert (await bench.token(leaf)).status == 0
        assert (await bench.token(successor.client())).status == 200

    async def test_with_no_authority_left_nobody_is_let_in(self, bench: Bench) -> None:
        bench.issuer.directory.remove_authority("default")
        assert (await bench.token(bench.authority.client())).status == 0
        assert (await bench.token(None)).status == 401

    async def test_suspending_a_client_takes_effect_on_its_open_connection(self, bench: Bench) -> None:
        async with bench.connect(bench.authority.client()) as connection:
            assert (await connection.post("/token", form())).status == 200
            bench.put(registration(suspended=True))
            assert (await connection.post("/token", form())).status == 401


class TestBaseContext:
    """OpenSSL begins each handshake with it; should the callback not replace it, nobody gets anywhere."""

    def test_it_has_the_rules_of_every_later_context(self) -> None:
        base = ListenerTLS(asks_for_certificate=True).base
        assert base.verify_mode is ssl.CERT_OPTIONAL
        assert base.verify_flags & ssl.VERIFY_X509_STRICT
        assert base.minimum_version is ssl.TLSVersion.TLSv1_2
        assert base.num_tickets == 0
        assert base.options & ssl.OP_NO_TICKET

    def test_it_trusts_nobody_and_serves_nothing(self) -> None:
        base = ListenerTLS(asks_for_certificate=True).base
        assert base.cert_store_stats() == {"x509": 0, "crl": 0, "x509_ca": 0}
        assert base.get_ca_certs() == []

    async def test_before_the_first_certificate_a_handshake_fails(self, bench: Bench) -> None:
        empty = ListenerTLS(asks_for_certificate=True)
        server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=empty.base)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=bench.client_context(), server_hostname="localhost")
        server.close()


class TestProtocol:
    @pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
    async def test_old_versions_are_refused(self, bench: Bench, version: str) -> None:
        said = await s_client(bench, version, "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in said

    @pytest.mark.parametrize("cipher", ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384"])
    async def test_tls_12_without_forward_secrecy_or_aead_is_refused(self, bench: Bench, cipher: str) -> None:
        assert "Cipher is (NONE)" in await s_client(bench, "-tls1_2", "-cipher", cipher)

    @pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
    async def test_openssl_gets_a_token_by_both_versions(self, bench: Bench, version: str) -> None:
        said = await s_client(bench, version, "-ign_eof", leaf=bench.authority.client(), given=http_token_request())
        assert "HTTP/1.1 200" in said
        assert "Verify return code: 0 (ok)" in said

    async def test_a_caller_without_sni_is_served_alike(self, bench: Bench) -> None:
        context = bench.client_context(bench.authority.client())
        context.check_hostname = False
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.mtls_port, ssl=context, server_hostname="")
        writer.write(http_token_request())
        assert b"HTTP/1.1 200" in await reader.read()
        writer.close()

    async def test_the_open_listener_asks_for_no_certificate(self, bench: Bench) -> None:
        async with bench.connect(mtls=False) as connection:
            assert (await connection.request("GET", "/jwks")).status == 200
        # What a server that asks for a certificate makes openssl say.
        assert "Requested Signature Algorithms" in await s_client(bench)
        assert "Requested Signature Algorithms" not in await s_client(bench, port=bench.open_port)
