"""CertificateAuthorities whose CA is in somebody else's Secret: read it, keep the key in memory, say how it is."""

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.keyring import Keyring, recorded_root
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import contents_of
from mintls.core.pki.crl import can_sign_lists
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.revocationlist import Signer
from mintls.reconcile.rootrotation import Leaves
from mintls.reconcile.suppliedauthority import Decision, Observed, conclude, decide, fingerprint_of


class LeafObserver(Protocol):
    """Knows which leaves there are."""

    def leaves(self, authority: str, fingerprint: str) -> Leaves:
        """The leaves of an authority, and how many of them are not of the key of that fingerprint."""


class SuppliedAuthorities:
    """Reconciles CertificateAuthorities with a ``secretRef``. Nothing but their status is written."""

    def __init__(
        self,
        *,
        api: ApiClient,
        reporter: Reporter[CertificateAuthority],
        keyring: Keyring,
        leaves: LeafObserver,
        namespace: str,
        clock: Clock,
        on_change: Callable[[str], None],
    ) -> None:
        """Prepare; the arguments are as for ``AuthorityController``."""
        self._api = api
        self._reporter = reporter
        self._keyring = keyring
        self._leaves = leaves
        self._namespace = namespace
        self._clock = clock
        self._on_change = on_change

    async def reconcile(self, authority: CertificateAuthority, secret: str) -> datetime:
        """Look at one authority, whose CA is in the Secret of that name.

        Returns:
            When to look again.

        Raises:
            ApiError: The Secret could not be read, or the status not written.
        """
        name = authority.metadata.name
        contents = await self._read(secret)
        leaves = self._leaves.leaves(name, fingerprint_of(contents))
        seen = Observed(authority, f"{self._namespace}/{secret}", contents, leaves, self._clock())
        decision = decide(seen)
        changed = self._remember(authority, decision)
        conclusion = conclude(seen, decision)
        try:
            await self._reporter.report(authority, conclusion.status, conclusion.announcement)
        finally:
            if changed:
                self._on_change(name)
        return conclusion.look_again

    async def _read(self, secret: str) -> Contents | None:
        with contextlib.suppress(NotFound):
            return contents_of(await self._api.get(SECRETS.item(self._namespace, secret)))
        return None

    def _remember(self, authority: CertificateAuthority, decision: Decision) -> bool:
        if isinstance(decision, Violation):
            return self._keyring.block(authority, decision.message, recorded_root(authority))
        supplied = decision.supplied
        signer = supplied.signer
        # A CA without cRLSign may not sign any; its owner may publish a list of its own.
        lists = ((Signer(signer.certificate), signer.key),) if can_sign_lists(signer.certificate) else ()
        return self._keyring.put(
            authority,
            supplied.root,
            supplied.signer,
            fingerprint=supplied.fingerprint,
            also_trusted=decision.also_trusted,
            list_signers=lists,
        )
