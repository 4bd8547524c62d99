"""Probes and metrics of the operator, over plain HTTP on a port of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Check = Callable[[], str]
"""What is wrong, in words; "" if nothing is."""


@asynccontextmanager
async def serve_health(
    host: str, port: int, *, live: Check, ready: Check, observe: Callable[[], None], registry: CollectorRegistry
) -> AsyncIterator[int]:
    """Serve ``/livez``, ``/readyz`` and ``/metrics``.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        live: Answers ``/livez`` (``/healthz`` too): a process that is not live is restarted.
        ready: Answers ``/readyz``.
        observe: Called before ``/metrics`` is answered, to refresh the gauges.
        registry: The metrics.

    Yields:
        The port.

    Raises:
        OSError: The address is taken.
    """
    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", _probe(live)),
            web.get("/healthz", _probe(live)),
            web.get("/readyz", _probe(ready)),
            web.get("/metrics", _metrics(registry, observe)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port, shutdown_timeout=1)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _probe(check: Check) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        del request
        problem = check()
        return web.Response(text=problem or "ok", status=503 if problem else 200)

    return answer


def _metrics(registry: CollectorRegistry, observe: Callable[[], None]) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        del request
        observe()
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer
