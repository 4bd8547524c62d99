"""What the issuer is told when it starts."""

import re
from dataclasses import dataclass, field

from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.rate_limit import Rate
from mintls.reconcile.installation import Installation

# RFC 8414 section 2: https, no query, no fragment. No user, no space, no quote: the URL also stands in headers.
_URL = re.compile(r"https://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?")


class InvalidSettings(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A setting that the issuer cannot start with; the message names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens: host ("" for all interfaces) and port (0 for any free one)."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may cost.

    Attributes:
        body_bytes: Longest body of a request.
        body_seconds: A body has to arrive within this time.
        idle_seconds: A connection without a complete request is closed after this time; that includes one whose
            headers come drop by drop.
        handshake_seconds: A TLS handshake has to be done within this time.
        connections: Connections per listener; more are closed at once.
        drain_seconds: How long a stopping issuer still accepts connections, so that everybody learns that it goes.
        shutdown_seconds: How long it then waits for requests in progress.
    """

    body_bytes: int = 16 * 1024
    body_seconds: float = 10.0
    idle_seconds: float = 75.0
    handshake_seconds: float = 10.0
    connections: int = 10_000
    drain_seconds: float = 3.0
    shutdown_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A proxy that ends its clients' TLS and is believed what certificates they have.

    Attributes:
        namespace: Namespace of its own OAuthClient, by whose certificate it is known.
        name: Name of that OAuthClient.
        form: How it hands certificates on.
    """

    namespace: str
    name: str
    form: Format


@dataclass(frozen=True, slots=True)
class RegistrationSecret:
    """Whoever has the token in a Secret may register clients.

    Attributes:
        name: Name of the Secret, in the operator's namespace.
        namespace: Where the clients are made.
    """

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it.

    Attributes:
        issuer_url: The issuer's identifier (``iss``), and the base of the endpoints that ask for no certificate.
        mtls_url: The base of the endpoints that ask for one.
        trust_domain: SPIFFE trust domain of the clients' default identities.
        cluster_domain: DNS domain of the cluster.
        operator_namespace: Where the operator runs and keeps its Secrets.
        open_address: Listener that asks for no client certificate.
        mtls_address: Listener that asks for one.
        probe_address: Plain listener for probes and metrics.
        ext_authz_address: Listener for Envoy's ``ext_authz`` over gRPC, which asks for one; ``None`` for none.
        limits: What one caller may cost.
        client_rate: How many requests a client may make of this replica; ``None`` for any number.
        address_rate: How many may come from one address; ``None`` for any number.
        json_bodies: Whether a token request may be JSON, too.
        proxies: Who may hand certificates of others on.
        dpop_nonce: Whether DPoP proofs at the token endpoint have to have a nonce of the issuer.
        service_account_tokens: Whether service accounts' tokens are taken in exchange.
        registrations: By what Secrets clients may be registered; empty for none.
        internal_jwks_uri: Whether a client's ``jwksURI`` may lead to an internal address.
        jwks_uri_ca_file: CAs for the servers of those beside the system's, a PEM file; "" for none.

    Raises:
        InvalidSettings: A URL is not one that RFC 8414 section 2 allows, a proxy or a Secret is named twice, or proxies
            have an address and there is none.
    """

    issuer_url: str
    mtls_url: str
    trust_domain: str = "cluster.local"
    cluster_domain: str = "cluster.local"
    operator_namespace: str = "mintls-system"
    open_address: Address = Address("", 8443)
    mtls_address: Address = Address("", 9443)
    probe_address: Address = Address("", 8081)
    limits: Limits = field(default_factory=Limits)
    json_bodies: bool = False
    client_rate: Rate | None = None
    address_rate: Rate | None = None
    proxies: tuple[TrustedProxy, ...] = ()
    dpop_nonce: bool = False
    registrations: tuple[RegistrationSecret, ...] = ()
    internal_jwks_uri: bool = False
    jwks_uri_ca_file: str = ""
    service_account_tokens: bool = False
    ext_authz_address: Address | None = None

    def __post_init__(self) -> None:
        for name, url in (("issuer_url", self.issuer_url), ("mtls_url", self.mtls_url)):
            if not _URL.fullmatch(url):
                raise InvalidSettings(
                    f"{name} {url!r} must be an https URL without query and fragment (RFC 8414 section 2), "
                    "such as https://mintls-issuer.mintls-system.svc:8443"
                )
        if twice := _repeated([f"{proxy.namespace}/{proxy.name}" for proxy in self.proxies]):
            raise InvalidSettings(f"proxies has {twice} twice: a proxy hands certificates on in one format")
        if self.ext_authz_address is not None and not self.proxies:
            raise InvalidSettings("ext_authz_address is given, but no proxy that may ask there: name one by --proxy")
        if twice := _repeated([secret.name for secret in self.registrations]):
            raise InvalidSettings(f"registrations has Secret {twice} twice: each is for one namespace")

    @property
    def installation(self) -> Installation:
        """The part that the operator is told, too."""
        return Installation(
            trust_domain=self.trust_domain,
            cluster_domain=self.cluster_domain,
            operator_namespace=self.operator_namespace,
            issuer_url=self.issuer_url,
            mtls_url=self.mtls_url,
            issuer_names=(),
        )

    @property
    def operator_identity(self) -> str:
        """The SPIFFE ID in the operator's own client certificate."""
        return self.installation.operator_id


def _repeated(names: list[str]) -> str:
    return next((name for name in names if names.count(name) > 1), "")
