"""What may come back from step-ca's address, and what of it a person is told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from builders import pki
from builders.https_server import Server, serving
from builders.pki import NOW
from builders.world import free_port
from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.externalsource import Question
from mintls.controllers.stepca import StepCA
from mintls.core.pki.provisioner import Provisioner
from mintls.reconcile.reasons import Reason

CA = pki.authority("step")
SUBJECT = pki.parse_dn("CN=mintls:ClientCertificate:1")
REQUEST = x509.CertificateSigningRequestBuilder().subject_name(SUBJECT).sign(pki.ec_key(), hashes.SHA256())
QUESTION = Question(REQUEST, SUBJECT, pki.uri(pki.CLIENT_ID), timedelta(hours=1))


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(CA, tmp_path) as made:
        yield made


@pytest.fixture
async def client(server: Server) -> AsyncIterator[StepCA]:
    one = StepCA(server.url, (CA.root,), lambda: NOW)
    one.use(Provisioner("mintls", "kid", pki.ec_key()))
    yield one
    await one.close()


async def failure(client: StepCA) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await client.obtain(QUESTION)
    return caught.value


async def test_the_chain_is_taken_and_the_lifetime_is_asked_for_as_a_duration(server: Server, client: StepCA) -> None:
    server.says({"crt": "a", "ca": "b", "certChain": ["a", "b", "c"]}, 201)
    assert await client.obtain(QUESTION) == b"abc"
    assert server.asked[0]["notAfter"] == "3600s"
    server.says({"crt": "a", "ca": "b"}, 201)
    assert await client.obtain(QUESTION) == b"ab"
    first, second = (asked["ott"] for asked in server.asked)
    assert first != second, "a token is taken once"


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_what_may_pass_is_told_as_such(server: Server, client: StepCA, status: int) -> None:
    server.says({"message": "database is locked"}, status)
    error = await failure(client)
    assert isinstance(error, SourceUnavailable)
    assert error.violation.reason == Reason.EXTERNAL_UNREACHABLE
    assert f"cannot at present (HTTP {status}): database is locked" in str(error)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"status": 403, "message": "not for you"}, "refuses (HTTP 403): not for you"),
        ("<html>proxy", "refuses (HTTP 403): <html>proxy"),
        ({"message": "a\nb\x1b[2J"}, "refuses (HTTP 403): a b [2J"),
        ("", "refuses (HTTP 403): it says nothing more"),
        ({"message": "x" * 5000}, "x" * 300),
    ],
)
async def test_a_refusal_is_told_in_its_words(server: Server, client: StepCA, body: object, told: str) -> None:
    server.says(body, 403)
    error = await failure(client)
    assert not isinstance(error, SourceUnavailable)
    assert error.violation.reason == Reason.EXTERNAL_REFUSED
    assert str(error).endswith(told)


async def test_a_token_that_is_repeated_is_not_told(server: Server, client: StepCA) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": f"token {server.asked[-1]['ott']} was used"}, status=401)

    server.answer = answer
    assert str(await failure(client)).endswith("token ... was used")


@pytest.mark.parametrize("body", ["", "<html>", "[]", {"crt": 7}, {"ca": "x"}])
async def test_what_is_no_answer_of_step_ca_is_told(server: Server, client: StepCA, body: object) -> None:
    server.says(body)
    assert (await failure(client)).violation.reason == Reason.EXTERNAL_ANSWER_WRONG


async def test_it_is_not_followed_elsewhere(server: Server, client: StepCA) -> None:
    server.says("", 307, Location="https://localhost:1/")
    assert "refuses (HTTP 307)" in str(await failure(client))


async def test_a_server_of_another_root_is_shown_nothing(server: Server) -> None:
    stranger = StepCA(server.url, (pki.authority("step").root,), lambda: NOW)
    stranger.use(Provisioner("mintls", "kid", pki.ec_key()))
    error = await failure(stranger)
    await stranger.close()
    assert error.violation.reason == Reason.EXTERNAL_NOT_TRUSTED
    assert server.asked == []


async def test_a_server_for_another_host_is_shown_nothing(server: Server) -> None:
    other = StepCA(server.url.replace("localhost", "127.0.0.2"), (CA.root,), lambda: NOW)
    await other.close()
    wrong = StepCA(server.url.replace("localhost", "localhost.localdomain"), (CA.root,), lambda: NOW)
    wrong.use(Provisioner("mintls", "kid", pki.ec_key()))
    error = await failure(wrong)
    await wrong.close()
    assert error.violation.reason in {Reason.EXTERNAL_NOT_TRUSTED, Reason.EXTERNAL_UNREACHABLE}
    assert server.asked == []


async def test_nobody_at_the_address_is_told() -> None:
    nobody = StepCA(f"https://localhost:{free_port()}", (CA.root,), lambda: NOW)
    with pytest.raises(SourceUnavailable, match="does not answer: Connect"):
        await nobody.provisioners()
    await nobody.close()


async def test_provisioners_are_listed_page_by_page(server: Server, client: StepCA) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        name = request.query["cursor"] or "first"
        return web.json_response(
            {"provisioners": [{"name": name, "type": "JWK"}], "nextCursor": "second" if name == "first" else ""}
        )

    server.answer = answer
    assert [one.name for one in await client.provisioners()] == ["first", "second"]


async def test_a_subject_of_more_than_a_common_name_is_not_asked_for(server: Server, client: StepCA) -> None:
    whole = pki.parse_dn("CN=billing,O=Example")
    with pytest.raises(SourceError, match="which takes a single common name"):
        await client.obtain(Question(REQUEST, whole, (), timedelta(hours=1)))
    assert server.asked == []


async def test_an_answer_that_comes_in_pieces_is_read_whole(server: Server, client: StepCA) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=201)
        await response.prepare(request)
        for piece in (b'{"crt": "a", "ca": "b", ', b'"certChain": ["a", "b", "c"]}'):
            await response.write(piece)
            await asyncio.sleep(0.05)
        return response

    server.answer = answer
    assert await client.obtain(QUESTION) == b"abc"


async def test_an_answer_that_is_too_long_is_not_read_to_its_end(server: Server, client: StepCA) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(32):  # twice as much as is read
            await response.write(b" " * 65536)
        return response

    server.answer = answer
    assert "is longer than any answer of step-ca" in str(await failure(client))
