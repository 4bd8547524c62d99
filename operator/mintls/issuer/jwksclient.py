"""Fetches JWK Sets from URLs that users of the cluster chose.

::

    FetchFailed   there is no document; the message says why, in words for the client's owner

The URL is whatever somebody wrote into an object, so nothing is given away and little is believed: https with the
server's name verified, no credential, no cookie, no proxy, no redirect, no compression, few octets, little time. Where
a connection goes is looked at when its socket is made, at the very address that it is made to: a name that led
elsewhere when it was looked up before, or a second address behind it, changes nothing.
"""

import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import aiohttp

from mintls.core.oauth.internal_addresses import is_internal
from mintls.core.oauth.jwks_uri import LARGEST

_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)
_HEADERS = {
    "Accept": "application/jwk-set+json, application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "mintls-issuer",
}


class FetchFailed(Exception):  # noqa: N818 - reads as the sentence that it stands for
    """There is no document."""


class _InternalAddressError(OSError):
    """A socket to an internal address is not made."""


@dataclass(frozen=True, slots=True)
class Document:
    """What came back.

    Attributes:
        body: The document; ``None`` if it is still the one of the ``ETag`` that was sent.
        etag: ``ETag``, "" for none.
        cache_control: The lines of ``Cache-Control``.
        age: ``Age``, ``None`` without.
    """

    body: bytes | None
    etag: str
    cache_control: tuple[str, ...]
    age: str | None


class JwksClient:
    """Fetches documents, each over a connection of its own."""

    def __init__(self, *, allow_internal: bool = False, ca_file: str = "") -> None:
        """Prepare.

        Args:
            allow_internal: Whether internal addresses may be asked, too.
            ca_file: PEM of CAs that are trusted beside the system's; "" for none. Read once.
        """
        self._allow_internal = allow_internal
        self._ca_file = ca_file

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._ca_file:
            context.load_verify_locations(self._ca_file)
        return context

    async def fetch(self, url: str, etag: str = "") -> Document:
        """The document at a URL.

        Args:
            url: https; checked by ``mintls.core.oauth.jwks_uri``.
            etag: ``ETag`` of the document that is known, "" for none.

        Raises:
            FetchFailed: There is none.
        """
        refused: list[str] = []
        headers = _HEADERS | ({"If-None-Match": etag} if etag else {})
        try:
            async with (
                self._session(refused) as session,
                session.get(url, headers=headers, allow_redirects=False) as response,
            ):
                return await _read(response, known=bool(etag))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise FetchFailed(_in_words(error, refused)) from error

    def _session(self, refused: list[str]) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            force_close=True,
            use_dns_cache=False,
            socket_factory=lambda info: self._socket(info, refused),
        )
        return aiohttp.ClientSession(
            connector=connector, timeout=_TIMEOUT, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    def _socket(self, info: Any, refused: list[str]) -> socket.socket:
        """A socket for one address of the server's (``getaddrinfo``'s five), which is then connected to."""
        family, kind, protocol, _, address = info
        if not self._allow_internal and is_internal(str(address[0])):
            refused.append(str(address[0]))
            raise _InternalAddressError("an internal address")
        return socket.socket(family, kind, protocol)


async def _read(response: aiohttp.ClientResponse, *, known: bool) -> Document:
    """The answer, if it is one that may be used.

    Raises:
        FetchFailed: It is not.
    """
    body: bytes | None = None
    if response.status != 304 or not known:
        _check(response.status, response.headers)
        body = await _whole(response)
    return Document(
        body=body,
        etag=response.headers.get("ETag", ""),
        cache_control=tuple(response.headers.getall("Cache-Control", ())),
        age=response.headers.get("Age"),
    )


def _check(status: int, headers: Mapping[str, str]) -> None:
    if 300 <= status < 400:
        raise FetchFailed(f"the server answered HTTP {status}, a redirect: register the URL that it leads to")
    if status != 200:
        raise FetchFailed(f"the server answered HTTP {status}")
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise FetchFailed("the server compressed its answer although it was asked not to")


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(LARGEST):
        body += chunk
        if len(body) > LARGEST:
            raise FetchFailed(f"the document is longer than {LARGEST} octets")
    return bytes(body)


_WORDS: Sequence[tuple[tuple[type[Exception], ...], str]] = (
    (
        (aiohttp.ClientConnectorCertificateError,),
        "the server's certificate is not of a CA that the issuer trusts for this, or not of this name",
    ),
    ((aiohttp.ClientConnectorDNSError,), "the name of the server cannot be resolved"),
    ((aiohttp.ClientSSLError,), "TLS failed"),
    ((TimeoutError,), f"there was no whole answer within {_TIMEOUT.total:.0f} s"),
    ((aiohttp.ClientConnectionError, OSError), "there is no connection to the server"),
)


def _in_words(error: Exception, refused: list[str]) -> str:
    """In words that tell the client's owner what to do, and nothing of the network here."""
    if refused:
        return "the server has an internal address, which the issuer does not ask"
    told = (words for kinds, words in _WORDS if isinstance(error, kinds))
    return next(told, f"the server's answer cannot be read ({type(error).__name__})")
