"""smallstep's step-ca over its HTTPS API. Its server is trusted by the roots that the authority names, and no other.

Whatever goes wrong becomes a ``SourceError``; what step-ca answers is quoted, without the token that it may repeat.
"""

import json
import secrets
import ssl
from collections.abc import Sequence
from typing import Any

import aiohttp
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.externalsource import Question, request_pem
from mintls.controllers.scheduler import Clock
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.provisioner import Grant, Provisioner, sign_token
from mintls.core.quoting import quoted
from mintls.reconcile.reasons import Reason
from mintls.reconcile.stepca import Listed

_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
_CONNECTIONS = 8
_LARGEST_ANSWER = 1 << 20
_MOST_PAGES = 100


class _Listing(msgspec.Struct, frozen=True):
    provisioners: tuple[dict[str, Any], ...] = ()
    next_cursor: str = msgspec.field(name="nextCursor", default="")


class _Signed(msgspec.Struct, frozen=True):
    """The members of its answer to a request that are looked at."""

    crt: str
    ca: str = ""
    chain: tuple[str, ...] = msgspec.field(name="certChain", default=())


class StepCA:
    """One step-ca."""

    def __init__(self, url: str, roots: Sequence[x509.Certificate], clock: Clock) -> None:
        """Prepare.

        Args:
            url: Where it serves, without a path.
            roots: The roots that its server's certificate may lead to.
            clock: The time.
        """
        self._url = url.rstrip("/")
        self._root = roots[0].fingerprint(hashes.SHA256()).hex()
        self._clock = clock
        self._provisioner: Provisioner | None = None
        self._context = ssl.create_default_context(cadata=encode_pem(*roots).decode())
        self._session: aiohttp.ClientSession | None = None

    def use(self, provisioner: Provisioner) -> None:
        """Ask as this provisioner from now on."""
        self._provisioner = provisioner

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def provisioners(self) -> tuple[Listed, ...]:
        """The provisioners that it has.

        Raises:
            SourceError: It does not say.
        """
        found: list[Listed] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            status, body = await self._ask("GET", "/provisioners", params={"limit": "100", "cursor": cursor})
            if status != 200:
                raise self._refused(status, body, "")
            page = self._read(body, _Listing)
            found += [Listed.of(members) for members in page.provisioners]
            cursor = page.next_cursor
            if not cursor:
                break
        return tuple(found)

    async def obtain(self, question: Question) -> bytes:
        """Have a request signed (``POST /1.0/sign``).

        Raises:
            SourceError: There is no certificate.
        """
        if self._provisioner is None:
            raise SourceUnavailable(Reason.EXTERNAL_REFUSED, "there is no provisioner to ask as yet")
        grant = Grant(
            audience=f"{self._url}/1.0/sign",
            subject=_common_name(question.subject),
            names=tuple(name.value for name in question.names),
            request=question.request.public_bytes(Encoding.DER),
            root=self._root,
        )
        token = sign_token(self._provisioner, grant, identifier=secrets.token_hex(32), now=self._clock())
        # A duration, not a time: its clock may be another than ours.
        seconds = f"{int(question.duration.total_seconds())}s"
        asked = {"csr": request_pem(question.request), "ott": token, "notAfter": seconds}
        status, body = await self._ask("POST", "/1.0/sign", json=asked)
        if status not in {200, 201}:
            raise self._refused(status, body, token)
        signed = self._read(body, _Signed)
        return "".join(signed.chain or (signed.crt, signed.ca)).encode()

    async def _ask(self, method: str, path: str, **more: Any) -> tuple[int, bytes]:
        try:
            async with self._open().request(
                method, f"{self._url}{path}", ssl=self._context, allow_redirects=False, **more
            ) as response:
                return response.status, await self._body(response)
        except aiohttp.ClientConnectorCertificateError as error:
            raise self._not_trusted(error.certificate_error) from error
        except aiohttp.ClientConnectorSSLError as error:
            raise self._not_trusted(error.os_error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SourceUnavailable(
                Reason.EXTERNAL_UNREACHABLE,
                f"step-ca at {self._url} does not answer: {_in_words(error)}. See whether it runs, and whether the "
                "operator may reach it (NetworkPolicy)",
            ) from error

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _LARGEST_ANSWER:
                raise SourceError(
                    Reason.EXTERNAL_ANSWER_WRONG, f"what {self._url} answers is longer than any answer of step-ca"
                )
        return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        return self._session

    def _read[T](self, body: bytes, type_: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=type_)
        except msgspec.MsgspecError as error:
            raise SourceError(
                Reason.EXTERNAL_ANSWER_WRONG, f"what {self._url} answers is not what step-ca answers: {error}"
            ) from error

    def _not_trusted(self, error: Exception) -> SourceError:
        return SourceError(
            Reason.EXTERNAL_NOT_TRUSTED,
            f"the server at {self._url} is not trusted: {getattr(error, 'verify_message', '') or _in_words(error)}. "
            "Put the CA's root into spec.external.caBundle, or correct spec.external.stepCA.url",
        )

    def _refused(self, status: int, body: bytes, token: str) -> SourceError:
        said = _quoted(body, token)
        if status >= 500 or status == 429:
            return SourceUnavailable(
                Reason.EXTERNAL_UNREACHABLE, f"step-ca at {self._url} cannot at present (HTTP {status}): {said}"
            )
        return SourceError(Reason.EXTERNAL_REFUSED, f"step-ca at {self._url} refuses (HTTP {status}): {said}")


def _common_name(subject: x509.Name) -> str:
    attributes = list(subject)
    if len(attributes) != 1 or attributes[0].oid != NameOID.COMMON_NAME:
        raise SourceError(
            Reason.EXTERNAL_REFUSED,
            f"the subject {subject.rfc4514_string()!r} cannot be asked of step-ca, which takes a single common name: "
            "register the client by tlsClientAuth.sanURI or sanDNS",
        )
    return str(attributes[0].value)


def _quoted(body: bytes, token: str) -> str:
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        said = body.decode(errors="replace")
    return quoted(said, token)


def _in_words(error: Exception) -> str:
    """What a person can act on: aiohttp shows its TLS context, and the address a second time."""
    if isinstance(error, TimeoutError):
        return "no answer within 10 s"
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return getattr(cause, "strerror", None) or str(cause) or type(error).__name__
