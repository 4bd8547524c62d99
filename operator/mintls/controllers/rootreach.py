"""How far the next root of an authority has come, and which root the leaves of an authority are of: as observed."""

from collections.abc import Callable, Iterator
from datetime import datetime

from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers.certificateindex import CertificateIndex
from mintls.controllers.issuers import IssuerReplicas, Trusted
from mintls.controllers.keyring import Keyring
from mintls.controllers.objects import ObjectStore
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import SecretViews
from mintls.core.durations import DurationError, parse_duration
from mintls.reconcile.credential import BUNDLE_DIGEST, ROOT_KEY, SecretView, bundle_digest
from mintls.reconcile.rootrotation import Leaves, Reach


class RootReach:
    """Looks at Secrets, trust bundles and issuer replicas."""

    def __init__(
        self,
        *,
        certificates: ObjectStore[ClientCertificate],
        index: CertificateIndex,
        secrets: SecretViews,
        keyring: Keyring,
        bundles_behind: Callable[[], int],
        replicas: IssuerReplicas,
        issuer_authority: str,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            certificates: The ClientCertificates.
            index: Which of them name an authority.
            secrets: Our Secrets by their metadata.
            keyring: What every ``ca.crt`` has to hold.
            bundles_behind: In how many namespaces the trust bundle is not as it should be.
            replicas: The issuer's replicas.
            issuer_authority: The authority whose roots are in every ``ca.crt``.
            clock: The time.
        """
        self._certificates = certificates
        self._index = index
        self._secrets = secrets
        self._keyring = keyring
        self._bundles_behind = bundles_behind
        self._replicas = replicas
        self._issuer_authority = issuer_authority
        self._clock = clock

    def leaves(self, authority: str, fingerprint: str) -> Leaves:
        """The leaves of an authority, whose active root has the key of that fingerprint."""
        now, total, others, ends = self._clock(), 0, 0, list[datetime]()
        for certificate, secret in self._with_secrets(authority):
            end = certificate.status.not_after
            if end is not None and end <= now:
                continue
            total += 1
            others += secret.annotations.get(ROOT_KEY) != fingerprint
            ends += [end] if end is not None else []
            # One that is being issued at this moment is not in the status yet.
            ends += _latest(certificate, now)
        return Leaves(total, others, max(ends, default=None))

    async def reach(self, authority: str, fingerprint: str) -> Reach:
        """How far the root with the key of that fingerprint has come, which is an authority's next."""
        expected: dict[str, str] = {}
        total = behind = 0
        for certificate, secret in self._with_secrets(None if authority == self._issuer_authority else authority):
            name = certificate.spec.authority_ref.name
            if name not in expected:
                expected[name] = bundle_digest(self._keyring.bundle(name, self._issuer_authority))
            total += 1
            behind += secret.annotations.get(BUNDLE_DIGEST) != expected[name]
        answers = await self._replicas.ask_trust(authority)
        lacking = tuple(_told(answer) for answer in answers if fingerprint not in answer.root_keys)
        return Reach(total, behind, self._bundles_behind(), len(answers), lacking)

    def _with_secrets(self, authority: str | None) -> Iterator[tuple[ClientCertificate, SecretView]]:
        """The ClientCertificates of an authority, or of all, that have a Secret of their own."""
        keys = self._index.of_authority(authority) if authority else self._index.of_all_authorities()
        for key in keys:
            certificate = self._certificates.get(key)
            secret = self._secrets.get((key[0], certificate.spec.secret_name)) if certificate else None
            if certificate and secret and secret.controller == certificate.metadata.uid:
                yield certificate, secret


def _latest(certificate: ClientCertificate, now: datetime) -> list[datetime]:
    try:
        return [now + parse_duration(certificate.spec.duration)]
    except DurationError:
        return []


def _told(answer: Trusted) -> str:
    return f"{answer.replica} {answer.problem or 'does not know it'}"
