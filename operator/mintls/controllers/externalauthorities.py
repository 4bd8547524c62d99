"""CertificateAuthorities whose CA runs elsewhere: read its credential, see whether it answers, say how it is."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.externalsource import ExternalSource
from mintls.controllers.keyring import Keyring
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import contents_of
from mintls.controllers.stepca import StepCA
from mintls.core.pki.provisioner import Provisioner
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.externalauthority import (
    Decision,
    Listed,
    Observed,
    Unusable,
    Use,
    conclude,
    first_problem,
    is_blip,
    provisioner_of,
    roots_of,
)


@dataclass(slots=True)
class _Known:
    """What is kept of an authority from look to look.

    Attributes:
        url: Where its CA is.
        roots: By which its server is trusted.
        client: Asks it.
        failures: How often in a row it could not be asked.
        opened_from: What the provisioner's key was had from: decrypting it again each minute would be a waste.
        provisioner: What came of that.
    """

    url: str
    roots: tuple[x509.Certificate, ...]
    client: StepCA
    failures: int = 0
    opened_from: tuple[Listed | None, Contents | None, str] | None = field(default=None, repr=False)
    provisioner: Provisioner | Violation | None = field(default=None, repr=False)


class ExternalAuthorities:
    """Reconciles CertificateAuthorities with ``external``. Nothing but their status is written."""

    def __init__(
        self,
        *,
        api: ApiClient,
        reporter: Reporter[CertificateAuthority],
        keyring: Keyring,
        issuer_authority: str,
        namespace: str,
        clock: Clock,
        on_change: Callable[[str], None],
    ) -> None:
        """Prepare; ``issuer_authority`` signs the issuer's own certificate, the others are as elsewhere."""
        self._api = api
        self._reporter = reporter
        self._keyring = keyring
        self._issuer_authority = issuer_authority
        self._namespace = namespace
        self._clock = clock
        self._on_change = on_change
        self._known: dict[str, _Known] = {}

    async def reconcile(self, authority: CertificateAuthority) -> datetime:
        """Look at one authority.

        Returns:
            When to look again.

        Raises:
            ApiError: The Secret could not be read, or the status not written.
        """
        name = authority.metadata.name
        roots = roots_of(authority, self._clock())
        if isinstance(roots, Violation):
            await self.forget(name)
            return await self._settle(self._observed(authority, None), Unusable(roots, passing=False))
        known = await self._known_of(authority, roots)
        seen = self._observed(authority, await self._read(authority), known.failures)
        decision = await self._decide(seen, known)
        passing = isinstance(decision, Unusable) and decision.passing
        known.failures = known.failures + 1 if passing else 0
        return await self._settle(seen, decision)

    async def forget(self, name: str) -> None:
        """An authority is gone, or has another source."""
        known = self._known.pop(name, None)
        if known is not None:
            await known.client.close()

    async def close(self) -> None:
        """Close all connections."""
        for name in tuple(self._known):
            await self.forget(name)

    def _observed(self, authority: CertificateAuthority, contents: Contents | None, failures: int = 0) -> Observed:
        external = authority.spec.external
        secret = external.step_ca.provisioner.secret_ref.name if external else ""
        return Observed(
            authority, self._issuer_authority, f"{self._namespace}/{secret}", contents, failures, self._clock()
        )

    async def _read(self, authority: CertificateAuthority) -> Contents | None:
        external = authority.spec.external
        if external is None:
            return None
        name = external.step_ca.provisioner.secret_ref.name
        with contextlib.suppress(NotFound):
            return contents_of(await self._api.get(SECRETS.item(self._namespace, name)))
        return None

    async def _known_of(self, authority: CertificateAuthority, roots: tuple[x509.Certificate, ...]) -> _Known:
        name, external = authority.metadata.name, authority.spec.external
        url = external.step_ca.url if external else ""
        known = self._known.get(name)
        if known is not None and (known.url, known.roots) == (url, roots):
            return known
        await self.forget(name)
        known = self._known[name] = _Known(url, roots, StepCA(url, roots, self._clock))
        return known

    async def _decide(self, seen: Observed, known: _Known) -> Decision:
        problem = first_problem(seen)
        if problem is not None:
            return Unusable(problem, passing=False, roots=known.roots)
        try:
            listing = await known.client.provisioners()
        except SourceError as error:
            passing = isinstance(error, SourceUnavailable)
            return Unusable(error.violation, passing=passing, roots=known.roots)
        provisioner = await self._open(seen, known, listing)
        if isinstance(provisioner, Violation):
            return Unusable(provisioner, passing=False, roots=known.roots)
        known.client.use(provisioner)
        return Use(known.roots)

    async def _open(self, seen: Observed, known: _Known, listing: tuple[Listed, ...]) -> Provisioner | Violation:
        name = seen.external.step_ca.provisioner.name
        listed = next((one for one in listing if one.name == name), None)
        opened_from = (listed, seen.contents, seen.secret)
        if known.provisioner is None or known.opened_from != opened_from:
            known.provisioner = await asyncio.to_thread(provisioner_of, seen, listing)
            known.opened_from = opened_from
        return known.provisioner

    async def _settle(self, seen: Observed, decision: Decision) -> datetime:
        name = seen.authority.metadata.name
        changed = self._remember(seen, decision)
        conclusion = conclude(seen, decision)
        try:
            await self._reporter.report(seen.authority, conclusion.status, conclusion.announcement)
        finally:
            if changed:
                self._on_change(name)
        return conclusion.look_again

    def _remember(self, seen: Observed, decision: Decision) -> bool:
        name = seen.authority.metadata.name
        known = self._known.get(name)
        if known is None or not decision.roots:
            problem = decision.violation.message if isinstance(decision, Unusable) else ""
            return self._keyring.block(seen.authority, problem, None)
        if isinstance(decision, Unusable) and is_blip(seen, decision) and self._keyring.view(name) is not None:
            return False
        problem = decision.violation.message if isinstance(decision, Unusable) else ""
        source = ExternalSource(known.client, known.roots, self._clock)
        return self._keyring.put_external(seen.authority, known.roots, source, problem)
