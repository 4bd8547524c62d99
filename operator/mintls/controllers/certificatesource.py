"""Where certificates come from: a CA whose key is at hand, or one elsewhere that is asked.

::

    SourceError             .violation: why, for programs and for people
    `-- SourceUnavailable   it did not answer, or not now: the same question may be answered later

What a source raises else is ``SigningRefused``. Every failure is tried again with growing waits, a refusal too: whoever
puts it right there cannot tell us.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cryptography import x509

from mintls.controllers.entropy import new_serial
from mintls.core.pki.certificate import CertificateFacts, facts
from mintls.core.pki.keys import PrivateKey, PublicKey
from mintls.core.pki.names import parse_dn
from mintls.core.pki.profiles import EMPTY_NAME, LeafProfile
from mintls.core.pki.signing import CertificateAuthorityKey, sign_leaf
from mintls.reconcile.credential import Violation, Wanted
from mintls.reconcile.reasons import Reason


class SourceError(Exception):
    """There is no certificate. No message has anything of a credential."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.violation = Violation(reason, message)


class SourceUnavailable(SourceError):  # noqa: N818 - reads as the sentence that it stands for
    """The CA elsewhere did not answer, or cannot at present."""


@dataclass(frozen=True, slots=True)
class Order:
    """A leaf that is ordered.

    Attributes:
        wanted: What it has to be.
        not_before: Start of its validity.
        not_after: End of its validity.
        public_key: Whose it is.
        key: The private key; ``None`` where it is elsewhere.
        request: The request that its holder made, PEM; "" where the key is at hand.
    """

    wanted: Wanted
    not_before: datetime
    not_after: datetime
    public_key: PublicKey = field(repr=False)
    key: PrivateKey | None = field(default=None, repr=False)
    request: str = ""


@dataclass(frozen=True, slots=True)
class Signed:
    """A leaf that was signed.

    Attributes:
        leaf: It.
        chain: What to send after it, without the root.
        root_key: Fingerprint of the root that it leads to, if that is not plain; "" for the authority's only one.
    """

    leaf: CertificateFacts
    chain: tuple[x509.Certificate, ...]
    root_key: str = ""


class CertificateSource(Protocol):
    """Signs leaves."""

    async def sign(self, order: Order) -> Signed:
        """Sign a leaf, or have it signed.

        Raises:
            SigningRefused: It must not be signed.
            SourceError: A CA elsewhere did not sign it.
        """


class LocalKey:
    """A CA whose key is in this process."""

    def __init__(self, signer: CertificateAuthorityKey) -> None:
        """Sign with it."""
        self._signer = signer

    async def sign(self, order: Order) -> Signed:
        """Sign a leaf.

        Raises:
            SigningRefused: It must not be signed.
        """
        wanted = order.wanted
        start, end = self._signer.clip(order.not_before, order.not_after)
        profile = LeafProfile(
            subject=parse_dn(wanted.subject.value) if wanted.subject else EMPTY_NAME,
            san=wanted.names,
            usage=wanted.usage,
            not_before=start,
            not_after=end,
            origin=wanted.origin,
        )
        leaf = sign_leaf(profile, order.public_key, self._signer, new_serial())
        return Signed(facts(leaf), self._signer.chain)
