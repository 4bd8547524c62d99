"""HTTP: from aiohttp's request to a ``Call``, and from an ``Answer`` to its response."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from multidict import istr

from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.metadata import base_path, well_known_paths
from mintls.issuer.answering import REQUEST_ID, answer_of, request_id
from mintls.issuer.audit import Trail, WriteLine, audit_line
from mintls.issuer.endpoints.authority import authority
from mintls.issuer.endpoints.crl import crl
from mintls.issuer.endpoints.documents import client_keys, keys, metadata
from mintls.issuer.endpoints.introspection import introspection
from mintls.issuer.endpoints.register import register
from mintls.issuer.endpoints.registered import delete, read, update
from mintls.issuer.endpoints.registration import registration
from mintls.issuer.endpoints.revocation import revocation
from mintls.issuer.endpoints.token import token
from mintls.issuer.endpoints.verify import verify, verify_behind
from mintls.issuer.errors import error_body
from mintls.issuer.exchange import NO_STORE, Answer, Call, Clock
from mintls.issuer.listener import DIRECT, Direct
from mintls.issuer.metrics import CONTENT_TYPE, Metrics
from mintls.issuer.peer import Peers, ssl_connection
from mintls.issuer.services import Services
from mintls.issuer.spans import Handled, Record

_REQUEST_ID = istr(REQUEST_ID)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint.

    Attributes:
        name: In metrics and the audit log.
        method: The one method that it answers (GET answers HEAD, too); ``*`` for any.
        answer: Its steps; awaited where one of them has to wait for the Kubernetes API.
        decides: Whether it decides about a caller: then each answer is an audit line.
    """

    name: str
    method: str
    answer: Callable[[Services, Call], Answer | Awaitable[Answer]]
    decides: bool = True


_METADATA = Endpoint("metadata", "GET", metadata, decides=False)
_JWKS = Endpoint("jwks", "GET", keys, decides=False)
_CLIENT_JWKS = Endpoint("client_jwks", "GET", client_keys, decides=False)
_CRL = Endpoint("crl", "GET", crl, decides=False)
_TOKEN = Endpoint("token", "POST", token)
_INTROSPECTION = Endpoint("introspection", "POST", introspection)
_REVOCATION = Endpoint("revocation", "POST", revocation)
_VERIFY = Endpoint("verify", "GET", verify)
_VERIFY_BEHIND = Endpoint("verify", "*", verify_behind)
_AUTHORITY = Endpoint("authority", "GET", authority)
_REGISTRATION = Endpoint("registration", "GET", registration)
_REGISTER = Endpoint("register", "POST", register)
# RFC 7592 section 2: what a client may do with its own registration.
_REGISTERED = (
    Endpoint("read_registration", "GET", read),
    Endpoint("update_registration", "PUT", update),
    Endpoint("delete_registration", "DELETE", delete),
)


class _Handle(Protocol):
    """Answers a request, told what its path names, "" if it names nothing."""

    def __call__(self, request: web.Request, target: str = "", /) -> Awaitable[web.Response]: ...


