"""``Authorization/Check``: from a message of gRPC to the endpoint, and back."""

import time

from msgspec.structs import replace

from mintls.core.oauth.errors import InvalidClient, InvalidRequest, Reason
from mintls.issuer.answering import REQUEST_ID, answer_of, request_id
from mintls.issuer.audit import Trail, WriteLine, audit_line
from mintls.issuer.endpoints.check import check
from mintls.issuer.endpoints.verify import require_proxy
from mintls.issuer.exchange import Answer, Call, Clock
from mintls.issuer.extauthz.http2 import LARGEST_MESSAGE, Asked, Reply, Service
from mintls.issuer.extauthz.messages import CheckRequest, check_response, read_check_request
from mintls.issuer.metrics import Metrics
from mintls.issuer.peer import Connection, Peers
from mintls.issuer.services import Services

CHECK = "/envoy.service.auth.v3.Authorization/Check"
_ENDPOINT = "ext_authz"


class ExtAuthz:
    """What stands between gRPC and the endpoint."""

    def __init__(self, services: Services, metrics: Metrics, *, clock: Clock, write: WriteLine) -> None:
        self._services = services
        self._metrics = metrics
        self._clock = clock
        self._write = write
        self._peers = Peers()
        self.draining = False

    @property
    def service(self) -> Service:
        """What a listener serves."""
        return Service({CHECK: self._check}, self._largest, lambda: self.draining)

    def _largest(self, connection: Connection) -> int:
        """Of whoever is no proxy nothing is read."""
        try:
            peer = self._peers.of(connection)
        except InvalidClient:
            return 0
        return LARGEST_MESSAGE if self._services.proxies.of(peer, self._clock()) else 0

    async def _check(self, asked: Asked) -> Reply:
        started = time.perf_counter()
        trail = Trail(time=self._clock(), request_id=request_id(None), endpoint=_ENDPOINT, remote=asked.remote)
        answer = await self._answer(asked, trail)
        self._write(audit_line(trail))
        seconds = time.perf_counter() - started
        self._metrics.count(_ENDPOINT, trail.method, trail.reason, status=answer.status, seconds=seconds)
        return Reply(check_response(answer), closes=answer.closes)

    async def _answer(self, asked: Asked, trail: Trail) -> Answer:
        request: CheckRequest | None = None

        async def steps() -> Answer:
            nonlocal request
            call = self._call(asked, trail)
            require_proxy(self._services, call)
            if asked.message is None:
                raise InvalidRequest(Reason.BODY_TOO_LARGE, f"more than {LARGEST_MESSAGE} octets")
            request = read_check_request(asked.message)
            trail.request_id = request_id(_first(request.header(REQUEST_ID)))
            call = replace(call, method=request.method, path=request.path, header=request.header)
            return await check(self._services, call, request, lambda name: asked.metadata.get(name.lower(), ()))

        def authorization() -> str | None:
            return _first(request.header("Authorization")) if request else None

        return await answer_of(steps(), trail, realm=self._services.settings.issuer_url, authorization=authorization)

    def _call(self, asked: Asked, trail: Trail) -> Call:
        return Call(
            now=trail.time,
            content_type=None,
            authorization=None,
            body=b"",
            method="",
            path="",
            target="",
            peer=lambda: self._peers.of(asked.connection),
            trail=trail,
            header=lambda _name: (),
        )


def _first(lines: tuple[str, ...]) -> str | None:
    return lines[0] if lines else None
