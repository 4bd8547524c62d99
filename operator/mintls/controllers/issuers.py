"""The replicas of the token issuer, asked over mTLS whether they know a client (RFC 7592 section 2.1), or a root.

What can go wrong with one replica becomes an ``Answer`` with a problem; nothing is raised.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import aiohttp
import msgspec
from yarl import URL

from mintls.controllers.issuing import Pair
from mintls.reconcile.oauthclient import Answer

logger = logging.getLogger(__name__)

_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)
_CONNECTIONS_PER_REPLICA = 4


class Endpoints(Protocol):
    """Where the ready replicas are."""

    def addresses(self) -> tuple[str, ...]:
        """``host:port`` of the mTLS listener of each ready replica."""


class StaticEndpoints:
    """Replicas that are named in the configuration; all of them have to answer."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        """Prepare."""
        self._addresses = addresses

    def addresses(self) -> tuple[str, ...]:
        """As they were named."""
        return self._addresses


class EndpointSlices:
    """Ready endpoints from the EndpointSlices of the issuer's Service (``discovery.k8s.io/v1``)."""

    def __init__(self, slices: Callable[[], Mapping[Any, Mapping[str, Any]]], port_name: str) -> None:
        """Prepare.

        Args:
            slices: The EndpointSlices as they are now.
            port_name: Name of the Service's port that does mTLS.
        """
        self._slices = slices
        self._port_name = port_name

    def addresses(self) -> tuple[str, ...]:
        """Addresses of the endpoints that are ready; an unknown readiness counts as ready (EndpointConditions)."""
        found = {
            address
            for piece in self._slices().values()
            for port in (self._port(piece),)
            if port is not None
            for endpoint in piece.get("endpoints") or []
            if (endpoint.get("conditions") or {}).get("ready", True) is not False
            for address in (_join(host, port) for host in endpoint.get("addresses") or [])
        }
        return tuple(sorted(found))

    def _port(self, piece: Mapping[str, Any]) -> int | None:
        ports = piece.get("ports") or []
        return next((port.get("port") for port in ports if port.get("name") == self._port_name), None)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class _Registration(msgspec.Struct, frozen=True):
    """The members of a client information response (RFC 7591 section 3.2.1) that are looked at."""

    client_id: str
    mintls_uid: str = ""
    mintls_generation: int = 0
    mintls_jwks_problem: str = ""
    mintls_signing_problem: str = ""


class _Authority(msgspec.Struct, frozen=True):
    root_keys: frozenset[str]


@dataclass(frozen=True, slots=True)
class Trusted:
    """What one replica said of an authority.

    Attributes:
        replica: Its address.
        root_keys: Fingerprints of the root keys that it trusts.
        problem: Why it gave no answer; "" if it did.
    """

    replica: str
    root_keys: frozenset[str] = frozenset()
    problem: str = ""


class IssuerReplicas:
    """Asks every ready replica about a client, as the operator's own identity."""

    def __init__(self, endpoints: Endpoints, mtls_url: str) -> None:
        """Prepare.

        Args:
            endpoints: Where the replicas are.
            mtls_url: Base of the mTLS endpoints: its host is what each replica's certificate has to name.
        """
        self._endpoints = endpoints
        parts = urlsplit(mtls_url)
        self._host = parts.hostname or ""
        self._path = parts.path.rstrip("/")
        self._context: ssl.SSLContext | None = None
        self._session: aiohttp.ClientSession | None = None
        self._outgoing: dict[aiohttp.ClientSession, asyncio.Task[None]] = {}

    def use(self, pair: Pair, roots: str) -> None:
        """Authenticate with this credential from now on, and trust these roots.

        Args:
            pair: The operator's certificate and key.
            roots: PEM.
        """
        context = ssl.create_default_context(cadata=roots)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        _load_pair(context, pair)
        self._context = context
        self._drop_session()

    async def ask(self, client_id: str) -> tuple[Answer, ...]:
        """What each ready replica knows of a client."""
        addresses = self._endpoints.addresses()
        return tuple(await asyncio.gather(*(self._ask_one(address, client_id) for address in addresses)))

    async def ask_trust(self, authority: str) -> tuple[Trusted, ...]:
        """Which root keys of an authority each ready replica trusts."""
        addresses = self._endpoints.addresses()
        return tuple(await asyncio.gather(*(self._ask_trust_of(address, authority) for address in addresses)))

    async def close(self) -> None:
        """Close the connections."""
        sessions = [*self._outgoing, *([self._session] if self._session is not None else [])]
        for closing in self._outgoing.values():
            closing.cancel()
        self._outgoing, self._session = {}, None
        for session in sessions:
            await session.close()

    async def _ask_one(self, address: str, client_id: str) -> Answer:
        found = await self._get(address, f"/register/{quote(client_id, safe='')}")
        return Answer(address, problem=found) if isinstance(found, str) else _read(address, *found)

    async def _ask_trust_of(self, address: str, authority: str) -> Trusted:
        found = await self._get(address, f"/authorities/{quote(authority, safe='')}")
        return Trusted(address, problem=found) if isinstance(found, str) else _read_trust(address, *found)

    async def _get(self, address: str, path: str) -> tuple[int, bytes] | str:
        """Status and body of a replica's answer, or why there is none."""
        if self._context is None:
            return "the operator has no certificate of its own yet"
        url = f"https://{address}{self._path}{path}"
        try:
            async with self._open().get(
                URL(url, encoded=True),
                ssl=self._context,
                server_hostname=self._host,
                headers={"Host": self._host},
                allow_redirects=False,  # what another server says of the client is no answer of this replica
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return f"no answer: {_in_words(error)}"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit_per_host=_CONNECTIONS_PER_REPLICA)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        return self._session

    def _drop_session(self) -> None:
        """New connections for a new credential; requests under way end on the old ones."""
        session, self._session = self._session, None
        if session is not None:
            self._outgoing[session] = asyncio.get_running_loop().create_task(self._close_later(session))

    async def _close_later(self, session: aiohttp.ClientSession) -> None:
        await asyncio.sleep(_TIMEOUT.total or 0)
        await session.close()
        self._outgoing.pop(session, None)


def _read(address: str, status: int, body: bytes) -> Answer:
    if status == 404:
        return Answer(address)
    if status != 200:
        return Answer(address, problem=f"it answered HTTP {status}")
    try:
        known = msgspec.json.decode(body, type=_Registration)
    except msgspec.MsgspecError as error:
        return Answer(address, problem=f"its answer cannot be read: {error}")
    return Answer(
        address,
        uid=known.mintls_uid,
        generation=known.mintls_generation,
        jwks_problem=known.mintls_jwks_problem,
        signing_problem=known.mintls_signing_problem,
    )


def _read_trust(address: str, status: int, body: bytes) -> Trusted:
    if status == 404:
        return Trusted(address)
    if status != 200:
        return Trusted(address, problem=f"it answered HTTP {status}")
    try:
        return Trusted(address, msgspec.json.decode(body, type=_Authority).root_keys)
    except msgspec.MsgspecError as error:
        return Trusted(address, problem=f"its answer cannot be read: {error}")


def _in_words(error: Exception) -> str:
    """What a person can act on: aiohttp shows its TLS context, and the address a second time."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(error).__name__


def _load_pair(context: ssl.SSLContext, pair: Pair) -> None:
    """Python's ssl reads certificate and key from a path only: here that of a file that is in memory alone."""
    descriptor = os.memfd_create("mintls-operator", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pair.tls_key + pair.tls_crt)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
