"""A CA that is asked over HTTPS. Its server is trusted by given roots, and no other.

Whatever goes wrong becomes a ``SourceError``; what the server answers is quoted, without the secret that it may repeat.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.core.pki.certificate import encode_pem
from mintls.core.quoting import quoted
from mintls.reconcile.reasons import Reason

_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
_CONNECTIONS = 8
_LARGEST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A CA's server, and how people are told of it.

    Attributes:
        name: What it is, such as ``step-ca``.
        url: Where it serves, without a path.
        roots_field: The field with the roots that its server is trusted by.
        url_field: The field with the URL.
        said: Takes the words for a person out of an answer that is JSON; a KeyError or TypeError if it has none.
    """

    name: str
    url: str
    roots_field: str
    url_field: str
    said: Callable[[Any], str]


class HttpsCA:
    """Sends requests to one server."""

    def __init__(self, place: Place, roots: Sequence[x509.Certificate]) -> None:
        """Prepare; its certificate may lead to these roots."""
        self._place = place
        self._context = ssl.create_default_context(cadata=encode_pem(*roots).decode())
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        """HTTP status and body of an answer.

        Raises:
            SourceError: There is none, or not from the CA.
        """
        url = self._place.url
        try:
            async with self._open().request(
                method, f"{url}{path}", ssl=self._context, allow_redirects=False, **more
            ) as response:
                return response.status, await self._body(response)
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._not_trusted(error.certificate_error) from error
        except aiohttp.ClientConnectorSSLError as error:
            raise self._not_trusted(error.os_error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceUnavailable(
                Reason.EXTERNAL_UNREACHABLE,
                f"{self._place.name} at {url} does not answer: {_in_words(error)}. See whether it runs, and whether "
                "the operator may reach it (NetworkPolicy)",
            ) from error

    def read[T](self, body: bytes, type_: type[T]) -> T:
        """An answer as a type.

        Raises:
            SourceError: It is none of that type.
        """
        try:
            return msgspec.json.decode(body, type=type_)
        except msgspec.MsgspecError as error:
            raise SourceError(
                Reason.EXTERNAL_ANSWER_WRONG,
                f"what {self._place.url} answers is not what {self._place.name} answers: {error}",
            ) from error

    def refused(self, status: int, body: bytes, secret: str = "") -> SourceError:
        """What an answer means that is no success; ``secret`` is not repeated."""
        said = self._quoted(body, secret)
        where = f"{self._place.name} at {self._place.url}"
        if status >= 500 or status == 429:
            return SourceUnavailable(Reason.EXTERNAL_UNREACHABLE, f"{where} cannot at present (HTTP {status}): {said}")
        return SourceError(Reason.EXTERNAL_REFUSED, f"{where} refuses (HTTP {status}): {said}")

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                raise SourceError(
                    Reason.EXTERNAL_ANSWER_WRONG,
                    f"what {self._place.url} answers is longer than any answer of {self._place.name}",
                )
        return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        return self._session

    def _not_trusted(self, error: Exception) -> SourceError:
        place = self._place
        return SourceError(
            Reason.EXTERNAL_NOT_TRUSTED,
            f"the server at {place.url} is not trusted: {getattr(error, 'verify_message', '') or _in_words(error)}. "
            f"Put the CA's root into {place.roots_field}, or correct {place.url_field}",
        )

    def _quoted(self, body: bytes, secret: str) -> str:
        try:
            said = self._place.said(msgspec.json.decode(body))
        except (msgspec.MsgspecError, ValueError, KeyError, TypeError):
            said = body.decode(errors="replace")
        return quoted(said, secret)


def common_name(subject: x509.Name, ca: str) -> str:
    """The single common name that a subject consists of.

    Raises:
        SourceError: It does not; ``ca`` is who takes no other subject.
    """
    attributes = list(subject)
    if len(attributes) != 1 or attributes[0].oid != NameOID.COMMON_NAME:
        raise SourceError(
            Reason.EXTERNAL_REFUSED,
            f"the subject {subject.rfc4514_string()!r} cannot be asked of {ca}, which takes a single common name: "
            "register the client by tlsClientAuth.sanURI or sanDNS",
        )
    return str(attributes[0].value)


def _in_words(error: Exception) -> str:
    """What a person can act on: aiohttp shows its TLS context, and the address a second time."""
    if isinstance(error, TimeoutError):
        return "no answer within 10 s"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(error).__name__
