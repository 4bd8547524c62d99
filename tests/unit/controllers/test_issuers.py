"""The issuer's replicas, asked over real TLS: each answer, and each way in which there is none, becomes an Answer."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from builders import pki
from builders.objects import INSTALLATION
from builders.pki import HOUR, NOW
from mintls.controllers.issuers import EndpointSlices, IssuerReplicas, StaticEndpoints
from mintls.controllers.issuing import Pair
from mintls.reconcile.oauthclient import Answer

HOST = "mintls-issuer.mintls-system.svc"
CLIENT = "shop:billing"
AUTHORITY = pki.authority("issuers")
KNOWN = {"client_id": CLIENT, "mintls_uid": "u1", "mintls_generation": 3}

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def pair(of: pki.Authority = AUTHORITY, **changes: Any) -> Pair:
    leaf = of.client(pki.uri(INSTALLATION.operator_id), **changes)
    return Pair(leaf.facts, leaf.tls_crt, leaf.tls_key)


def says(body: Any = None, status: int = 200, **headers: str) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        del request
        return web.Response(status=status, text=body if isinstance(body, str) else json.dumps(body), headers=headers)

    return answer


@asynccontextmanager
async def replica(
    handler: Handler, directory: Path, *, of: pki.Authority = AUTHORITY, host: str = HOST, clients: bool = True
) -> AsyncIterator[str]:
    """A server with the issuer's certificate that wants a client certificate, as ``:9443`` does; its address."""
    crt, key = of.server(pki.dns(host)).write(directory, f"server-{id(handler)}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=AUTHORITY.bundle)
    context.verify_mode = ssl.CERT_REQUIRED if clients else ssl.CERT_NONE
    context.load_cert_chain(crt, key)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(
    *addresses: str, url: str = INSTALLATION.mtls_url, known: bool = True
) -> AsyncIterator[IssuerReplicas]:
    replicas = IssuerReplicas(StaticEndpoints(addresses), url)
    if known:
        replicas.use(pair(), AUTHORITY.bundle)
    try:
        yield replicas
    finally:
        await replicas.close()
        await asyncio.sleep(0)  # the loop closes the transports in its next turn


async def ask(handler: Handler, directory: Path, **options: Any) -> Answer:
    async with replica(handler, directory, **options) as address, asking(address) as replicas:
        (answer,) = await replicas.ask(CLIENT)
        assert answer.replica == address
        return answer


class TestAReplica:
    async def test_that_knows_the_client_says_which_and_which_generation(self, tmp_path: Path) -> None:
        answer = await ask(says(KNOWN), tmp_path)
        assert (answer.uid, answer.generation, answer.problem) == ("u1", 3, "")

    async def test_that_does_not_know_the_client_is_no_problem(self, tmp_path: Path) -> None:
        answer = await ask(says(status=404), tmp_path)
        assert (answer.uid, answer.generation, answer.problem) == ("", 0, "")

    @pytest.mark.parametrize("status", [401, 403, 500, 503, 204])
    async def test_that_answers_anything_else_is_a_problem(self, status: int, tmp_path: Path) -> None:
        answer = await ask(says("" if status == 204 else {}, status=status), tmp_path)
        assert (answer.uid, answer.problem) == ("", f"it answered HTTP {status}")

    async def test_that_sends_elsewhere_is_not_followed(self, tmp_path: Path) -> None:
        """The credential is for this replica; what another server says of a client is worth nothing."""
        asked: list[str] = []

        async def other(request: web.Request) -> web.Response:
            asked.append(request.path)
            return web.json_response(KNOWN)

        async with replica(other, tmp_path) as elsewhere:
            answer = await ask(says(status=302, Location=f"https://{elsewhere}/register/{CLIENT}"), tmp_path)
        assert (answer.uid, answer.problem) == ("", "it answered HTTP 302")
        assert asked == []

    @pytest.mark.parametrize("body", ["", "no JSON", "[]", '{"client_id": 7}', '{"mintls_uid": "u1"}'])
    async def test_that_answers_nonsense_is_a_problem(self, body: str, tmp_path: Path) -> None:
        answer = await ask(says(body), tmp_path)
        assert answer.uid == ""
        assert answer.problem.startswith("its answer cannot be read: ")

    async def test_without_our_members_knows_no_generation(self, tmp_path: Path) -> None:
        answer = await ask(says({"client_id": CLIENT}), tmp_path)
        assert (answer.uid, answer.generation, answer.problem) == ("", 0, "")

    async def test_is_asked_by_path_host_and_credential(self, tmp_path: Path) -> None:
        seen: dict[str, Any] = {}

        async def handler(request: web.Request) -> web.Response:
            seen["path"], seen["host"] = request.raw_path, request.headers["Host"]
            assert request.transport is not None
            certificate = request.transport.get_extra_info("peercert")
            seen["names"] = certificate["subjectAltName"]
            return web.json_response(KNOWN)

        await ask(handler, tmp_path)
        assert seen == {
            "path": "/register/shop%3Abilling",
            "host": HOST,
            "names": (("URI", "spiffe://cluster.local/ns/mintls-system/operator"),),
        }

    async def test_is_asked_below_the_path_of_the_mtls_url(self, tmp_path: Path) -> None:
        seen: list[str] = []

        async def handler(request: web.Request) -> web.Response:
            seen.append(request.raw_path)
            return web.json_response(KNOWN)

        async with replica(handler, tmp_path) as address, asking(address, url=f"https://{HOST}:9443/auth/") as replicas:
            await replicas.ask("a/b?c")
        assert seen == ["/auth/register/a%2Fb%3Fc"]


class TestAServerThatIsNotTheIssuer:
    async def test_of_another_name_is_not_believed(self, tmp_path: Path) -> None:
        answer = await ask(says(KNOWN), tmp_path, host="another.mintls-system.svc")
        assert answer.uid == ""
        assert answer.problem.startswith("no answer: ")

    async def test_of_another_ca_of_the_same_name_is_not_believed(self, tmp_path: Path) -> None:
        answer = await ask(says(KNOWN), tmp_path, of=pki.authority("issuers"))
        assert answer.uid == ""
        assert "certificate" in answer.problem.lower()


class TestNoAnswer:
    async def test_of_a_replica_that_is_gone_is_a_problem_of_that_replica_alone(self, tmp_path: Path) -> None:
        async with replica(says(KNOWN), tmp_path) as address, asking("127.0.0.1:1", address) as replicas:
            gone, there = await replicas.ask(CLIENT)
        assert (there.uid, there.problem) == ("u1", "")
        assert gone.problem.startswith("no answer: Connect call failed")

    async def test_of_one_that_hangs_up_is_a_problem(self, tmp_path: Path) -> None:
        async def handler(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        assert (await ask(handler, tmp_path)).problem.startswith("no answer: ")

    async def test_of_one_that_hangs_is_a_problem_in_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mintls.controllers.issuers._TIMEOUT", aiohttp.ClientTimeout(total=0.2))

        async def handler(request: web.Request) -> web.Response:
            del request
            await asyncio.sleep(2)
            return web.Response()

        assert "TimeoutError" in (await ask(handler, tmp_path)).problem

    async def test_before_there_is_a_credential_is_a_problem_without_a_connection(self) -> None:
        async with asking("127.0.0.1:1", known=False) as replicas:
            assert await replicas.ask(CLIENT) == (
                Answer("127.0.0.1:1", problem="the operator has no certificate of its own yet"),
            )

    async def test_of_nobody_is_no_answer_at_all(self) -> None:
        async with asking() as replicas:
            assert await replicas.ask(CLIENT) == ()

    async def test_because_the_replica_refuses_the_certificate_is_a_problem(self, tmp_path: Path) -> None:
        async with replica(says(KNOWN), tmp_path) as address, asking(address) as replicas:
            replicas.use(pair(not_before=NOW - 3 * HOUR, not_after=NOW - HOUR), AUTHORITY.bundle)
            (answer,) = await replicas.ask(CLIENT)
        assert answer.uid == ""
        assert answer.problem.startswith("no answer: ")


class TestANewCredential:
    async def test_is_used_for_the_next_question(self, tmp_path: Path) -> None:
        seen: list[str] = []

        async def handler(request: web.Request) -> web.Response:
            assert request.transport is not None
            seen.append(request.transport.get_extra_info("peercert")["serialNumber"])
            return web.json_response(KNOWN)

        async with replica(handler, tmp_path) as address, asking(address) as replicas:
            await replicas.ask(CLIENT)
            await replicas.ask(CLIENT)
            replicas.use(pair(), AUTHORITY.bundle)
            await replicas.ask(CLIENT)
        assert seen[0] == seen[1] != seen[2]

    async def test_does_not_break_a_question_that_is_under_way(self, tmp_path: Path) -> None:
        arrived, go = asyncio.Event(), asyncio.Event()

        async def handler(request: web.Request) -> web.Response:
            del request
            arrived.set()
            await go.wait()
            return web.json_response(KNOWN)

        async with replica(handler, tmp_path) as address, asking(address) as replicas:
            question = asyncio.create_task(replicas.ask(CLIENT))
            await arrived.wait()
            replicas.use(pair(), AUTHORITY.bundle)
            await asyncio.sleep(0.05)
            go.set()
            (answer,) = await question
        assert (answer.uid, answer.problem) == ("u1", "")

    async def test_closes_the_connections_of_the_old_one_when_no_question_can_be_under_way_any_more(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mintls.controllers.issuers._TIMEOUT", aiohttp.ClientTimeout(total=0.1))
        async with replica(says(KNOWN), tmp_path) as address, asking(address) as replicas:
            await replicas.ask(CLIENT)
            old = replicas._session
            replicas.use(pair(), AUTHORITY.bundle)
            assert old is not None
            closed = [old.closed]
            await asyncio.sleep(0.2)
            closed.append(old.closed)
        assert closed == [False, True]
        assert replicas._outgoing == {}


def piece(*endpoints: dict[str, Any], ports: Any = None) -> dict[str, Any]:
    named = [{"name": "https", "port": 8443}, {"name": "mtls", "port": 9443}] if ports is None else ports
    return {"ports": named, "endpoints": list(endpoints)}


def addresses(*pieces: dict[str, Any]) -> tuple[str, ...]:
    return EndpointSlices(lambda: dict(enumerate(pieces)), "mtls").addresses()


READY = {"conditions": {"ready": True}}


class TestEndpointSlices:
    def test_give_the_ready_endpoints_at_the_named_port(self) -> None:
        slices = (
            piece({"addresses": ["10.0.0.2"], **READY}, {"addresses": ["10.0.0.1"], **READY}),
            piece({"addresses": ["10.0.0.3"], **READY}, ports=[{"name": "mtls", "port": 19443}]),
        )
        assert addresses(*slices) == ("10.0.0.1:9443", "10.0.0.2:9443", "10.0.0.3:19443")

    @pytest.mark.parametrize("conditions", [{}, None, {"ready": None}, {"serving": True}])
    def test_take_an_unknown_readiness_for_ready(self, conditions: Any) -> None:
        """EndpointConditions: a nil value should be interpreted as "true"."""
        assert addresses(piece({"addresses": ["10.0.0.1"], "conditions": conditions})) == ("10.0.0.1:9443",)

    @pytest.mark.parametrize("conditions", [{"ready": False}, {"ready": False, "serving": True, "terminating": True}])
    def test_leave_out_what_is_not_ready(self, conditions: dict[str, bool]) -> None:
        assert addresses(piece({"addresses": ["10.0.0.1"], "conditions": conditions})) == ()

    @pytest.mark.parametrize(
        "ports", [[], None, [{"name": "other", "port": 1}], [{"name": "mtls", "port": None}], [{}]]
    )
    def test_leave_out_a_slice_without_the_port(self, ports: Any) -> None:
        item = {"ports": ports, "endpoints": [{"addresses": ["10.0.0.1"]}]}
        assert addresses(item) == ()

    def test_name_an_endpoint_once(self) -> None:
        """While a Service changes, two slices can have the same endpoint."""
        assert addresses(piece({"addresses": ["10.0.0.1"]}), piece({"addresses": ["10.0.0.1"]})) == ("10.0.0.1:9443",)

    def test_write_an_ipv6_address_as_a_url_does(self) -> None:
        assert addresses(piece({"addresses": ["2001:db8::7"]})) == ("[2001:db8::7]:9443",)

    @pytest.mark.parametrize("item", [{}, {"ports": None, "endpoints": None}, piece({"addresses": None}), piece({})])
    def test_of_the_barest_kind_give_nothing(self, item: dict[str, Any]) -> None:
        assert addresses(item) == ()
