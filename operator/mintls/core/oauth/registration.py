"""A registered client as the token issuer knows it: RFC 7591 section 2 metadata, with every default resolved."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from mintls.core.oauth.client_assertion import AssertionKey
from mintls.core.pki.names import SubjectName

type Claim = tuple[str, object]
"""What only one client can have: what it is, and its value as it is compared."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The effective registration of one client.

    Attributes:
        namespace: Namespace of the OAuthClient.
        name: Its name.
        uid: Its uid, which tells it from an earlier object of the same name.
        generation: The ``metadata.generation`` that this was made of.
        created: Creation time (aware UTC); decides between two claims that nobody holds yet, see ``claims``.
        client_id: ``client_id`` (RFC 6749 section 2.2).
        client_name: ``client_name`` for people, "" if none.
        token_endpoint_auth_method: ``tls_client_auth`` (RFC 8705 section 2.1.1) or ``self_signed_tls_client_auth``
            (section 2.2.1) or ``private_key_jwt`` (RFC 7523).
        subject: The one name that the certificate has to carry (RFC 8705 section 2.1.2); ``None`` if certificates
            or keys themselves are registered.
        certificates: The certificates themselves (RFC 8705 section 2.2); empty for ``tls_client_auth``.
        authorities: Names of the CertificateAuthorities whose keys may vouch for the client.
        grant_types: Grants that it may use.
        scopes: Scopes that it may ask for, in the order of the spec.
        default_scopes: Scopes granted to a request that names none.
        audiences: Resources that its tokens may be for (RFC 8707).
        access_token_lifetime: Lifetime of its access tokens.
        certificate_bound: Whether tokens carry ``cnf`` (RFC 8705 section 3).
        suspended: Whether every request is refused.
        tokens_not_before: Tokens issued earlier are not active; ``None`` if there is no such limit.
        extra_claims: Names and values of claims that its access tokens carry beside the issuer's own.
        dpop_bound: Whether tokens are bound to the key of a DPoP proof, and to no certificate (RFC 9449 section 5.2).
        keys: The keys that verify its assertions; empty unless it authenticates by ``private_key_jwt``.
        signing_algorithm: What its access tokens are signed with (RFC 7518 section 3.1); "" for what the issuer takes.
        dedicated_key: Whether a key of its own signs them.
        jwks_uri: Where its keys or certificates are instead (RFC 7591 section 2), "" if nowhere else.
        service_accounts: Names of the service accounts of its namespace that it may act for.
        ends_with_certificate: Whether no access token outlives the certificate that it was issued over.
        held: The claims that it was seen to hold: nobody who is older takes one of them from it.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    client_id: str
    client_name: str
    token_endpoint_auth_method: str
    subject: SubjectName | None
    certificates: tuple[x509.Certificate, ...]
    authorities: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    default_scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    access_token_lifetime: timedelta
    certificate_bound: bool
    suspended: bool
    tokens_not_before: datetime | None
    extra_claims: tuple[tuple[str, str], ...] = ()
    ends_with_certificate: bool = True
    keys: tuple[AssertionKey, ...] = ()
    dpop_bound: bool = False
    jwks_uri: str = ""
    signing_algorithm: str = ""
    dedicated_key: bool = False
    service_accounts: tuple[str, ...] = ()
    held: tuple[Claim, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the OAuthClient."""
        return (self.namespace, self.name)

    @property
    def jwks_source(self) -> tuple[str, str, str]:
        """What the keys at ``jwks_uri`` were fetched for: other ones do not count for it."""
        return (self.uid, self.jwks_uri, self.token_endpoint_auth_method)


def default_client_id(namespace: str, name: str) -> str:
    """``client_id`` of a client that states none.

    The colon cannot occur in an explicit one (the schema of OAuthClient refuses it), so nobody can take the default
    id of another namespace's client before that client exists.
    """
    return f"{namespace}:{name}"


def spiffe_id(trust_domain: str, namespace: str, name: str) -> str:
    """The client's SPIFFE ID (SPIFFE-ID section 2): ``spiffe://<trust domain>/ns/<namespace>/client/<name>``."""
    return f"spiffe://{trust_domain}/ns/{namespace}/client/{name}"