class Front:
    """What stands between aiohttp and the endpoints."""

    def __init__(
        self, services: Services, metrics: Metrics, *, clock: Clock, write: WriteLine, record: Record | None = None
    ) -> None:
        self._services = services
        self._metrics = metrics
        self._clock = clock
        self._write = write
        self._record = record
        self._peers = Peers()
        self.draining = False

    def open_app(self) -> web.Application:
        """The listener that asks for no certificate."""
        base = base_path(self._services.settings.issuer_url)
        return self._app([*self._documents(base), *self._authenticated(base), *self._registrations(base)])

    def mtls_app(self) -> web.Application:
        """The listener that asks for one."""
        base = base_path(self._services.settings.mtls_url)
        return self._app(
            [
                *self._documents(base),
                *self._authenticated(base),
                (f"{base}/verify", _VERIFY),
                (f"{base}/verify;{{target:[\\s\\S]*}}", _VERIFY_BEHIND),
                (f"{base}/register/{{target:[^/]+}}", _REGISTRATION),
                (f"{base}/authorities/{{target:[^/]+}}", _AUTHORITY),
            ]
        )

    def _documents(self, base: str) -> Iterable[tuple[str, Endpoint]]:
        yield from ((path, _METADATA) for path in well_known_paths(self._services.settings.issuer_url))
        yield f"{base}/jwks", _JWKS
        yield f"{base}/clients/{{target:[^/]+}}/jwks", _CLIENT_JWKS
        yield f"{base}/crl/{{target:.+}}", _CRL

    @staticmethod
    def _authenticated(base: str) -> Iterable[tuple[str, Endpoint]]:
        yield f"{base}/token", _TOKEN
        yield f"{base}/introspect", _INTROSPECTION
        yield f"{base}/revoke", _REVOCATION

    def _registrations(self, base: str) -> Iterable[tuple[str, Endpoint]]:
        """Where clients register themselves; nothing, unless somebody may."""
        if self._services.settings.registrations:
            yield f"{base}/register", _REGISTER
            yield from ((f"{base}/register/{{target:[^/]+}}", endpoint) for endpoint in _REGISTERED)

    def _app(self, routes: Iterable[tuple[str, Endpoint]]) -> web.Application:
        app = web.Application(middlewares=[self._outermost], client_max_size=self._services.settings.limits.body_bytes)
        direct: Direct = {}
        app[DIRECT] = direct
        for path, endpoint in routes:
            resource = app.router.add_resource(path)
            handler = self._handler(endpoint, resource.canonical)
            for method in ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,):
                if _names_something(path):
                    resource.add_route(method, _told_what(handler))
                else:
                    resource.add_route(method, handler)
                    direct[method, path] = handler
        return app

    def _handler(self, endpoint: Endpoint, route: str) -> _Handle:
        realm = self._services.settings.issuer_url

        async def handle(request: web.Request, target: str = "") -> web.Response:
            started = time.perf_counter()
            trail = self._trail(endpoint, request)
            steps = self._steps(endpoint, request, target, trail)
            answer = await answer_of(
                steps, trail, realm=realm, authorization=lambda: request.headers.get(hdrs.AUTHORIZATION)
            )
            if endpoint.decides:
                self._write(audit_line(trail))
            seconds = time.perf_counter() - started
            self._metrics.count(endpoint.name, trail.method, trail.reason, status=answer.status, seconds=seconds)
            if self._record is not None:
                self._record(_handled(request, route, trail, answer.status, seconds))
            return _response(answer, trail.request_id, closes=answer.closes or self.draining)

        return handle

    def _trail(self, endpoint: Endpoint, request: web.Request) -> Trail:
        return Trail(
            time=self._clock(),
            request_id=request_id(request.headers.get(_REQUEST_ID)),
            endpoint=endpoint.name,
            remote=request.remote or "",
        )

    async def _steps(self, endpoint: Endpoint, request: web.Request, target: str, trail: Trail) -> Answer:
        body = await self._body(request) if endpoint.method in {"POST", "PUT"} else b""
        answered = endpoint.answer(self._services, self._call(request, body, target, trail))
        return answered if isinstance(answered, Answer) else await answered

    async def _body(self, request: web.Request) -> bytes:
        """The body, whole.

        Raises:
            InvalidRequest: It is too large, too slow, compressed, or broken off.
        """
        limits = self._services.settings.limits
        if hdrs.CONTENT_ENCODING in request.headers:
            raise InvalidRequest(Reason.CONTENT_ENCODED)
        try:
            if request.content.is_eof():  # all of it came with the headers, as nearly always
                body = request.content.read_nowait()
            else:
                async with asyncio.timeout(limits.body_seconds):
                    body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise InvalidRequest(Reason.BODY_TOO_LARGE) from None
        except TimeoutError:
            raise InvalidRequest(Reason.BODY_TOO_SLOW) from None
        except (web.RequestPayloadError, ConnectionError) as error:  # the second: whoever sent it is gone
            raise InvalidRequest(Reason.MALFORMED_BODY, type(error).__name__) from None
        if len(body) > limits.body_bytes:
            raise InvalidRequest(Reason.BODY_TOO_LARGE)
        return body

    def _call(self, request: web.Request, body: bytes, target: str, trail: Trail) -> Call:
        return Call(
            now=trail.time,
            content_type=_line(request, hdrs.CONTENT_TYPE),
            authorization=_line(request, hdrs.AUTHORIZATION),
            body=body,
            method=request.method,
            path=_text(request.raw_path),
            target=target,
            peer=lambda: self._peers.of(ssl_connection(request.get_extra_info("ssl_object"))),
            trail=trail,
            header=lambda name: _lines(request, name),
        )

    @web.middleware
    async def _outermost(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers in JSON also where no endpoint is, and ends connections once the issuer is stopping."""
        try:
            response = await handler(request)
        except web.HTTPNotFound:
            response = self._no_endpoint(request, "not_found", 404, "there is nothing at this path", {})
        except web.HTTPMethodNotAllowed as error:
            allow = ", ".join(sorted(error.allowed_methods))
            response = self._no_endpoint(
                request, "invalid_request", 405, f"the method is not allowed: use {allow}", {"Allow": allow}
            )
        if self.draining:
            response.force_close()
        return response

    def _no_endpoint(
        self, request: web.Request, code: str, status: int, description: str, headers: dict[str, str]
    ) -> web.Response:
        outcome = code if status == 404 else "method_not_allowed"
        self._metrics.count("none", "", outcome, status=status, seconds=0.0)
        answer = Answer(status, error_body(code, description), headers={**NO_STORE, **headers})
        return _response(answer, request_id(request.headers.get(_REQUEST_ID)))


def _names_something(path: str) -> bool:
    return "{" in path  # as aiohttp's router has it


def _told_what(handle: _Handle) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def told(request: web.Request) -> web.Response:
        return await handle(request, _text(unquote(request.match_info["target"])))

    return told


def probe_app(metrics: Metrics, missing: Callable[[], Iterable[str]]) -> web.Application:
    """The plain listener: ``/livez``, ``/readyz``, ``/metrics``.

    Args:
        metrics: What to show.
        missing: What the issuer still waits for; nothing means that it is ready.
    """

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        waiting = list(missing())
        return web.Response(status=503 if waiting else 200, text="\n".join(waiting or ["ok"]) + "\n")

    async def show_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", show_metrics)
    return app


def _handled(request: web.Request, route: str, trail: Trail, status: int, seconds: float) -> Handled:
    """What a trace shows of a request; nothing of its body, its path, or of any header but the two that are for it."""
    ended = time.time_ns()
    return Handled(
        endpoint=trail.endpoint,
        method=request.method,
        route=route,
        status=status,
        outcome=trail.reason,
        request_id=trail.request_id,
        client=trail.client,
        authentication=trail.method,
        began=ended - int(seconds * 1e9),
        ended=ended,
        traceparent=_line(request, "traceparent") or "",
        tracestate=", ".join(_lines(request, "tracestate")),
    )


def refuse(request: web.BaseRequest, status: int) -> web.Response:
    """The answer to a request that gets no further than HTTP; nothing of it is repeated."""
    code, description = _REFUSALS.get(status, _REFUSALS[500])
    return _response(Answer(status, error_body(code, description)), request_id(request.headers.get(_REQUEST_ID)))


_REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request", "the request is no well-formed HTTP, or a line of it is too long"),
    417: ("invalid_request", "100-continue is the one expectation that can be met: leave Expect out"),
    500: ("server_error", "the issuer failed; the request id finds the reason"),
}


def _line(request: web.Request, name: str) -> str | None:
    value = request.headers.get(name)
    return None if value is None else _text(value)


def _lines(request: web.Request, name: str) -> tuple[str, ...]:
    return tuple(map(_text, request.headers.getall(name, ())))


def _text(octets: str) -> str:
    """What came in a header or a URL, with a replacement character for octets that are no UTF-8.

    aiohttp hands these on as lone surrogates, which can neither be hashed nor be written into a log. No value with such
    a character means anything here.
    """
    return octets if octets.isascii() else octets.encode(errors="surrogateescape").decode(errors="replace")


def _response(answer: Answer, identifier: str, *, closes: bool = False) -> web.Response:
    headers = {**answer.headers, hdrs.CONTENT_TYPE: answer.content_type, _REQUEST_ID: identifier, hdrs.SERVER: "mintls"}
    response = web.Response(status=answer.status, body=answer.body, headers=headers)
    if closes:
        response.force_close()
    return response
