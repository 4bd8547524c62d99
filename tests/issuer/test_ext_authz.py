"""``Authorization/Check`` over gRPC: whatever a caller does. What a real Envoy makes of it is in test_envoy.py."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from h2.settings import SettingCodes

from builders.forwarded import client_cert, pem, xfcc
from builders.grpc import CHECK, Answered, Caller, calling
from builders.issuer import SETTINGS, Bench, registration, running_issuer
from builders.pki import Leaf, authority, uri
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.extauthz.http2 import LARGEST_MESSAGE
from mintls.issuer.extauthz.wire import Message, field
from mintls.issuer.settings import Address, InvalidSettings, TrustedProxy

ORDERS = "https://orders.shop.svc"
DEMAND = {"audience": ORDERS, "scope": "orders.read"}
PROXIES = (TrustedProxy("edge", "gateway", Format.XFCC),)
SERVED = replace(SETTINGS, proxies=PROXIES, ext_authz_address=Address("127.0.0.1", 0))
HEADERS, HEADER_MAP = 3, 13


def entry(key: str, value: str, *, number: int = 2) -> bytes:
    return field(1, key) + field(number, value)


def check_request(
    headers: dict[str, str], *, certificate: Leaf | None, context: dict[str, str], raw: bool = False, path: str = "/"
) -> bytes:
    """As Envoy writes it."""
    if raw:
        lines = field(HEADER_MAP, b"".join(field(1, entry(*one, number=3)) for one in headers.items()))
    else:
        lines = b"".join(field(HEADERS, entry(*one)) for one in headers.items())
    http = (
        field(2, "GET") + lines + field(4, path) + field(5, "orders.shop.svc") + field(6, "https") + field(9, 2**64 - 1)
    )
    source = field(5, quote(pem(certificate.certificate), safe="")) if certificate else b""
    extensions = b"".join(field(10, entry(*one)) for one in context.items())
    return field(1, field(1, source) + field(4, field(2, http)) + extensions)


@dataclass
class Checked:
    """A ``CheckResponse``."""

    code: int
    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def parse(cls, answered: Answered) -> "Checked":
        assert (answered.headers["grpc-status"], answered.data[0]) == ("0", 0)
        assert int.from_bytes(answered.data[1:5]) == len(answered.data) - 5
        message = Message(answered.data[5:])
        denied, granted = message.message(2), message.message(3)
        options = (denied if denied.octets(1) else granted).messages(2)
        headers = {one.message(1).text(1): one.message(1).text(2) for one in options}
        return cls(number(message.octets(1)), number(denied.octets(1)), headers, denied.octets(3))


def number(message: bytes) -> int:
    """Field 1 of a message, a number."""
    if not message:
        return 0
    assert message[0] == 1 << 3
    return sum((octet & 0x7F) << 7 * index for index, octet in enumerate(message[1:]))


@dataclass
class Scene:
    """A token, whose it is, and a gateway that asks."""

    bench: Bench
    leaf: Leaf
    token: str
    gateway: Leaf

    async def check(self, caller: Caller, *, metadata: dict[str, str] | None = None, **changes: Any) -> Checked:
        headers = {"authorization": f"Bearer {self.token}", **changes.pop("headers", {})}
        message = check_request(headers, **{"certificate": self.leaf, "context": DEMAND, **changes})
        return Checked.parse(await caller.call(message, **(metadata or {})))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_issuer(tmp_path, SERVED) as bench:
        bench.put(registration("gateway", "edge"))
        leaf = bench.authority.client()
        token = (await bench.token(leaf)).json["access_token"]
        yield Scene(bench, leaf, token, bench.authority.client(uri("spiffe://cluster.local/ns/edge/client/gateway")))


async def test_a_token_passes_with_its_certificate(scene: Scene) -> None:
    async with calling(scene.bench, scene.gateway) as caller:
        for raw in (False, True):
            checked = await scene.check(caller, raw=raw, headers={"x-request-id": "abc"})
            assert (checked.code, checked.status) == (0, 0)
            assert checked.headers["x-token-client-id"] == "shop:billing"
        line = scene.bench.audit[-1]
        assert (line["endpoint"], line["proxy"], line["requestId"]) == ("ext_authz", "edge/gateway", "abc")
        assert (line["thumbprint"], line["audience"], line["reason"]) == (scene.leaf.thumbprint, ORDERS, "ok")
        assert scene.token not in str(scene.bench.audit)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"certificate": None}, 401, "no_possession"),
        ({"context": {"audience": "https://b"}}, 401, "wrong_audience"),
        ({"context": DEMAND | {"scope": "orders.write"}}, 403, "missing_scope"),
        ({"context": DEMAND | {"possession": "optional"}, "certificate": None}, 401, "no_possession"),
        ({"headers": {"authorization": ""}}, 401, "no_access_token"),
        ({"headers": {"authorization": "Bearer a,Bearer b"}}, 401, "wrong_token"),
        ({"context": {}}, 400, "malformed_demand"),
        ({"context": {"scope": "orders.read"}}, 400, "malformed_demand"),
        ({"context": DEMAND | {"scope": ""}}, 400, "malformed_demand"),
        ({"context": DEMAND | {"scpoe": "a"}}, 400, "malformed_demand"),
        ({"context": {}, "path": f"/?audience={ORDERS}"}, 400, "malformed_demand"),
        ({"context": {}, "headers": {"x-token-demand": f"audience={ORDERS}"}}, 400, "malformed_demand"),
    ],
)
async def test_what_is_refused_is_denied_in_so_many_words(
    scene: Scene, changes: dict[str, Any], status: int, reason: str
) -> None:
    async with calling(scene.bench, scene.gateway) as caller:
        checked = await scene.check(caller, **changes)
    assert (checked.status, scene.bench.audit[-1]["reason"]) == (status, reason)
    assert checked.code == (16 if status == 401 else 7)
    assert ("www-authenticate" in checked.headers) == (status in {401, 403})
    assert checked.body.startswith(b'{"error":')


async def test_a_demand_in_the_proxys_metadata_counts_where_the_route_says_nothing(scene: Scene) -> None:
    metadata = {"x-token-demand": f"audience={ORDERS}&scope=orders.read"}
    async with calling(scene.bench, scene.gateway) as caller:
        assert (await scene.check(caller, context={}, metadata=metadata)).code == 0
        assert (await scene.check(caller, context=DEMAND | {"scope": "orders.write"}, metadata=metadata)).status == 403


async def test_certificates_in_headers_count_for_nothing(scene: Scene) -> None:
    headers = dict(xfcc(scene.leaf)) | {name.lower(): value for name, value in client_cert(scene.leaf)}
    async with calling(scene.bench, scene.gateway) as caller:
        for presented in (None, scene.bench.authority.client()):
            assert (await scene.check(caller, certificate=presented, headers=headers)).status == 401


async def test_nor_does_a_certificate_of_a_stranger(scene: Scene) -> None:
    async with calling(scene.bench, scene.gateway) as caller:
        assert (await scene.check(caller, certificate=authority().client())).status == 401
    assert scene.bench.audit[-1]["detail"].startswith("untrusted_certificate")


class TestWhoMayAsk:
    async def test_nobody_but_a_proxy(self, scene: Scene) -> None:
        for somebody in (None, scene.leaf):
            async with calling(scene.bench, somebody) as caller:
                checked = await scene.check(caller)
                assert (checked.code, checked.status) == (7, 400)
                await caller.until_closed()
                assert caller.goodbye
            assert scene.bench.audit[-1]["reason"] == "not_a_proxy"

    async def test_of_others_nothing_is_read(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.leaf) as caller:
            checked = Checked.parse(await caller.call(b"\xff" * 100_000))
        assert (checked.status, scene.bench.audit[-1]["reason"]) == (400, "not_a_proxy")

    async def test_a_proxy_that_is_suspended_meanwhile_on_an_open_connection(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            assert (await scene.check(caller)).code == 0
            scene.bench.put(registration("gateway", "edge", suspended=True))
            assert (await scene.check(caller)).status == 400
            await caller.until_closed()

    async def test_a_port_without_proxies_is_no_setting(self) -> None:
        with pytest.raises(InvalidSettings, match="name one by --proxy"):
            replace(SERVED, proxies=())

    async def test_there_is_no_port_unless_it_is_asked_for(self, tmp_path: Path) -> None:
        async with running_issuer(tmp_path, replace(SETTINGS, proxies=PROXIES)) as bench:
            assert bench.ext_authz_port == 0


class TestProtocol:
    async def test_many_calls_at_once(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            headers = {"authorization": f"Bearer {scene.token}"}
            message = check_request(headers, certificate=scene.leaf, context=DEMAND)
            streams = [caller.begin() for _ in range(50)]
            for stream in streams:
                await caller.send(stream, b"\0" + len(message).to_bytes(4) + message)
            answers = [Checked.parse(await caller.answer(stream)) for stream in streams]
        assert {answer.code for answer in answers} == {0}

    async def test_a_caller_that_takes_little_at_a_time(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway, settings={SettingCodes.INITIAL_WINDOW_SIZE: 16}) as caller:
            assert (await scene.check(caller)).code == 0

    async def test_a_caller_that_does_not_take_its_answer_loses_it(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway, settings={SettingCodes.INITIAL_WINDOW_SIZE: 16}) as caller:
            caller.takes = False
            assert (await caller.call(b"")).reset

    @pytest.mark.parametrize("message", [b"\xff", b"\x0a\xff", b"\x00\x00", b"\x0b", b"\x0a\x02\x0a\x05"])
    async def test_what_is_no_check_request_is_denied(self, scene: Scene, message: bytes) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            checked = Checked.parse(await caller.call(message))
        assert (checked.status, scene.bench.audit[-1]["reason"]) == (400, "malformed_demand")

    async def test_so_is_one_that_is_too_large_and_the_next_may_pass(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            checked = Checked.parse(await caller.call(b"x" * (LARGEST_MESSAGE + 1)))
            assert (checked.status, scene.bench.audit[-1]["reason"]) == (413, "body_too_large")
        async with calling(scene.bench, scene.gateway) as caller:
            assert (await scene.check(caller, headers={"cookie": "x" * 60_000})).code == 0

    @pytest.mark.parametrize(
        ("path", "compressed", "metadata"),
        [
            ("/envoy.service.auth.v2.Authorization/Check", False, {}),
            (CHECK, True, {}),
            (CHECK, False, {"content_type": "application/json"}),
        ],
    )
    async def test_what_there_is_not_is_said_to_be_unimplemented(
        self, scene: Scene, path: str, *, compressed: bool, metadata: dict[str, str]
    ) -> None:
        headers = {name.replace("_", "-"): value for name, value in metadata.items()}
        async with calling(scene.bench, scene.gateway) as caller:
            assert (await caller.call(b"", path, compressed=compressed, **headers)).headers["grpc-status"] == "12"

    @pytest.mark.parametrize("framed", [b"", b"\0", b"\0\0\0\0\5abc", b"\0\0\0\0\0\0\0\0\0\0"])
    async def test_nor_is_there_a_call_without_exactly_one_message(self, scene: Scene, framed: bytes) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            stream = caller.begin()
            await caller.send(stream, framed)
            assert (await caller.answer(stream)).headers["grpc-status"] == "12"

    async def test_a_message_that_does_not_come_to_an_end_is_given_up(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            stream = caller.begin()
            await caller.send(stream, b"\0\0", end=False)
            assert (await caller.answer(stream)).reset
            assert (await scene.check(caller)).code == 0

    async def test_one_that_takes_its_calls_back_again_and_again_is_let_go(self, scene: Scene) -> None:
        async with calling(scene.bench, None) as caller:
            for _ in range(1100):
                caller.h2.reset_stream(caller.begin())
            await caller.flush()
            await caller.until_closed()
            assert caller.goodbye

    @pytest.mark.parametrize("sent", [b"\0" * 9, b"\xff" * 9, b"\0\x40\x01\0\0\0\0\0\1"])
    async def test_what_is_no_http_2_is_let_go(self, scene: Scene, sent: bytes) -> None:
        """At once: an idle connection would end, too, but later than this waits."""
        async with calling(scene.bench, None) as caller, asyncio.timeout(SERVED.limits.idle_seconds / 10):
            caller._writer.write(sent)
            await caller.until_closed()
            assert caller.goodbye

    async def test_so_is_who_speaks_no_http_2_at_all(self, scene: Scene) -> None:
        async with (
            calling(scene.bench, scene.gateway, protocol="http/1.1") as caller,
            asyncio.timeout(SERVED.limits.idle_seconds / 10),
        ):
            await caller.until_closed()

    async def test_an_idle_connection_is_closed(self, tmp_path: Path) -> None:
        served = replace(SERVED, limits=replace(SERVED.limits, idle_seconds=0.2))
        async with running_issuer(tmp_path, served) as bench, calling(bench, None) as caller:
            await caller.until_closed()
            assert caller.goodbye

    async def test_more_connections_than_are_allowed_are_closed_at_once(self, tmp_path: Path) -> None:
        served = replace(SERVED, limits=replace(SERVED.limits, connections=1))
        async with running_issuer(tmp_path, served) as bench, calling(bench, None) as caller:
            await caller.hear()
            assert not await greeted(bench)


async def greeted(bench: Bench) -> bool:
    """Whether the issuer says anything to one more caller."""
    try:
        async with calling(bench, None) as caller:
            return await caller.hear()
    except OSError:
        return False


class TestStopping:
    async def test_a_caller_is_told_to_connect_anew_with_its_answer(self, scene: Scene) -> None:
        async with calling(scene.bench, scene.gateway) as caller:
            assert (await scene.check(caller)).code == 0
            scene.bench.issuer.drain()
            assert (await scene.check(caller)).code == 0
            await caller.until_closed()
            assert caller.goodbye

    async def test_and_without_one_when_the_issuer_ends(self, tmp_path: Path) -> None:
        async with AsyncExitStack() as stack, AsyncExitStack() as calls:
            bench = await stack.enter_async_context(running_issuer(tmp_path, SERVED))
            caller = await calls.enter_async_context(calling(bench, None))
            await caller.hear()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stack.aclose())
                tasks.create_task(caller.until_closed())
            assert caller.goodbye
