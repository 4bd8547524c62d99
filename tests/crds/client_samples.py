"""OAuthClients."""

from crds.sample import UNCHECKED, client, quoted, refused, too_long, unsupported

ONE_SUBJECT = (
    "spec.tlsClientAuth: Invalid value: set exactly one of subjectDN, sanDNS, sanURI, sanIP and sanEmail "
    "(RFC 8705 section 2.1.2); leave tlsClientAuth out to use the client's SPIFFE ID"
)
CLIENT_ID = "must consist of letters, digits and . _ ~ @ - only; a colon is reserved for ids made of namespace and name"
SCOPE = (
    "must be one scope in visible ASCII characters without quotation mark and backslash (RFC 6749 section 3.3), "
    "such as orders.read; several scopes are several items"
)
AUDIENCE = "must be an absolute URI without a fragment (RFC 8707 section 2), such as https://orders.shop.svc"
RESERVED_CLAIM = "has a claim that the issuer alone says, such as sub, scope or cnf: take another name, such as tenant"
NO_CLAIM = "has a name that is none: up to 128 letters, digits and _ . : / -, a letter first, such as tenant"
JWKS_URI = "must be an https URL without user and fragment, such as https://billing.example/jwks.json"
LIFETIME = "must be from 30s to 24h: a token cannot be taken back at every resource, so keep it short"

