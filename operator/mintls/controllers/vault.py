"""HashiCorp Vault's PKI secrets engine over its HTTPS API, which OpenBao's is, too.

Source: Vault's API documentation, "PKI secrets engine", "Kubernetes auth method" and ``/sys/capabilities-self``.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography import x509

from mintls.api.v1alpha1.vault import Vault as VaultSpec
from mintls.controllers.certificatesource import SourceError
from mintls.controllers.externalsource import Question, request_pem
from mintls.controllers.httpsca import HttpsCA, Place, common_name
from mintls.core.pki.names import SubjectKind
from mintls.reconcile.reasons import Reason

_FORBIDDEN = 403


class Denied(SourceError):  # noqa: N818 - reads as the sentence that it stands for
    """The token is none, has ended, or may not do this."""


class _Authentication(msgspec.Struct, frozen=True):
    token: str = msgspec.field(name="client_token")
    seconds: int = msgspec.field(name="lease_duration", default=0)


class _LoggedIn(msgspec.Struct, frozen=True):
    auth: _Authentication


class _Rights(msgspec.Struct, frozen=True):
    capabilities: tuple[str, ...] = ()


class _MaySign(msgspec.Struct, frozen=True):
    data: _Rights


class _Certificate(msgspec.Struct, frozen=True):
    certificate: str
    issuing_ca: str = ""
    ca_chain: tuple[str, ...] | None = None


class _Signed(msgspec.Struct, frozen=True):
    data: _Certificate


class Vault:
    """One role of one mount of one Vault."""

    def __init__(self, spec: VaultSpec, roots: Sequence[x509.Certificate]) -> None:
        """Prepare; its server's certificate may lead to these roots."""
        self._path = f"{spec.mount}/sign/{spec.role}"
        self._server = HttpsCA(
            Place(
                name="Vault",
                url=spec.url.rstrip("/"),
                roots_field="spec.external.vault.caBundle",
                url_field="spec.external.vault.url",
                said=lambda answer: "; ".join(map(str, answer["errors"])),
            ),
            roots,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def log_in(self, mount: str, role: str, jwt: str) -> tuple[str, int]:
        """A token for that of a service account, and how many seconds it lives; 0 for ever.

        Raises:
            SourceError: There is none.
        """
        asked = {"role": role, "jwt": jwt}
        status, body = await self._server.ask("POST", f"/v1/auth/{mount}/login", json=asked)
        if status != 200:
            raise self._server.refused(status, body, jwt)
        authentication = self._server.read(body, _LoggedIn).auth
        return authentication.token, authentication.seconds

    async def see_rights(self, token: str) -> None:
        """Make sure that a token may have requests signed, without having one signed.

        Raises:
            SourceError: It may not, or Vault does not say.
        """
        body = await self._call("/v1/sys/capabilities-self", {"path": self._path}, token)
        if not {"update", "root"} & set(self._server.read(body, _MaySign).data.capabilities):
            raise SourceError(
                Reason.EXTERNAL_REFUSED,
                f'Vault lets its token not have requests signed: give it the capability "update" on {self._path}',
            )

    async def sign(self, question: Question, token: str) -> bytes:
        """Have a request signed (``POST /<mount>/sign/<role>``).

        Raises:
            Denied: The token has ended, or may not.
            SourceError: There is no certificate.
        """

        def of(*kinds: SubjectKind) -> list[str]:
            return [name.value for name in question.names if name.kind in kinds]

        asked = {
            "csr": request_pem(question.request),
            "common_name": common_name(question.subject, "Vault"),
            # A common name that looks like a host would be made an alternative name.
            "exclude_cn_from_sans": True,
            # The one field that takes no list.
            "alt_names": ",".join(of(SubjectKind.SAN_DNS, SubjectKind.SAN_EMAIL)),
            "ip_sans": of(SubjectKind.SAN_IP),
            "uri_sans": of(SubjectKind.SAN_URI),
            "ttl": f"{int(question.duration.total_seconds())}s",
            "format": "pem",
        }
        signed = self._server.read(await self._call(f"/v1/{self._path}", asked, token), _Signed).data
        return "\n".join((signed.certificate, *(signed.ca_chain or (signed.issuing_ca,)))).encode()

    async def _call(self, path: str, asked: dict[str, Any], token: str) -> bytes:
        status, body = await self._server.ask("POST", path, json=asked, headers={"X-Vault-Token": token})
        if status == _FORBIDDEN:
            error = self._server.refused(status, body, token)
            raise Denied(error.violation.reason, error.violation.message)
        if status != 200:
            raise self._server.refused(status, body, token)
        return body
