"""OAuthClient: the registration of a client (RFC 7591 section 2 metadata in a spec)."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.meta import (
    AGE_COLUMN,
    LIST_ATOMIC,
    LIST_SET,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    AuthorityReference,
    Conditions,
    Kind,
    KubeStruct,
    ObjectMeta,
    ObservedGeneration,
    PrinterColumn,
    cel,
    duration_meta,
)

# RFC 4514 section 3 as a regular expression of RE2, which CEL uses: RDNs separated by commas, attributes of one RDN by
# plus signs; special characters in a value are escaped. Blanks after a separator are allowed, as openssl prints them.
_DN_ATTRIBUTE = (
    r"([A-Za-z][A-Za-z0-9-]*|[0-9]+([.][0-9]+)+)=(#([0-9A-Fa-f]{2})+|([^#,+\"\\\\<>;]|\\\\.)([^,+\"\\\\<>;]|\\\\.)*)"
)
_DN_RULE = f"self.matches('^{_DN_ATTRIBUTE}([,+] ?{_DN_ATTRIBUTE})*$')"
_DN_MESSAGE = (
    "must be a distinguished name as in RFC 4514, most specific part first, such as CN=billing,OU=shop,O=Example; "
    "write a comma inside a value as \\,"
)
_ONE_SUBJECT_RULE = "[has(self.subjectDN), has(self.sanDNS), has(self.sanURI), has(self.sanIP), has(self.sanEmail)].filter(x, x).size() == 1"
_ONE_SUBJECT_MESSAGE = (
    "set exactly one of subjectDN, sanDNS, sanURI, sanIP and sanEmail (RFC 8705 section 2.1.2); "
    "leave tlsClientAuth out to use the client's SPIFFE ID"
)

# RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
SCOPE_TOKEN = r"^[\x21\x23-\x5B\x5D-\x7E]+$"
Scope = Annotated[str, Meta(min_length=1, max_length=128, pattern=SCOPE_TOKEN)]
Scopes = Annotated[tuple[Scope, ...], Meta(max_length=64, extra_json_schema=LIST_SET)]

# RFC 8707 section 2: an absolute URI without a fragment.
Audience = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=512,
        extra_json_schema=cel(
            (
                "self.matches('^[A-Za-z][A-Za-z0-9+.-]*:[^#[:space:]]+$')",
                "must be an absolute URI without a fragment (RFC 8707 section 2), such as https://orders.shop.svc",
            )
        ),
    ),
]


class TLSClientAuth(KubeStruct, frozen=True, kw_only=True):
    """The one name that the client's certificate has to carry (RFC 8705 section 2.1.2)."""

    subject_dn: (
        Annotated[
            str,
            Meta(
                description="The certificate's whole subject, as an RFC 4514 string, such as "
                "`CN=billing,OU=shop,O=Example`. Compared by the rules of RFC 4517, not letter by letter.",
                min_length=3,
                max_length=1024,
                extra_json_schema=cel((_DN_RULE, _DN_MESSAGE)),
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
                min_length=1,
                max_length=253,
                extra_json_schema=cel(
                    (
                        "self.matches('^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
                        "([.][A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*$')",
                        "must be a whole DNS name without a wildcard or a final dot, such as billing.shop.svc",
                    )
                ),
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
                min_length=3,
                max_length=2048,
                extra_json_schema=cel(
                    (
                        "self.matches('^[A-Za-z][A-Za-z0-9+.-]*:[\\x21-\\x7E]+$')",
                        "must be an absolute URI in ASCII, such as spiffe://cluster.local/ns/shop/client/billing",
                    )
                ),
            ),
        ]
        | None
    ) = msgspec.field(name="sanURI", default=None)
    san_ip: (
        Annotated[
            str,
            Meta(
                description="An iPAddress of the certificate, IPv4 or IPv6, such as `10.0.0.7` or `2001:db8::7`.",
                min_length=2,
                max_length=45,
                extra_json_schema=cel(
                    (
                        "isIP(self)",
                        "must be an IPv4 or IPv6 address, such as 10.0.0.7 or 2001:db8::7; a range is not a name",
                    )
                ),
            ),
        ]
        | None
    ) = msgspec.field(name="sanIP", default=None)
    san_email: (
        Annotated[
            str,
            Meta(
                description="An rfc822Name of the certificate, such as `billing@shop.example`.",
                min_length=3,
                max_length=320,
                extra_json_schema=cel(
                    (
                        "self.matches('^[^@[:space:]]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$')",
                        "must be an e-mail address, such as billing@shop.example",
                    )
                ),
            ),
        ]
        | None
    ) = None


