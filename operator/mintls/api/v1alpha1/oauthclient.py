"""OAuthClient: the registration of a client (RFC 7591 section 2 metadata in a spec)."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    AuthorityReference,
    Conditions,
    Kind,
    KubeStruct,
    LocalReference,
    ObjectMeta,
    ObservedGeneration,
    PrinterColumn,
    Time,
)
from mintls.api.v1alpha1.rules import (
    AUDIENCE,
    CLIENT_ID,
    DISTINGUISHED_NAME,
    EXTRA_CLAIMS,
    JWKS_URI,
    LIST_ATOMIC,
    LIST_MAP_BY_NAME,
    LIST_SET,
    PEM_CERTIFICATE,
    SAN_DNS,
    SAN_EMAIL,
    SAN_IP,
    SAN_URI,
    SCOPE_TOKEN,
    X5C,
    Rule,
    cel,
    duration_between,
    duration_meta,
)

Scope = Annotated[str, Meta(max_length=128, extra_json_schema=cel(SCOPE_TOKEN))]
Scopes = Annotated[tuple[Scope, ...], Meta(max_length=64, extra_json_schema=LIST_SET)]
Audience = Annotated[str, Meta(max_length=512, extra_json_schema=cel(AUDIENCE))]
PEMCertificate = Annotated[str, Meta(max_length=8192, extra_json_schema=cel(PEM_CERTIFICATE))]
X5CCertificate = Annotated[str, Meta(max_length=8192, extra_json_schema=cel(X5C))]

_ONE_SUBJECT = Rule(
    "[has(self.subjectDN), has(self.sanDNS), has(self.sanURI), has(self.sanIP), has(self.sanEmail)]"
    ".filter(x, x).size() == 1",
    "set exactly one of subjectDN, sanDNS, sanURI, sanIP and sanEmail (RFC 8705 section 2.1.2); "
    "leave tlsClientAuth out to use the client's SPIFFE ID",
)


class TLSClientAuth(KubeStruct, frozen=True, kw_only=True):
    """The one name that the client's certificate has to carry (RFC 8705 section 2.1.2)."""

    subject_dn: (
        Annotated[
            str,
            Meta(
                description="The certificate's whole subject, as an RFC 4514 string, such as "
                "`CN=billing,OU=shop,O=Example`. Compared by the rules of RFC 4517, not letter by letter.",
                max_length=1024,
                extra_json_schema=cel(*DISTINGUISHED_NAME),
            ),
        ]
        | None
    ) = msgspec.field(name="subjectDN", default=None)
    san_dns: (
        Annotated[
            str,
            Meta(
                description="A dNSName of the certificate, such as `billing.shop.svc`. Letter case does not matter; "
                "a wildcard is not a name.",
                max_length=253,
                extra_json_schema=cel(*SAN_DNS),
            ),
        ]
        | None
    ) = msgspec.field(name="sanDNS", default=None)
    san_uri: (
        Annotated[
            str,
            Meta(
                description="A uniformResourceIdentifier of the certificate, such as "
                "`spiffe://cluster.local/ns/shop/client/billing`.",
                max_length=2048,
                extra_json_schema=cel(*SAN_URI),
            ),
        ]
        | None
    ) = msgspec.field(name="sanURI", default=None)
    san_ip: (
        Annotated[
            str,
            Meta(
                description="An iPAddress of the certificate, IPv4 or IPv6, such as `10.0.0.7` or `2001:db8::7`.",
                max_length=45,
                extra_json_schema=cel(SAN_IP),
            ),
        ]
        | None
    ) = msgspec.field(name="sanIP", default=None)
    san_email: (
        Annotated[
            str,
            Meta(
                description="An rfc822Name of the certificate, such as `billing@shop.example`.",
                max_length=320,
                extra_json_schema=cel(SAN_EMAIL),
            ),
        ]
        | None
    ) = None


