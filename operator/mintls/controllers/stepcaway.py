"""The way to a step-ca: the provisioner's key out of a Secret, the question over HTTPS."""

import asyncio
import contextlib
from collections.abc import Sequence

from cryptography import x509

from mintls.api.v1alpha1.external import StepCA as StepCASpec
from mintls.controllers.certificatesource import SourceError
from mintls.controllers.externalsource import Question
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import contents_of
from mintls.controllers.stepca import StepCA
from mintls.core.pki.provisioner import Provisioner
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile.credential import Violation
from mintls.reconcile.stepca import Credential, Listed, credential_problem, provisioner_of


class StepCAWay:
    """Asks one step-ca as the provisioner that an authority names."""

    def __init__(
        self, spec: StepCASpec, roots: Sequence[x509.Certificate], api: ApiClient, namespace: str, clock: Clock
    ) -> None:
        """Prepare; the Secret with the credential is in ``namespace``."""
        self._spec = spec
        self._api = api
        self._namespace = namespace
        self._client = StepCA(spec.url, roots, clock)
        # Decrypting the key again each minute would be a waste.
        self._opened_from: tuple[Listed | None, Credential] | None = None
        self._opened: Provisioner | Violation | None = None

    async def prepare(self) -> str:
        """See whether it answers, and has the provisioner.

        Raises:
            SourceError: It cannot be asked.
            ApiError: The Secret could not be read.
        """
        seen = await self._read()
        problem = credential_problem(seen)
        if problem is None:
            opened = await self._open(seen, await self._client.provisioners())
            if isinstance(opened, Provisioner):
                self._client.use(opened)
                return f'asks step-ca at {self._spec.url} as provisioner "{self._spec.provisioner.name}"'
            problem = opened
        raise SourceError(problem.reason, problem.message)

    async def obtain(self, question: Question) -> bytes:
        """Have a request signed.

        Raises:
            SourceError: There is no certificate.
        """
        return await self._client.obtain(question)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _read(self) -> Credential:
        name = self._spec.provisioner.secret_ref.name
        contents = None
        with contextlib.suppress(NotFound):
            contents = contents_of(await self._api.get(SECRETS.item(self._namespace, name)))
        return Credential(f"{self._namespace}/{name}", contents)

    async def _open(self, seen: Credential, listing: Sequence[Listed]) -> Provisioner | Violation:
        name = self._spec.provisioner.name
        opened_from = (next((one for one in listing if one.name == name), None), seen)
        if self._opened is None or self._opened_from != opened_from:
            self._opened = await asyncio.to_thread(provisioner_of, name, seen, listing)
            self._opened_from = opened_from
        return self._opened
