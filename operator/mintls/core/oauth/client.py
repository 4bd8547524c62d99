"""A registered client with everything made ready that its requests need again and again."""

from dataclasses import dataclass
from datetime import datetime

from mintls.core.oauth.client_keys import ClientKeys
from mintls.core.oauth.registration import Registration
from mintls.core.pki.names import InvalidName, NormalizedName, normalize


@dataclass(frozen=True, slots=True)
class Client:
    """A registration prepared for requests.

    Attributes:
        registration: The registration in effect.
        name: The name that its certificate has to carry, ready to compare; ``None`` if no certificate can carry it.
        keys: The keys and certificates that prove it; ``None`` while those at its URL have never been fetched.
        scopes: Scopes that it may ask for.
        default_scope: ``scope`` of a token when none is asked for, "" for none.
        audiences: Resources that its tokens may be for.
        default_audience: ``aud`` of a token when no resource is asked for.
        lifetime: Lifetime of its tokens in seconds.
    """

    registration: Registration
    name: NormalizedName | None
    keys: ClientKeys | None
    scopes: frozenset[str]
    default_scope: str
    audiences: frozenset[str]
    default_audience: str | tuple[str, ...]
    lifetime: int

    def keys_at(self, now: datetime) -> ClientKeys | None:
        """The keys and certificates that prove it now; ``None`` if they are elsewhere and nobody knows them."""
        return self.keys if self.keys is not None and self.keys.usable(now) else None


def prepare(registration: Registration, issuer: str, fetched: ClientKeys | None = None) -> Client:
    """Make a registration ready.

    Args:
        registration: The registration in effect.
        issuer: The issuer's identifier: what tokens of a client without audiences are for.
        fetched: What was at its ``jwks_uri``; ``None`` before it came, and for all that have none.
    """
    audiences = registration.audiences or (issuer,)
    return Client(
        registration=registration,
        name=_comparable(registration),
        keys=fetched if registration.jwks_uri else _stated(registration),
        scopes=frozenset(registration.scopes),
        default_scope=" ".join(registration.default_scopes),
        audiences=frozenset(audiences),
        default_audience=audience_claim(audiences),
        lifetime=int(registration.access_token_lifetime.total_seconds()),
    )


def audience_claim(audiences: tuple[str, ...]) -> str | tuple[str, ...]:
    """``aud``: a string for one audience, else an array (RFC 7519 section 4.1.3)."""
    return audiences[0] if len(audiences) == 1 else audiences


def _stated(registration: Registration) -> ClientKeys:
    return ClientKeys(frozenset(registration.certificates), registration.keys)


def _comparable(registration: Registration) -> NormalizedName | None:
    if registration.subject is None:
        return None
    try:
        return normalize(registration.subject)
    except InvalidName:
        return None
