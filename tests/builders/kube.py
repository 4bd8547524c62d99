"""A stand-in for the Kubernetes API that answers what a test tells it to, over real HTTP."""

import asyncio
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

type Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class ApiDouble:
    """Answers by method and path: each scripted answer once, the last one for ever."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    scripts: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def on(self, method: str, path: str, *answers: Answer) -> None:
        self.scripts[method, path] = list(answers)

    def requests(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.seen.append(
            Seen(
                request.method,
                request.path,
                dict(request.query),
                dict(request.headers),
                json.loads(raw) if raw else None,
            )
        )
        answers = self.scripts.get((request.method, request.path))
        if answers is None:
            return web.Response(status=404, text="404 page not found\n")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)

    def kubeconfig(self, folder: Path, **user: Any) -> str:
        """Write a kubeconfig for this server; ``user`` are the fields of its user."""
        return write_kubeconfig(folder, self.url, **user)


@asynccontextmanager
async def api_double(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[ApiDouble]:
    double = ApiDouble()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", double.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    scheme = "http" if tls is None else "https"
    double.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield double
    finally:
        await runner.cleanup()


def write_kubeconfig(folder: Path, server: str, **user: Any) -> str:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user or {"token": "t0ken"}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return str(file)


def ok(body: dict[str, Any], status: int = 200) -> Answer:
    """A JSON answer."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


def refusal(
    code: int, reason: str, message: str = "no", *, headers: dict[str, str] | None = None, **details: Any
) -> Answer:
    """A Status object, as the API server refuses."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response(status_object(code, reason, message, **details), status=code, headers=headers)

    return answer


def status_object(code: int, reason: str, message: str = "no", **details: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def page(*items: dict[str, Any], version: str = "100", token: str = "") -> Answer:
    """One page of a list."""
    metadata = {"resourceVersion": version} | ({"continue": token} if token else {})
    return ok({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def event(kind: str, item: dict[str, Any]) -> bytes:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


def bookmark(version: str) -> bytes:
    return event("BOOKMARK", {"metadata": {"resourceVersion": version}})


def stream(*chunks: bytes, then: str = "end") -> Answer:
    """A watch that sends the chunks, then ends (``end``), stays open (``hold``) or is cut off (``cut``)."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_type = "application/json"
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then == "hold":
            await asyncio.sleep(3600)
        if then == "cut" and request.transport is not None:
            await asyncio.sleep(0.05)
            request.transport.abort()
        return response

    return answer


async def hang(_: web.Request) -> web.StreamResponse:
    """An API server that takes the request and never answers."""
    await asyncio.sleep(3600)
    raise AssertionError


async def drop(request: web.Request) -> web.StreamResponse:
    """An API server that dies before it answers."""
    if request.transport is not None:
        request.transport.abort()
    await asyncio.sleep(0)
    return web.Response()


def an_object(
    name: str = "billing", *, namespace: str = "shop", version: str = "1", uid: str = "", **more: Any
) -> dict[str, Any]:
    """Any object with metadata."""
    metadata = {"name": name, "namespace": namespace, "resourceVersion": version, "uid": uid or f"uid-{name}"}
    return {"metadata": metadata, **more}


@dataclass(frozen=True)
class ClusterCa:
    """The CA of a cluster as EKS made them: basicConstraints alone, no key identifiers, no keyUsage."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def server_context(self, folder: Path, address: str = "127.0.0.1") -> ssl.SSLContext:
        """A TLS context with a certificate for one IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        leaf = _unsigned("kube-apiserver", key, self.certificate.subject).add_extension(alternative, critical=False)
        file = folder / "apiserver.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + leaf.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


def a_cluster_ca() -> ClusterCa:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    builder = _unsigned("kubernetes", key, subject).add_extension(constraints, critical=True)
    return ClusterCa(builder.sign(key, hashes.SHA256()), key)


def _unsigned(name: str, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