CLIENTS = (
    client("nothing said"),
    client(
        "everything said",
        clientID="billing",
        clientName="Billing, 株式会社",
        suspended=True,
        tokensNotBefore="2026-01-01T00:00:00Z",
        tokenEndpointAuthMethod="tls_client_auth",
        tlsClientAuth={"sanDNS": "billing.shop.svc"},
        authorities=[{"name": "default"}, {"name": "other"}],
        grantTypes=["client_credentials"],
        scopes=["orders.read", "orders.write"],
        defaultScopes=["orders.read"],
        audiences=["https://orders.shop.svc", "urn:orders"],
        accessToken={
            "lifetime": "1h30m",
            "endsWithCertificate": False,
            "signingAlgorithm": "PS256",
            "dedicatedKey": True,
            "claims": {"tenant": "shop", "a.b:c/d": ""},
        },
        tlsClientCertificateBoundAccessTokens=False,
        dpopBoundAccessTokens=True,
    ),
    client(
        "as large as is allowed",
        clientID="a" * 255,
        clientName="ü" * 256,
        tlsClientAuth={"subjectDN": ",".join(["CN=" + "a" * 125] * 8)[:1024]},
        authorities=[{"name": str(index) * 253} for index in range(8)],
        scopes=[f"{index:0128}" for index in range(64)],
        defaultScopes=[f"{index:0128}" for index in range(64)],
        audiences=["https://" + "a" * 504] * 32,
        accessToken={"lifetime": "24h"},
    ),
    client("parts left empty", authorities=[{}], accessToken={}, scopes=[], audiences=[], defaultScopes=[]),
    client("the shortest lifetime", accessToken={"lifetime": "30s"}),
    client("a time with an offset", tokensNotBefore="2026-01-01T00:00:00.123456+02:00"),
    client("a time in nanoseconds", tokensNotBefore="2026-01-01T00:00:00.123456789Z"),
    client("two subject kinds", ONE_SUBJECT, tlsClientAuth={"subjectDN": "CN=billing", "sanDNS": "billing.shop.svc"}),
    client("no subject kind", ONE_SUBJECT, tlsClientAuth={}),
    *(
        client(f"client id {value!r}", refused("spec.clientID", value, CLIENT_ID), clientID=value)
        for value in ("", "shop:billing", "a b", "a/b", "ü", "a\n")
    ),
    client("client id too long", too_long("spec.clientID", 255), UNCHECKED, clientID="a" * 256),
    client("client name too long", too_long("spec.clientName", 256), UNCHECKED, clientName="a" * 257),
    client(
        "another authentication method",
        unsupported(
            "spec.tokenEndpointAuthMethod",
            *("client_secret_basic", "private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"),
        ),
        UNCHECKED,
        tokenEndpointAuthMethod="client_secret_basic",
    ),
    client(
        "another grant",
        unsupported(
            "spec.grantTypes[0]",
            *("password", "client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ),
        UNCHECKED,
        grantTypes=["password"],
    ),
    client(
        "no grant",
        "spec.grantTypes: Invalid value: 0: spec.grantTypes in body should have at least 1 items",
        grantTypes=[],
    ),
    client(
        "a grant twice",
        'spec.grantTypes[1]: Duplicate value: "client_credentials"',
        grantTypes=["client_credentials", "client_credentials"],
    ),
    client(
        "too many grants",
        "spec.grantTypes: Too many: 9: must have at most 8 items",
        'spec.grantTypes[1]: Duplicate value: "client_credentials"',
        UNCHECKED,
        grantTypes=["client_credentials"] * 9,
    ),
    client(
        "no authority",
        "spec.authorities: Invalid value: 0: spec.authorities in body should have at least 1 items",
        authorities=[],
    ),
    client(
        "an authority twice",
        'spec.authorities[1]: Duplicate value: {"name":"a"}',
        authorities=[{"name": "a"}, {"name": "a"}],
    ),
    client("service accounts", serviceAccounts=[{"name": "a"}, {"name": "b"}]),
    client(
        "a service account twice",
        'spec.serviceAccounts[1]: Duplicate value: {"name":"a"}',
        serviceAccounts=[{"name": "a"}, {"name": "a"}],
    ),
    client(
        "too many service accounts",
        "spec.serviceAccounts: Too many: 17: must have at most 16 items",
        UNCHECKED,
        serviceAccounts=[{"name": f"a{index}"} for index in range(17)],
    ),
    client(
        "a service account without a name",
        "spec.serviceAccounts[0].name: Required value",
        UNCHECKED,
        serviceAccounts=[{}],
    ),
    client(
        "too many authorities",
        "spec.authorities: Too many: 9: must have at most 8 items",
        UNCHECKED,
        authorities=[{"name": f"a{index}"} for index in range(9)],
    ),
    *(
        client(f"scope {value!r}", refused("spec.scopes[0]", value, SCOPE), scopes=[value])
        for value in ("", "a b", 'a"', "a\\b", "ü", "a\n")
    ),
    client("scope too long", too_long("spec.scopes[0]", 128), UNCHECKED, scopes=["a" * 129]),
    client("a scope twice", 'spec.scopes[1]: Duplicate value: "a"', scopes=["a", "a"]),
    client(
        "too many scopes",
        "spec.scopes: Too many: 65: must have at most 64 items",
        UNCHECKED,
        scopes=[f"s{index}" for index in range(65)],
    ),
    client(
        "a default scope that is none",
        refused("spec.defaultScopes[0]", "a b", SCOPE),
        refused("spec.scopes[0]", "a b", SCOPE),
        scopes=["a b"],
        defaultScopes=["a b"],
    ),
    client(
        "default scope too long",
        too_long("spec.defaultScopes[0]", 128),
        UNCHECKED,
        defaultScopes=["a" * 129],
    ),
    client(
        "a default scope twice",
        'spec.defaultScopes[1]: Duplicate value: "a"',
        scopes=["a"],
        defaultScopes=["a", "a"],
    ),
    client(
        "too many default scopes",
        "spec.defaultScopes: Too many: 65: must have at most 64 items",
        UNCHECKED,
        defaultScopes=[f"s{index}" for index in range(65)],
    ),
    client(
        "a default scope that is not among the scopes",
        "spec.defaultScopes: Invalid value: defaultScopes must be among scopes: add the missing ones to scopes or take "
        "them out of defaultScopes",
        scopes=["a"],
        defaultScopes=["a", "b"],
    ),
    *(
        client(f"audience {value!r}", refused("spec.audiences[0]", value, AUDIENCE), audiences=[value])
        for value in ("", "orders", "https://orders.shop.svc#a", "https://a b", "https://", "//orders")
    ),
    client("audience too long", too_long("spec.audiences[0]", 512), UNCHECKED, audiences=["a:" + "a" * 511]),
    client(
        "too many audiences",
        "spec.audiences: Too many: 33: must have at most 32 items",
        UNCHECKED,
        audiences=["https://a"] * 33,
    ),
    *(
        client(
            f"jwksURI {value!r}",
            refused("spec.jwksURI", value, JWKS_URI),
            tokenEndpointAuthMethod="private_key_jwt",
            jwksURI=value,
        )
        for value in ("", "http://a/", "https://a@b/", "https://a/#b", "https://a/ b", "https://", "https://a/\n", "a")
    ),
    client(
        "jwksURI too long",
        too_long("spec.jwksURI", 512),
        UNCHECKED,
        tokenEndpointAuthMethod="private_key_jwt",
        jwksURI="https://a/" + "a" * 503,
    ),
    *(
        client(f"keys at {uri} for {method}", tokenEndpointAuthMethod=method, jwksURI=uri)
        for method in ("private_key_jwt", "self_signed_tls_client_auth")
        for uri in ("https://billing.example/jwks.json", "https://192.0.2.1:8443/a?b=c", "https://[2001:db8::1]")
    ),
    *(
        client(
            f"lifetime {value}", refused("spec.accessToken.lifetime", value, LIFETIME), accessToken={"lifetime": value}
        )
        for value in ("29s", "24h1s", "0s", "100h")
    ),
    client(
        "another signing algorithm",
        unsupported("spec.accessToken.signingAlgorithm", "HS256", "ES256", "ES384", "EdDSA", "PS256", "RS256"),
        UNCHECKED,
        accessToken={"signingAlgorithm": "HS256"},
    ),
    *(
        client(
            f"claim {name!r}",
            f"spec.accessToken.claims: Invalid value: {message}",
            accessToken={"claims": {name: "x", "tenant": "shop"}},
        )
        for message, names in (
            (RESERVED_CLAIM, ("iss", "sub", "scope", "cnf", "client_id", "act", "active", "mintls_extra")),
            (NO_CLAIM, ("a b", "_a", "1", "ü", "a" * 129)),
        )
        for name in names
    ),
    client(
        "a claim's value too long",
        too_long("spec.accessToken.claims.x", 1024),
        UNCHECKED,
        accessToken={"claims": {"x": "a" * 1025}},
    ),
    client(
        "too many claims",
        "spec.accessToken.claims: Too many: 17: must have at most 16 items",
        UNCHECKED,
        accessToken={"claims": {f"c{number}": "x" for number in range(17)}},
    ),
    *(
        client(
            f"time {value!r}",
            f"spec.tokensNotBefore: Invalid value: {quoted(value)}: spec.tokensNotBefore in body must be of type "
            f"date-time: {quoted(value)}",
            UNCHECKED,
            tokensNotBefore=value,
        )
        for value in ("", "yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z")
    ),
)
