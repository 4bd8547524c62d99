"""From a person's machine to the issuer in the cluster: as it is named, at an address that was given, or by kubectl."""

import asyncio
import contextlib
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import click
from yarl import URL

from mintls.cli.people.options import Where

_SERVICE = re.compile(r"(?P<name>[a-z0-9-]+)\.(?P<namespace>[a-z0-9-]+)\.svc(\..+)?")
"""A Service's name in the cluster's DNS (Kubernetes, "DNS for Services and Pods")."""

_FORWARDED = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")
_FORWARD_SECONDS = 20
_TIMEOUT = aiohttp.ClientTimeout(total=20, connect=10)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the issuer answered: *body* is empty if it is no JSON object."""

    status: int
    body: dict[str, Any]
    request_id: str
    """Finds the request in the audit log."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """A listener of the issuer, open for requests.

    Attributes:
        base: Its URL as clients have it: what its certificate has to name.
        address: ``host:port`` to connect to.
    """

    base: str
    address: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path of the host.

        Raises:
            click.ClickException: There is no such answer.
        """
        answer = await self._ask("GET", path, None)
        if answer.status != 200:
            raise click.ClickException(f"{self._named(path)} answered HTTP {answer.status}")
        return answer.body

    async def post(self, path: str, form: Mapping[str, Any]) -> Answer:
        """What a form is answered with.

        Raises:
            click.ClickException: There is no answer that could be read.
        """
        return await self._ask("POST", path, form)

    def _named(self, path: str) -> str:
        return f"{urlsplit(self.base).scheme}://{urlsplit(self.base).netloc}{path}"

    async def _ask(self, method: str, path: str, form: Mapping[str, Any] | None) -> Answer:
        named = self._named(path)
        try:
            async with self.session.request(
                method,
                URL(f"https://{self.address}{path}", encoded=True),
                data=form,
                server_hostname=urlsplit(self.base).hostname,
                headers={"Host": urlsplit(self.base).netloc},
                allow_redirects=False,
            ) as response:
                body = await response.json(content_type=None)
                known = body if isinstance(body, dict) else {}
                return Answer(response.status, known, response.headers.get("X-Request-ID", "none"))
        except aiohttp.ClientConnectorCertificateError as error:
            raise click.ClickException(
                f"{named}: its certificate is not to be trusted: {error.certificate_error}"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            cause = getattr(error, "os_error", error)
            raise click.ClickException(
                f"{named} (at {self.address}) cannot be reached or understood: {cause or 'no answer in time'}"
            ) from error


@asynccontextmanager
async def issuer_with(
    files: Mapping[str, bytes], endpoint: str, where: Where, connect_to: str | None
) -> AsyncIterator[Issuer]:
    """The issuer that *endpoint* is of, perhaps with the credential of a Secret.

    Args:
        files: ``ca.crt``, and ``tls.crt`` and ``tls.key`` of who has a credential.
        endpoint: A URL of one of its listeners; the mTLS one for who has a credential.
        where: The cluster, for ``kubectl port-forward``.
        connect_to: ``host:port`` to connect to; None to find a way: a Service's name is reached through kubectl,
            every other one as it stands.

    Raises:
        click.ClickException: The credential cannot be used, or there is no way.
    """
    context = _tls(files)
    parts = urlsplit(endpoint)
    service = _SERVICE.fullmatch(parts.hostname or "")
    async with contextlib.AsyncExitStack() as stack:
        if connect_to is not None:
            address = connect_to
        elif service is not None:
            address = await stack.enter_async_context(_forwarded(where, service, parts.port or 443))
        else:
            address = parts.netloc
        connector = aiohttp.TCPConnector(ssl=context)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT))
        yield Issuer(endpoint, address, session)


def _tls(files: Mapping[str, bytes]) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=files["ca.crt"].decode())
    if "tls.key" not in files:
        return context
    # Python reads a key from a path only. The directory is this user's alone, and gone in a moment.
    with TemporaryDirectory(prefix="mintls-") as folder:
        pair = Path(folder, "pair.pem")
        pair.touch(mode=0o600)
        pair.write_bytes(files["tls.key"] + b"\n" + files["tls.crt"])
        try:
            context.load_cert_chain(pair)
        except ssl.SSLError as error:
            raise click.ClickException(f"tls.crt and tls.key cannot be used: {error.reason}") from error
    return context


@asynccontextmanager
async def _forwarded(where: Where, service: re.Match[str], port: int) -> AsyncIterator[str]:
    """A local address that kubectl forwards to a pod of the Service."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise click.ClickException(
            f"{service.group()} is a name inside the cluster, and there is no kubectl on PATH to reach it by: "
            "install it, or give an address of that listener of the issuer by --connect-to HOST:PORT"
        )
    given = [("--kubeconfig", where.kubeconfig), ("--context", where.context), ("-n", service["namespace"])]
    flags = [word for flag, value in given if value for word in (flag, value)]
    process = await asyncio.create_subprocess_exec(
        *(kubectl, *flags, "port-forward", f"service/{service['name']}", f":{port}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield f"127.0.0.1:{await _forwarded_port(process, service.group())}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _forwarded_port(process: asyncio.subprocess.Process, name: str) -> int:
    told = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FORWARD_SECONDS):
            async for line in cast("asyncio.StreamReader", process.stdout):
                if found := _FORWARDED.match(line):
                    return int(found[1])
                told += line
    said = told.decode(errors="replace").strip() or f"it was not ready within {_FORWARD_SECONDS} s"
    raise click.ClickException(f"kubectl port-forward to {name} failed: {said}")
