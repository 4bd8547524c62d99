"""What the endpoints work with, put together once."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import msgspec

from mintls.core.oauth.dpop import normalized_uri
from mintls.core.oauth.metadata import server_metadata
from mintls.core.oauth.signing_keys import base64url
from mintls.core.pki.names import NormalizedName, SubjectKind, SubjectName, normalize
from mintls.issuer.directory import Directory
from mintls.issuer.ledger import Ledger
from mintls.issuer.paths import Paths
from mintls.issuer.proxies import Proxies
from mintls.issuer.rates import Limiter
from mintls.issuer.registry import Registry
from mintls.issuer.remotekeys import RemoteKeys
from mintls.issuer.replays import Replays
from mintls.issuer.reviews import Reviewer
from mintls.issuer.settings import Settings
from mintls.issuer.tokens import Tokens

OPERATOR_AUTHORITY = "default"
"""The CertificateAuthority that the operator's own certificate comes from."""


def random_identifier() -> str:
    """128 random bits as text: nobody can guess it (RFC 7519 section 4.1.7 asks that it does not collide)."""
    return base64url(os.urandom(16)).decode("ascii")


@dataclass(frozen=True)
class Services:
    """What the endpoints work with.

    Attributes:
        settings: What the issuer was told.
        directory: What it knows.
        paths: How certificates lead to authorities.
        ledger: Where it is written down for all replicas that an identifier is spent.
        registry: Where clients are registered.
        remote_keys: Keys of clients that keep them at a URL.
        reviewer: Who says whose a service account's token is.
        identifier: Makes ``jti``.
    """

    settings: Settings
    directory: Directory
    paths: Paths
    ledger: Ledger
    registry: Registry
    remote_keys: RemoteKeys
    reviewer: Reviewer
    identifier: Callable[[], str] = random_identifier

    @cached_property
    def tokens(self) -> Tokens:
        """Reads access tokens that come back."""
        return Tokens(self.directory)

    @cached_property
    def clients(self) -> Limiter:
        """How fast each client is that has proven who it is."""
        return Limiter(self.settings.client_rate)

    @cached_property
    def addresses(self) -> Limiter:
        """How fast each address is, whoever calls from it."""
        return Limiter(self.settings.address_rate)

    @cached_property
    def proxies(self) -> Proxies:
        """Who may hand certificates of others on."""
        return Proxies(self.settings.proxies, self.directory, self.paths)

    @cached_property
    def replays(self) -> Replays:
        """Proofs that this replica has seen at resources."""
        return Replays()

    @cached_property
    def token_urls(self) -> frozenset[str]:
        """What the token endpoint is called, as DPoP proofs may name it."""
        bases = (self.settings.issuer_url, self.settings.mtls_url)
        return frozenset(normalized_uri(f"{base.rstrip('/')}/token") for base in bases)

    @cached_property
    def operator(self) -> NormalizedName:
        """The name in the operator's own certificate."""
        return normalize(SubjectName(SubjectKind.SAN_URI, self.settings.operator_identity))

    @cached_property
    def _documents(self) -> dict[tuple[tuple[str, ...], tuple[str, ...]], bytes]:
        return {}

    def metadata(self, own: tuple[str, ...], published: tuple[str, ...]) -> bytes:
        """The metadata document; nothing but what tokens are signed with can change in it while the issuer runs.

        Args:
            own: The algorithms that the issuer signs with by itself.
            published: Those that there are keys for at ``/jwks``.
        """
        if (own, published) not in self._documents:
            settings = self.settings
            document = server_metadata(
                settings.issuer_url, settings.mtls_url, own, published, registers=bool(settings.registrations)
            )
            self._documents[own, published] = msgspec.json.encode(document)
        return self._documents[own, published]
