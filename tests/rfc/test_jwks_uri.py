"""``jwks_uri`` (RFC 7591 section 2, RFC 8705 section 2.2.2) over real TLS, a row a clause: what authenticates a client.

The documents are served by a server of the test, with a certificate of a CA of its own.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builders.issuer import OPERATOR_ID, SETTINGS, Bench, Reply, registration, running_issuer
from builders.jwks import JwksServer, document, jwk, jwks_server
from builders.pki import HOUR, MINUTE, SECOND, Leaf, ec_key, raw, self_signed_client, uri
from mintls.core.oauth.jwks_uri import LARGEST
from mintls.core.pki.dn import parse_dn

from .test_client_assertion import NEXT, OTHER, OWN, ask, assertion

LEAF, OTHERS = self_signed_client(), self_signed_client()
SELF_SIGNED, BY_KEY = "self_signed_tls_client_auth", "private_key_jwt"


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[JwksServer]:
    async with jwks_server(tmp_path) as server:
        yield server


@pytest.fixture
async def bench(tmp_path: Path, source: JwksServer) -> AsyncIterator[Bench]:
    settings = replace(SETTINGS, internal_jwks_uri=True, jwks_uri_ca_file=str(source.ca_file))
    async with running_issuer(tmp_path, settings) as value:
        yield value


def put(bench: Bench, source: JwksServer, method: str = SELF_SIGNED, **changes: Any) -> None:
    """The client shop:billing, or shop:batch which signs, whose keys are at the server of the test."""
    name, bound = ("billing", True) if method == SELF_SIGNED else ("batch", False)
    own = {"token_endpoint_auth_method": method, "subject": None, "certificate_bound": bound, "jwks_uri": source.url}
    bench.put(registration(name, **own | changes))


def public(key: Any, **changes: Any) -> dict[str, Any]:
    return {**key.as_dict(private=False), **changes}


def served(body: bytes | Callable[[], bytes], status: int = 200, **headers: str) -> Callable[[JwksServer], None]:
    def set_up(source: JwksServer) -> None:
        source.body, source.status = body if isinstance(body, bytes) else body(), status
        source.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    return set_up


def ca_certificate() -> dict[str, Any]:
    key, name = ec_key(), parse_dn("CN=billing")
    return jwk(Leaf(raw(key.public_key(), name, key, subject=name, ca=True, usages=None), key))


GOOD = document(jwk(LEAF))
OK, AWAY, WRONG = (200, "ok"), (503, "no_client_keys"), (401, "unregistered_certificate")

# Clause, what it demands, what the server answers, what the client gets and the audit log says.
CERTIFICATES: tuple[tuple[str, str, Callable[[JwksServer], None], tuple[int, str]], ...] = (
    ("7591-2", "the client's JWK Set is at its jwks_uri", served(GOOD), OK),
    ("8705-2.2.2", "several certificates stand beside each other", served(document(jwk(OTHERS), jwk(LEAF))), OK),
    ("8705-2.2", "another certificate is none of the client's", served(document(jwk(OTHERS))), WRONG),
    ("8705-2.2.2", "the certificate is in x5c", served(document(jwk(LEAF, x5c=[]))), AWAY),
    ("7517-4.7", "x5c is of the key beside it", served(document(jwk(OTHERS, x5c=jwk(LEAF)["x5c"]))), AWAY),
    ("7517-5", "a key of an unknown kind is ignored", served(document({"kty": "new"}, jwk(LEAF))), OK),
    ("7517-5", "a key that lacks members is ignored", served(document({"kty": "EC"}, jwk(LEAF))), OK),
    ("7517-5", "members are what they should be", served(document({"kty": 1, "x5c": "a"}, jwk(LEAF))), OK),
    ("7517-5", "keys is required", served(b'{"key":[]}'), AWAY),
    ("7517-5", "keys is a list of objects", served(b'{"keys":["a"]}'), AWAY),
    ("7517-5", "there is a key", served(document()), AWAY),
    ("7517-5", "it is JSON", served(b"<html>"), AWAY),
    ("8259-9", "it is not nested without end", served(b'{"keys":' + b"[" * 30_000), AWAY),
    ("7518-6.2.2", "a private key is none that counts", served(document(jwk(LEAF, d="AAAA"))), AWAY),
    ("7517-5", "a CA's certificate vouches for nobody", served(lambda: document(ca_certificate())), AWAY),
    ("9110-15.5", "an error is no document", served(GOOD, 404), AWAY),
    ("9110-15.6", "an error is no document", served(GOOD, 500), AWAY),
    ("9110-15.4", "a redirect is not followed", served(GOOD, 302, Location="/jwks.json"), AWAY),
    ("9110-15.4.5", "304 needs a document that is known", served(b"", 304), AWAY),
    ("9110-8.4", "nothing is unpacked", served(GOOD, Content_Encoding="gzip"), AWAY),
    ("limit", "what is too large is not read", served(GOOD[:-1] + b" " * LARGEST + b"}"), AWAY),
    ("limit", "up to a size it is read", served(GOOD[:-1] + b" " * (LARGEST - len(GOOD)) + b"}"), OK),
)


@pytest.mark.parametrize(
    ("set_up", "expected"), [row[2:] for row in CERTIFICATES], ids=[f"{row[0]} {row[1]}" for row in CERTIFICATES]
)
async def test_certificates(
    bench: Bench, source: JwksServer, set_up: Callable[[JwksServer], None], expected: tuple[int, str]
) -> None:
    set_up(source)
    put(bench, source)
    reply = await bench.token(LEAF)
    assert (reply.status, bench.audit[-1]["reason"]) == expected
    if expected == AWAY:
        assert reply.json["error"] == "temporarily_unavailable"
        assert int(reply.headers["retry-after"]) > 0


UNSIGNED = (401, "wrong_assertion")
KEYS: tuple[tuple[str, str, Callable[[JwksServer], None], tuple[int, str]], ...] = (
    ("7523-2.2", "the key at jwks_uri verifies the assertion", served(document(public(OWN))), OK),
    ("7517-4.5", "of several keys the one of kid", served(document(public(NEXT["ES256"]), public(OWN))), OK),
    ("7517-4.5", "two keys of one kid are both tried", served(document(public(OTHER), public(OWN))), OK),
    ("7517-4.2", "a key for encryption is ignored", served(document(public(OWN, use="enc"))), AWAY),
    ("7523-3 9", "another key's signature is none", served(document(public(OTHER))), UNSIGNED),
    ("7518-6.4", "a symmetric key is none", served(document({"kty": "oct", "kid": "own"}, public(OTHER))), UNSIGNED),
    ("9110-15.6", "an error is no document", served(b"", 503), AWAY),
)


@pytest.mark.parametrize(("set_up", "expected"), [row[2:] for row in KEYS], ids=[f"{row[0]} {row[1]}" for row in KEYS])
async def test_keys(
    bench: Bench, source: JwksServer, set_up: Callable[[JwksServer], None], expected: tuple[int, str]
) -> None:
    set_up(source)
    put(bench, source, BY_KEY)
    reply = await ask(bench, assertion())
    assert (reply.status, bench.audit[-1]["reason"]) == expected


async def test_rfc_9110_13_1_2_a_document_that_has_not_changed_is_not_sent_again(
    bench: Bench, source: JwksServer
) -> None:
    source.body, source.etag, source.headers = GOOD, '"1"', {"Cache-Control": "max-age=120"}
    put(bench, source)
    assert (await bench.token(LEAF)).status == 200
    bench.clock.now += 121 * SECOND
    await fetched(bench, source, 2)
    assert [request.get("If-None-Match") for request in source.requests] == [None, '"1"']
    assert (await bench.token(LEAF)).status == 200


async def test_rfc_9111_5_2_2_1_it_is_asked_again_when_its_time_is_over_and_not_before(
    bench: Bench, source: JwksServer
) -> None:
    source.body, source.headers = GOOD, {"Cache-Control": "public, max-age=600", "Age": "300"}
    put(bench, source)
    assert (await bench.token(LEAF)).status == 200
    bench.clock.now += 299 * SECOND
    wake(bench)
    assert (await bench.token(LEAF)).status == 200
    assert len(source.requests) == 1
    bench.clock.now += 2 * SECOND
    await fetched(bench, source, 2)


async def test_what_is_asked_says_nothing_of_the_client_and_follows_no_trail(bench: Bench, source: JwksServer) -> None:
    source.body, source.headers = GOOD, {"Set-Cookie": "trail=1"}
    put(bench, source)
    assert (await bench.token(LEAF)).status == 200
    bench.clock.now += HOUR
    await fetched(bench, source, 2)
    assert {name.lower() for name in source.requests[1]} == {
        *("host", "accept", "accept-encoding", "user-agent", "connection")
    }


async def test_rfc_7591_2_the_registration_shows_the_uri_and_why_it_is_of_no_use(
    bench: Bench, source: JwksServer
) -> None:
    source.status = 404
    put(bench, source)
    assert (await bench.token(LEAF)).status == 503
    shown = (await read(bench)).json
    assert (shown["jwks_uri"], shown["mintls_jwks_problem"]) == (source.url, "the server answered HTTP 404")
    assert "jwks" not in shown, "RFC 7591 section 2: never both"
    source.status, source.body = 200, GOOD
    bench.clock.now += MINUTE
    assert (await bench.token(LEAF)).status == 200
    assert "mintls_jwks_problem" not in (await read(bench)).json


async def read(bench: Bench) -> Reply:
    return await bench.curl("/register/shop:billing", leaf=bench.authority.client(uri(OPERATOR_ID)))


def wake(bench: Bench) -> None:
    """The clock was moved by hand: have it looked at."""
    bench.issuer.remote_keys._changed.set()


async def fetched(bench: Bench, source: JwksServer, times: int) -> None:
    """Wait until it was asked so often."""
    wake(bench)
    for _ in range(400):
        if len(source.requests) == times and not any(s.fetching for s in bench.issuer.remote_keys._sources.values()):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(json.dumps([dict(request) for request in source.requests]))