class JWK(KubeStruct, frozen=True, kw_only=True):
    """A public key (RFC 7517 section 4), with its certificate where that is what counts (RFC 8705 section 2.2.2)."""

    kty: Annotated[Literal["EC", "RSA", "OKP"], Meta(description="The kind of the key.")]
    x5c: Annotated[
        tuple[X5CCertificate, ...],
        Meta(
            description="The certificate in DER as base64; needed for `self_signed_tls_client_auth`. "
            "Others after it are ignored.",
            min_length=1,
            max_length=4,
            extra_json_schema=LIST_ATOMIC,
        ),
    ] = ()
    use: Annotated[str, Meta(description="What the key is for: `sig`.")] | None = None
    key_ops: Annotated[
        tuple[str, ...], Meta(description="What the key is for. Ignored.", extra_json_schema=LIST_ATOMIC)
    ] = msgspec.field(name="key_ops", default=())
    alg: (
        Annotated[str, Meta(description="The one algorithm that the key is for. Left out, all that fit it.")] | None
    ) = None
    kid: (
        Annotated[str, Meta(description="Names the key: an assertion with this `kid` is verified by it alone.")] | None
    ) = None
    crv: Annotated[str, Meta(description="Curve of an EC or OKP key, such as `P-256`.")] | None = None
    x: Annotated[str, Meta(description="The x coordinate, or the whole of an OKP key.")] | None = None
    y: Annotated[str, Meta(description="The y coordinate.")] | None = None
    n: Annotated[str, Meta(description="Modulus of an RSA key.")] | None = None
    e: Annotated[str, Meta(description="Exponent of an RSA key.")] | None = None
    x5t: Annotated[str, Meta(description="SHA-1 of the certificate. Ignored.")] | None = None
    x5t_s256: Annotated[str, Meta(description="SHA-256 of the certificate. Ignored.")] | None = msgspec.field(
        name="x5t#S256", default=None
    )


class JWKSet(KubeStruct, frozen=True, kw_only=True):
    """Public keys (RFC 7517 section 5)."""

    keys: Annotated[
        tuple[JWK, ...],
        Meta(
            description="The keys. Only public ones: there is no field for a private one.",
            min_length=1,
            max_length=8,
            extra_json_schema=LIST_ATOMIC,
        ),
    ]


class AccessToken(KubeStruct, frozen=True, kw_only=True):
    """How access tokens of the client are made."""

    lifetime: Annotated[
        str,
        duration_meta(
            "How long an access token is valid.",
            duration_between(
                "30s",
                "24h",
                "must be from 30s to 24h: a token cannot be taken back at every resource, so keep it short",
            ),
        ),
    ] = "10m"
    ends_with_certificate: Annotated[
        bool,
        Meta(
            description="Whether a token ends no later than the certificate that it was issued over. A bound token is "
            "of no use after that, and one that is not bound should not be."
        ),
    ] = True
    signing_algorithm: (
        Annotated[
            Literal["ES256", "ES384", "PS256", "RS256", "EdDSA"],
            Meta(
                description="What access tokens are signed with. Left out, what the issuer signs with. The issuer gets "
                "a key for it as soon as a client asks, beside its own in its key set."
            ),
        ]
        | None
    ) = None
    dedicated_key: Annotated[
        bool,
        Meta(
            description="Whether access tokens are signed with a key of this client alone, which is in a key set of "
            "its own (`status.accessTokenJWKSURI`) and in no other. It is rotated as the issuer's, and ends with the "
            "object."
        ),
    ] = False
    claims: (
        Annotated[
            dict[str, Annotated[str, Meta(max_length=1024)]],
            Meta(
                description="Claims with fixed values that each token carries beside the issuer's own, such as "
                "`tenant: shop`.",
                max_length=16,
                extra_json_schema=cel(*EXTRA_CLAIMS),
            ),
        ]
        | None
    ) = None


