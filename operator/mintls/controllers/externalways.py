"""In which way an authority's CA is asked: the one place where the ways meet."""

from collections.abc import Sequence

from cryptography import x509

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.certificatesource import SourceError
from mintls.controllers.certmanagerway import CertManagerWay
from mintls.controllers.externalauthorities import Way
from mintls.controllers.externalsource import Question
from mintls.controllers.scheduler import Clock
from mintls.controllers.stepcaway import StepCAWay
from mintls.controllers.vaultway import VaultWay
from mintls.controllers.writer import Writer
from mintls.kube.client import ApiClient
from mintls.reconcile.reasons import Reason


class Ways:
    """Makes the way that an authority names."""

    def __init__(self, api: ApiClient, writer: Writer, namespace: str, clock: Clock) -> None:
        """Prepare; ``namespace`` is the operator's."""
        self._api = api
        self._writer = writer
        self._namespace = namespace
        self._clock = clock

    def make(self, authority: CertificateAuthority, roots: Sequence[x509.Certificate]) -> Way:
        """The way of an authority; its schema sees to it that there is exactly one."""
        external = authority.spec.external
        if external is not None and external.step_ca is not None:
            return StepCAWay(external.step_ca, roots, self._api, self._namespace, self._clock)
        if external is not None and external.cert_manager is not None:
            return CertManagerWay(authority, external.cert_manager, self._api, self._writer, self._namespace)
        if external is not None and external.vault is not None:
            return VaultWay(external.vault, roots, self._api, self._namespace, self._clock)
        return NoWay()


class NoWay:
    """An authority that is asked in a way that this version does not know."""

    async def prepare(self) -> str:
        """Say so.

        Raises:
            SourceError: Always.
        """
        raise SourceError(
            Reason.INVALID_SPEC,
            "spec.external names no way to ask the CA that this version of Mintls knows: name one of stepCA, "
            "certManager and vault, or upgrade",
        )

    async def obtain(self, question: Question) -> bytes:
        """As ``prepare``."""
        raise AssertionError(f"{question} is asked of nobody: prepare never succeeds")

    async def close(self) -> None:
        """Nothing is open."""
