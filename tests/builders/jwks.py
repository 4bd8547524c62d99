"""A server of JWK Sets on loopback, with real TLS; and what stands in them."""

import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from builders.pki import Leaf, authority
from mintls.core.oauth.jwk import public_members


def jwk(leaf: Leaf, **changes: Any) -> dict[str, Any]:
    """The key of a certificate, with the certificate (RFC 8705 section 2.2.2)."""
    x5c = [base64.b64encode(leaf.der).decode()]
    return {**public_members(leaf.certificate.public_key()), "x5c": x5c} | changes


def document(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys)}).encode()


@dataclass
class JwksServer:
    """What it answers, each part of which a test changes, and what it was asked.

    Attributes:
        body: The document.
        status: HTTP status.
        headers: Headers of the answer.
        etag: ``ETag``; a request that has it is answered with 304.
        requests: Headers of the requests.
        ca_file: The CA of its certificate.
        file: A file whose content is the document instead of ``body``.
    """

    ca_file: Path
    port: int = 0
    body: bytes = b'{"keys":[]}'
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    requests: list[Mapping[str, str]] = field(default_factory=list)
    file: Path | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/jwks.json"

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request.headers.copy())
        headers = self.headers | ({"ETag": self.etag} if self.etag else {})
        if self.etag and request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(
            status=self.status, body=self.file.read_bytes() if self.file else self.body, headers=headers
        )


@asynccontextmanager
async def jwks_server(folder: Path) -> AsyncIterator[JwksServer]:
    """The server, for ``localhost`` and 127.0.0.1, with a certificate of a CA of its own that is valid now."""
    async with AsyncExitStack() as stack:
        server = JwksServer(folder / "jwks-ca.crt")
        context = _context(server.ca_file, folder)
        app = web.Application()
        app.router.add_get("/jwks.json", server.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server


def _context(ca_file: Path, folder: Path) -> ssl.SSLContext:
    own = authority("of the server of keys")
    ca_file.write_text(own.bundle)
    crt, key = own.server().write(folder, "jwks-server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return context