class OAuthClientSpec(KubeStruct, frozen=True, kw_only=True):
    """What the client is and may do. An empty spec is a secure client that can get a token without scopes."""

    client_id: (
        Annotated[
            str,
            Meta(
                description="The `client_id`. Left out, it is `<namespace>:<name>`; a colon is reserved for that form. "
                "It cannot change: make another OAuthClient instead.",
                max_length=255,
                extra_json_schema=cel(CLIENT_ID),
            ),
        ]
        | None
    ) = msgspec.field(name="clientID", default=None)
    client_name: Annotated[str, Meta(description="A name for people (`client_name`).", max_length=256)] | None = None
    suspended: Annotated[
        bool,
        Meta(description="True refuses every request of the client at once; its tokens are no longer active."),
    ] = False
    tokens_not_before: (
        Annotated[Time, Meta(description="Tokens issued before this time are no longer active.")] | None
    ) = None
    token_endpoint_auth_method: Annotated[
        Literal["tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"],
        Meta(
            description="How the client proves who it is (`token_endpoint_auth_method`). "
            "`tls_client_auth`: a certificate of one of `authorities` that carries the name in `tlsClientAuth`. "
            "`self_signed_tls_client_auth`: one of the very certificates in `certificates`, in `jwks` or at `jwksURI`. "
            "`private_key_jwt`: an assertion that one of the keys in `jwks` or at `jwksURI` signed (RFC 7523)."
        ),
    ] = "tls_client_auth"
    tls_client_auth: Annotated[
        TLSClientAuth | None,
        Meta(
            description="The one name that the client's certificate has to carry. Left out, it is `sanURI` with the "
            "client's SPIFFE ID, `spiffe://<trust domain>/ns/<namespace>/client/<name>`.",
            extra_json_schema=cel(_ONE_SUBJECT),
        ),
    ] = None
    authorities: Annotated[
        tuple[AuthorityReference, ...],
        Meta(
            description="The CertificateAuthorities whose keys may vouch for the client. "
            "A certificate of any other CA is refused, whatever names it carries. Without effect with "
            "the other methods.",
            min_length=1,
            max_length=8,
            extra_json_schema=LIST_MAP_BY_NAME,
        ),
    ] = (AuthorityReference(),)
    service_accounts: Annotated[
        tuple[LocalReference, ...],
        Meta(
            description="Service accounts of the namespace that may have certificates of the client from Kubernetes "
            "itself, for signer `mintls.dev/client`: their pods by a projected volume (`podCertificate`), they "
            "themselves by a CertificateSigningRequest. Then no ClientCertificate and no Secret is needed. "
            "With the grant of token exchange the client may also act for them.",
            max_length=16,
            extra_json_schema=LIST_MAP_BY_NAME,
        ),
    ] = ()
    certificates: Annotated[
        tuple[PEMCertificate, ...],
        Meta(
            description="The client's self-signed certificates, each in PEM (RFC 8705 section 2.2). Whoever proves "
            "the key of one of them is the client; during a rotation old and new stand beside each other. "
            "A certificate is compared whole: its names and its serial number do not matter.",
            max_length=8,
            extra_json_schema=LIST_ATOMIC,
        ),
    ] = ()
    jwks: Annotated[
        JWKSet | None,
        Meta(
            description="For `private_key_jwt` the public keys that verify the client's assertions. For "
            "`self_signed_tls_client_auth` the same as `certificates`: each key has its certificate as `x5c`."
        ),
    ] = None
    jwks_uri: (
        Annotated[
            str,
            Meta(
                description="Where the client publishes what could stand in `jwks` (`jwks_uri` of RFC 7591), so that "
                "it rotates its keys without touching this object. The issuer fetches it over https, without following "
                "redirects, and from no internal address unless it is allowed to.",
                max_length=512,
                extra_json_schema=cel(JWKS_URI),
            ),
        ]
        | None
    ) = msgspec.field(name="jwksURI", default=None)
    grant_types: Annotated[
        tuple[Literal["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"], ...],
        Meta(
            description="The grants that the client may use (`grant_types`). By a token exchange (RFC 8693) it acts "
            "for somebody whose token it was given: its tokens then have that one as `sub`, and the client as `act`.",
            min_length=1,
            max_length=8,
            extra_json_schema=LIST_SET,
        ),
    ] = ("client_credentials",)
    scopes: Annotated[Scopes, Meta(description="The scopes that the client may ask for (RFC 6749 section 3.3).")] = ()
    default_scopes: (
        Annotated[
            Scopes,
            Meta(description="What a request without a scope is granted. Left out, all of `scopes`."),
        ]
        | None
    ) = None
    audiences: Annotated[
        tuple[Audience, ...],
        Meta(
            description="The resources that tokens may be for (`resource` of RFC 8707, `aud` of the token). "
            "A request that names none gets all of them; with an empty list tokens are for the issuer alone.",
            max_length=32,
            extra_json_schema=LIST_ATOMIC,
        ),
    ] = ()
    access_token: Annotated[AccessToken, Meta(description="How access tokens of the client are made.")] = AccessToken()
    tls_client_certificate_bound_access_tokens: Annotated[
        bool,
        Meta(
            description="Whether tokens are bound to the certificate by `cnf` (RFC 8705 section 3). "
            "False makes bearer tokens, which whoever steals one can use."
        ),
    ] = True
    dpop_bound_access_tokens: Annotated[
        bool,
        Meta(
            description="Whether each token request has to have a DPoP proof (RFC 9449). Tokens are then bound to the "
            "key of the proof by `cnf.jkt`, and to no certificate: for clients whose tokens go through something that "
            "ends TLS. Each token costs a write to the Kubernetes API."
        ),
    ] = False


class Identity(KubeStruct, frozen=True, kw_only=True):
    """The name that authenticates the client."""

    type: Annotated[str, Meta(description="Which of subjectDN, sanDNS, sanURI, sanIP and sanEmail it is.")]
    value: Annotated[str, Meta(description="The name itself.")]


class RegisteredCertificate(KubeStruct, frozen=True, kw_only=True):
    """A certificate that authenticates the client."""

    thumbprint: Annotated[str, Meta(description="Its SHA-256 in base64url (`x5t#S256`).")]
    not_after: Annotated[Time, Meta(description="End of its validity.")]


