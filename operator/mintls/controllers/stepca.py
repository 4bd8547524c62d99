"""smallstep's step-ca over its HTTPS API. Its server is trusted by the roots that the authority names, and no other."""

import secrets
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from mintls.controllers.certificatesource import SourceUnavailable
from mintls.controllers.externalsource import Question, request_pem
from mintls.controllers.httpsca import HttpsCA, Place, common_name
from mintls.controllers.scheduler import Clock
from mintls.core.pki.provisioner import Grant, Provisioner, sign_token
from mintls.reconcile.reasons import Reason
from mintls.reconcile.stepca import Listed

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
        self._server = HttpsCA(
            Place(
                name="step-ca",
                url=self._url,
                roots_field="spec.external.caBundle",
                url_field="spec.external.stepCA.url",
                said=lambda answer: str(answer["message"]),
            ),
            roots,
        )
        self._root = roots[0].fingerprint(hashes.SHA256()).hex()
        self._clock = clock
        self._provisioner: Provisioner | None = None

    def use(self, provisioner: Provisioner) -> None:
        """Ask as this provisioner from now on."""
        self._provisioner = provisioner

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def provisioners(self) -> tuple[Listed, ...]:
        """The provisioners that it has.

        Raises:
            SourceError: It does not say.
        """
        found: list[Listed] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            status, body = await self._server.ask("GET", "/provisioners", params={"limit": "100", "cursor": cursor})
            if status != 200:
                raise self._server.refused(status, body)
            page = self._server.read(body, _Listing)
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
            subject=common_name(question.subject, "step-ca"),
            names=tuple(name.value for name in question.names),
            request=question.request.public_bytes(Encoding.DER),
            root=self._root,
        )
        token = sign_token(self._provisioner, grant, identifier=secrets.token_hex(32), now=self._clock())
        # A duration, not a time: its clock may be another than ours.
        seconds = f"{int(question.duration.total_seconds())}s"
        asked = {"csr": request_pem(question.request), "ott": token, "notAfter": seconds}
        status, body = await self._server.ask("POST", "/1.0/sign", json=asked)
        if status not in {200, 201}:
            raise self._server.refused(status, body, token)
        signed = self._server.read(body, _Signed)
        return "".join(signed.chain or (signed.crt, signed.ca)).encode()
