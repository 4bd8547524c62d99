"""The way to a Vault: its token out of a Secret, or for a service account's; the question over HTTPS."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from cryptography import x509

from mintls.api.v1alpha1.vault import KubernetesLogin
from mintls.api.v1alpha1.vault import Vault as VaultSpec
from mintls.controllers.certificatesource import SourceError
from mintls.controllers.externalsource import Question
from mintls.controllers.refusals import violation_of
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import contents_of
from mintls.controllers.vault import Denied, Vault
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError, Forbidden, NotFound
from mintls.kube.paths import SECRETS, SERVICE_ACCOUNTS
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.vault import server_roots, token_of

_SHORTEST = 600
"""The API server gives a token for no shorter time, in seconds."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until: datetime


class VaultWay:
    """Asks one role of one Vault."""

    def __init__(
        self, spec: VaultSpec, roots: Sequence[x509.Certificate], api: ApiClient, namespace: str, clock: Clock
    ) -> None:
        """Prepare; Secret and service account are in ``namespace``."""
        self._spec = spec
        self._api = api
        self._namespace = namespace
        self._clock = clock
        trusted = server_roots(spec, roots)
        self._problem = trusted if isinstance(trusted, Violation) else None
        self._client = Vault(spec, roots if isinstance(trusted, Violation) else trusted)
        self._token: _Token | None = None

    async def prepare(self) -> str:
        """See whether Vault answers, knows who asks, and lets a token have requests signed.

        Raises:
            SourceError: It cannot be asked.
            ApiError: The API server did not say.
        """
        if self._problem is not None:
            raise SourceError(self._problem.reason, self._problem.message)
        await self._asked(self._client.see_rights)
        return f"asks Vault at {self._spec.url} for certificates of {self._spec.mount}/sign/{self._spec.role}"

    async def obtain(self, question: Question) -> bytes:
        """Have a request signed.

        Raises:
            SourceError: There is no certificate.
        """
        try:
            return await self._asked(partial(self._client.sign, question))
        except ApiError as error:
            violation = violation_of(error, "no token for Vault was had")
            raise SourceError(violation.reason, violation.message) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _asked[T](self, ask: Callable[[str], Awaitable[T]]) -> T:
        """The answer to who shows the token; once more with another one where it is refused."""
        try:
            return await ask(await self._current_token())
        except Denied:
            # It may have been revoked, or another one be in the Secret by now.
            self._token = None
            return await ask(await self._current_token())

    async def _current_token(self) -> str:
        if self._token is None or self._clock() >= self._token.until:
            login = self._spec.auth.kubernetes
            self._token = await self._log_in(login) if login else await self._read()
        return self._token.value

    async def _read(self) -> _Token:
        reference = self._spec.auth.token_secret_ref
        if reference is None:
            raise SourceError(Reason.INVALID_SPEC, "spec.external.vault.auth has neither kubernetes nor tokenSecretRef")
        contents = None
        with contextlib.suppress(NotFound):
            contents = contents_of(await self._api.get(SECRETS.item(self._namespace, reference.name)))
        token = token_of(f"{self._namespace}/{reference.name}", contents)
        if isinstance(token, Violation):
            raise SourceError(token.reason, token.message)
        return _Token(token, self._clock())  # read anew for each question: nobody says how long it is good

    async def _log_in(self, login: KubernetesLogin) -> _Token:
        """Show Vault a token of the service account that is good for Vault alone."""
        path = f"{SERVICE_ACCOUNTS.item(self._namespace, login.service_account)}/token"
        spec = {"audiences": [login.audience], "expirationSeconds": _SHORTEST}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            made = await self._api.create(path, body)
        except (Forbidden, NotFound) as error:
            violation = violation_of(error, f"service account {login.service_account} was given no token for Vault")
            raise SourceError(violation.reason, violation.message) from error
        begun = self._clock()
        value, seconds = await self._client.log_in(login.mount, login.role, made["status"]["token"])
        # Another one before the end, so that none ends between here and there. One without end is asked anew as well.
        return _Token(value, begun + timedelta(seconds=(seconds or _SHORTEST) * 2 // 3))
