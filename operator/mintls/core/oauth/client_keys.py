"""The keys and certificates themselves that prove a client, where they are what is registered and no name is."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from mintls.core.oauth.client_assertion import AssertionKey


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """What proves a client.

    Attributes:
        certificates: Its self-signed certificates (RFC 8705 section 2.2).
        keys: What verifies its assertions (RFC 7523).
        usable_until: When they count no longer unless they are fetched again (aware UTC); ``None`` for those that stand
            in the registration.
    """

    certificates: frozenset[x509.Certificate] = frozenset()
    keys: tuple[AssertionKey, ...] = ()
    usable_until: datetime | None = None

    def usable(self, now: datetime) -> bool:
        """Whether they count now."""
        return self.usable_until is None or now < self.usable_until