class OAuthClientStatus(KubeStruct, frozen=True, kw_only=True):
    """What was observed of the client."""

    observed_generation: ObservedGeneration = 0
    conditions: Conditions = ()
    client_id: Annotated[str, Meta(description="The `client_id` in effect.")] = msgspec.field(
        name="clientID", default=""
    )
    identity: Annotated[Identity | None, Meta(description="The name that authenticates the client.")] = None
    certificates: Annotated[
        tuple[RegisteredCertificate, ...],
        Meta(
            description="The self-signed certificates in the spec that authenticate the client; empty if a name does, "
            "or those at `jwksURI`.",
            extra_json_schema=LIST_ATOMIC,
        ),
    ] = ()
    scopes: Annotated[tuple[str, ...], Meta(description="Scopes in effect.", extra_json_schema=LIST_ATOMIC)] = ()
    issuer: Annotated[str, Meta(description="The issuer's identifier (`iss`).")] = ""
    token_endpoint: Annotated[str, Meta(description="Where the client gets tokens, over mTLS.")] = ""
    access_token_jwks_uri: Annotated[
        str, Meta(description="Where the keys are that verify the client's access tokens (RFC 7517).")
    ] = msgspec.field(name="accessTokenJWKSURI", default="")


_SELF_SIGNED = "has(self.tokenEndpointAuthMethod) && self.tokenEndpointAuthMethod == 'self_signed_tls_client_auth'"
_PRIVATE_KEY_JWT = "has(self.tokenEndpointAuthMethod) && self.tokenEndpointAuthMethod == 'private_key_jwt'"
_HAS_CERTIFICATES = "(has(self.certificates) && self.certificates.size() > 0)"
_SPEC_RULES = cel(
    Rule(
        f"!({_SELF_SIGNED}) || [{_HAS_CERTIFICATES}, has(self.jwks), has(self.jwksURI)].filter(x, x).size() == 1",
        "self_signed_tls_client_auth needs the client's certificates: set exactly one of certificates, jwks and "
        "jwksURI (RFC 8705 section 2.2.2)",
        field="tokenEndpointAuthMethod",
    ),
    Rule(
        f"({_SELF_SIGNED}) || !{_HAS_CERTIFICATES}",
        "certificates are for self_signed_tls_client_auth: set that method, or leave them out "
        "(with tls_client_auth the certificate's name is registered, in tlsClientAuth)",
        field="tokenEndpointAuthMethod",
    ),
    Rule(
        f"({_SELF_SIGNED}) || [has(self.jwks), has(self.jwksURI)].filter(x, x).size() == ({_PRIVATE_KEY_JWT} ? 1 : 0)",
        "jwks and jwksURI are for private_key_jwt, which needs exactly one of them, and for "
        "self_signed_tls_client_auth: set one of these methods, or leave them out",
        field="tokenEndpointAuthMethod",
    ),
    Rule(
        f"!({_SELF_SIGNED}) || !has(self.jwks) || self.jwks.keys.all(key, has(key.x5c) && key.x5c.size() > 0)",
        "each key needs its certificate as x5c: with self_signed_tls_client_auth that is what is compared "
        "(RFC 8705 section 2.2.2)",
        field="jwks",
    ),
    Rule(
        f"!({_SELF_SIGNED} || {_PRIVATE_KEY_JWT}) || !has(self.tlsClientAuth)",
        "tlsClientAuth is for tls_client_auth: with another method no name is compared, so leave it out",
        field="tlsClientAuth",
    ),
    Rule(
        "has(self.clientID) == has(oldSelf.clientID) && (!has(self.clientID) || self.clientID == oldSelf.clientID)",
        "clientID cannot change: tokens and resources know the client by it; make another OAuthClient instead",
        field="clientID",
    ),
    Rule(
        "!has(self.defaultScopes) || self.defaultScopes.all(s, has(self.scopes) && s in self.scopes)",
        "defaultScopes must be among scopes: add the missing ones to scopes or take them out of defaultScopes",
        field="defaultScopes",
    ),
)


class OAuthClient(KubeStruct, frozen=True, kw_only=True):
    """A client of the token issuer, whose only credential is a certificate."""

    metadata: ObjectMeta
    spec: Annotated[
        OAuthClientSpec,
        Meta(description="What the client is and may do.", extra_json_schema=_SPEC_RULES),
    ] = OAuthClientSpec()
    status: Annotated[OAuthClientStatus, Meta(description="What was observed of the client.")] = OAuthClientStatus()

    KIND: ClassVar[Kind] = Kind(
        kind="OAuthClient",
        plural="oauthclients",
        singular="oauthclient",
        short_names=("oac",),
        scope="Namespaced",
        columns=(
            PrinterColumn(name="Client ID", type="string", json_path=".status.clientID", description="`client_id`."),
            READY_COLUMN,
            REASON_COLUMN,
            PrinterColumn(
                name="Identity",
                type="string",
                json_path=".status.identity.value",
                description="The name that authenticates it.",
                priority=1,
            ),
            PrinterColumn(name="Suspended", type="boolean", json_path=".spec.suspended", priority=1),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
    )
