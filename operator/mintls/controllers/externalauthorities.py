"""CertificateAuthorities whose CA runs elsewhere: see whether it can be asked, and say how it is."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.api.v1alpha1.external import External
from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.externalsource import ExternalSource, Requester
from mintls.controllers.keyring import Keyring
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.reconcile.credential import Violation
from mintls.reconcile.externalauthority import (
    Decision,
    Observed,
    Unusable,
    Use,
    conclude,
    first_problem,
    is_blip,
    roots_of,
)


class Way(Requester, Protocol):
    """The way in which the CA of one authority is asked."""

    async def prepare(self) -> str:
        """Make sure that it can be asked, without having anything signed.

        Returns:
            How it is asked, for people.

        Raises:
            SourceError: It cannot; ``SourceUnavailable`` if that may pass by itself.
            ApiError: The Kubernetes API did not say.
        """

    async def close(self) -> None:
        """Close the connections."""


type MakeWay = Callable[[CertificateAuthority, tuple[x509.Certificate, ...]], Way]
"""Makes the way that an authority names; the certificates are its roots."""


@dataclass(slots=True)
class _Known:
    """What is kept of an authority from look to look.

    Attributes:
        external: What it says of its CA.
        roots: By which that is trusted.
        way: Asks it.
        failures: How often in a row it could not be asked.
    """

    external: External | None
    roots: tuple[x509.Certificate, ...]
    way: Way
    failures: int = 0


class ExternalAuthorities:
    """Reconciles CertificateAuthorities with ``external``. It writes their status; what else, is up to the way."""

    def __init__(
        self,
        *,
        make_way: MakeWay,
        reporter: Reporter[CertificateAuthority],
        keyring: Keyring,
        issuer_authority: str,
        clock: Clock,
        on_change: Callable[[str], None],
    ) -> None:
        """Prepare; ``issuer_authority`` signs the issuer's own certificate, the others are as elsewhere."""
        self._make_way = make_way
        self._reporter = reporter
        self._keyring = keyring
        self._issuer_authority = issuer_authority
        self._clock = clock
        self._on_change = on_change
        self._known: dict[str, _Known] = {}

    async def reconcile(self, authority: CertificateAuthority) -> datetime:
        """Look at one authority.

        Returns:
            When to look again.

        Raises:
            ApiError: The Kubernetes API was asked for something, and did not say, or the status was not written.
        """
        name = authority.metadata.name
        roots = roots_of(authority, self._clock())
        if isinstance(roots, Violation):
            await self.forget(name)
            return await self._settle(self._observed(authority), Unusable(roots, passing=False))
        known = await self._known_of(authority, roots)
        seen = self._observed(authority, known.failures)
        decision = await self._decide(seen, known)
        passing = isinstance(decision, Unusable) and decision.passing
        known.failures = known.failures + 1 if passing else 0
        return await self._settle(seen, decision)

    async def forget(self, name: str) -> None:
        """An authority is gone, or has another source."""
        known = self._known.pop(name, None)
        if known is not None:
            await known.way.close()

    async def close(self) -> None:
        """Close all connections."""
        for name in tuple(self._known):
            await self.forget(name)

    def _observed(self, authority: CertificateAuthority, failures: int = 0) -> Observed:
        return Observed(authority, self._issuer_authority, failures, self._clock())

    async def _known_of(self, authority: CertificateAuthority, roots: tuple[x509.Certificate, ...]) -> _Known:
        name, external = authority.metadata.name, authority.spec.external
        known = self._known.get(name)
        if known is not None and (known.external, known.roots) == (external, roots):
            return known
        await self.forget(name)
        known = self._known[name] = _Known(external, roots, self._make_way(authority, roots))
        return known

    async def _decide(self, seen: Observed, known: _Known) -> Decision:
        problem = first_problem(seen)
        if problem is not None:
            return Unusable(problem, passing=False, roots=known.roots)
        try:
            return Use(known.roots, await known.way.prepare())
        except SourceError as error:
            passing = isinstance(error, SourceUnavailable)
            return Unusable(error.violation, passing=passing, roots=known.roots)

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
        source = ExternalSource(known.way, known.roots, self._clock)
        return self._keyring.put_external(seen.authority, known.roots, source, problem)