class AccessToken(KubeStruct, frozen=True, kw_only=True):
    """How access tokens of the client are made."""

    lifetime: Annotated[
        str,
        duration_meta(
            "How long an access token is valid.",
            (
                "!self.matches('^([0-9]+h)?([0-9]+m)?([0-9]+s)?$') || self == '' || "
                "(duration(self) >= duration('30s') && duration(self) <= duration('24h'))",
                "must be from 30s to 24h: a token cannot be taken back at every resource, so keep it short",
            ),
        ),
    ] = "10m"


class OAuthClientSpec(KubeStruct, frozen=True, kw_only=True):
    """What the client is and may do. An empty spec is a secure client that can get a token without scopes."""

    client_id: (
        Annotated[
            str,
            Meta(
                description="The `client_id`. Left out, it is `<namespace>:<name>`; a colon is reserved for that form. "
                "It cannot change: make another OAuthClient instead.",
                min_length=1,
                max_length=255,
                extra_json_schema=cel(
                    (
                        "self.matches('^[A-Za-z0-9._~@-]+$')",
                        "must consist of letters, digits and . _ ~ @ - only; "
                        "a colon is reserved for ids made of namespace and name",
                    ),
                ),
            ),
        ]
        | None
    ) = msgspec.field(name="clientID", default=None)
    client_name: (
        Annotated[str, Meta(description="A name for people (`client_name`).", min_length=1, max_length=256)] | None
    ) = None
    suspended: Annotated[
        bool,
        Meta(description="True refuses every request of the client at once; its tokens are no longer active."),
    ] = False
    tokens_not_before: (
        Annotated[datetime, Meta(description="Tokens issued before this time are no longer active.")] | None
    ) = None
    token_endpoint_auth_method: Annotated[
        Literal["tls_client_auth"],
        Meta(
            description="How the client proves who it is (`token_endpoint_auth_method`). "
            "`tls_client_auth`: a certificate of one of `authorities` that carries the name in `tlsClientAuth`."
        ),
    ] = "tls_client_auth"
    tls_client_auth: (
        Annotated[
            TLSClientAuth,
            Meta(
                description="The one name that the client's certificate has to carry. Left out, it is `sanURI` with the "
                "client's SPIFFE ID, `spiffe://<trust domain>/ns/<namespace>/client/<name>`.",
                extra_json_schema=cel((_ONE_SUBJECT_RULE, _ONE_SUBJECT_MESSAGE)),
            ),
        ]
        | None
    ) = None
    authorities: Annotated[
        tuple[AuthorityReference, ...],
        Meta(
            description="The CertificateAuthorities whose keys may vouch for the client. "
            "A certificate of any other CA is refused, whatever names it carries.",
            min_length=1,
            max_length=8,
            extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = (AuthorityReference(),)
    grant_types: Annotated[
        tuple[Literal["client_credentials"], ...],
        Meta(
            description="The grants that the client may use (`grant_types`).",
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


class Identity(KubeStruct, frozen=True, kw_only=True):
    """The name that authenticates the client."""

    type: Annotated[str, Meta(description="Which of subjectDN, sanDNS, sanURI, sanIP and sanEmail it is.")]
    value: Annotated[str, Meta(description="The name itself.")]


class OAuthClientStatus(KubeStruct, frozen=True, kw_only=True):
    """What was observed of the client."""

    observed_generation: ObservedGeneration = 0
    conditions: Conditions = ()
    client_id: Annotated[str, Meta(description="The `client_id` in effect.")] = msgspec.field(
        name="clientID", default=""
    )
    identity: Annotated[Identity, Meta(description="The name that authenticates the client.")] | None = None
    scopes: Annotated[tuple[str, ...], Meta(description="Scopes in effect.", extra_json_schema=LIST_ATOMIC)] = ()
    issuer: Annotated[str, Meta(description="The issuer's identifier (`iss`).")] = ""
    token_endpoint: Annotated[str, Meta(description="Where the client gets tokens, over mTLS.")] = ""


_IMMUTABLE_CLIENT_ID = cel(
    (
        "has(self.clientID) == has(oldSelf.clientID) && (!has(self.clientID) || self.clientID == oldSelf.clientID)",
        "clientID cannot change: tokens and resources know the client by it; make another OAuthClient instead",
    ),
    (
        "!has(self.defaultScopes) || self.defaultScopes.all(s, has(self.scopes) && s in self.scopes)",
        "defaultScopes must be among scopes: add the missing ones to scopes or take them out of defaultScopes",
    ),
)


class OAuthClient(KubeStruct, frozen=True, kw_only=True):
    """A client of the token issuer, whose only credential is a certificate."""

    metadata: ObjectMeta
    spec: Annotated[
        OAuthClientSpec,
        Meta(description="What the client is and may do.", extra_json_schema=_IMMUTABLE_CLIENT_ID),
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
