"""OAuthClients that register self-signed certificates."""

from typing import Any

from crds.sample import UNCHECKED, Sample, client, refused, too_long, unsupported

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
JWK = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "x5c": ["MIIB"]}
ONE = (
    "spec.tokenEndpointAuthMethod: Invalid value: self_signed_tls_client_auth needs the client's certificates: set "
    "exactly one of certificates, jwks and jwksURI (RFC 8705 section 2.2.2)"
)
OTHER_METHOD = (
    "spec.tokenEndpointAuthMethod: Invalid value: certificates are for self_signed_tls_client_auth: set that method, "
    "or leave them out (with tls_client_auth the certificate's name is registered, in tlsClientAuth)"
)
NO_JWKS = (
    "spec.tokenEndpointAuthMethod: Invalid value: jwks and jwksURI are for private_key_jwt, which needs exactly one of "
    "them, and for self_signed_tls_client_auth: set one of these methods, or leave them out"
)
NO_NAME = (
    "spec.tlsClientAuth: Invalid value: tlsClientAuth is for tls_client_auth: with another method no name is compared, "
    "so leave it out"
)
NO_X5C = (
    "spec.jwks: Invalid value: each key needs its certificate as x5c: with self_signed_tls_client_auth that is what is "
    "compared (RFC 8705 section 2.2.2)"
)
KEY = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}
NOT_PEM = (
    "must be one certificate in PEM and nothing else, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----; "
    "several certificates are several items, and a private key has no place here"
)
NOT_X5C = (
    "must be a certificate in DER as base64 (RFC 7517 section 4.7): a PEM certificate without its first and last line, "
    "on one line"
)


def self_signed(title: str, *errors: str, **spec: Any) -> Sample:
    """An OAuthClient of the method."""
    return client(f"self-signed, {title}", *errors, tokenEndpointAuthMethod="self_signed_tls_client_auth", **spec)


def by_assertion(title: str, *errors: str, **spec: Any) -> Sample:
    """An OAuthClient that signs assertions."""
    return client(f"private_key_jwt, {title}", *errors, tokenEndpointAuthMethod="private_key_jwt", **spec)


BY_ASSERTION = (
    by_assertion("keys", jwks={"keys": [KEY | {"use": "sig", "alg": "ES256", "kid": "a"}, KEY]}),
    by_assertion("a key with a certificate", jwks={"keys": [JWK]}),
    by_assertion("nothing", NO_JWKS),
    by_assertion("keys in two places", NO_JWKS, jwks={"keys": [KEY]}, jwksURI="https://a/"),
    by_assertion("a certificate", OTHER_METHOD, jwks={"keys": [KEY]}, certificates=[PEM]),
    by_assertion("with a name", NO_NAME, jwks={"keys": [KEY]}, tlsClientAuth={"sanDNS": "billing.shop.svc"}),
)

SELF_SIGNED = (
    *BY_ASSERTION,
    self_signed("a JWK without its certificate", NO_X5C, jwks={"keys": [JWK, KEY]}),
    self_signed("certificates", certificates=[PEM, PEM]),
    self_signed("as long as is allowed", certificates=[PEM.replace("MIIB", "A" * 8000)] * 8),
    self_signed("a JWK Set", jwks={"keys": [JWK]}),
    self_signed(
        "JWKs with all that may be in them",
        jwks={
            "keys": [
                JWK | {"use": "sig", "key_ops": ["verify"], "alg": "ES256", "kid": "a", "x5t": "a", "x5t#S256": "a"},
                {"kty": "RSA", "n": "AA", "e": "AQAB", "x5c": ["A" * 8190 + "=="] * 4},
                {"kty": "OKP", "crv": "Ed25519", "x": "AA", "x5c": ["MIIB"]},
            ]
        },
    ),
    self_signed("an empty list beside a JWK Set", certificates=[], jwks={"keys": [JWK]}),
    self_signed("nothing", ONE),
    self_signed("an empty list", ONE, certificates=[]),
    self_signed("both", ONE, certificates=[PEM], jwks={"keys": [JWK]}),
    self_signed("certificates in two places", ONE, certificates=[PEM], jwksURI="https://a/"),
    self_signed("certificates at a URL and in a JWK Set", ONE, jwks={"keys": [JWK]}, jwksURI="https://a/"),
    client("jwksURI with another method", NO_JWKS, jwksURI="https://a/"),
    self_signed("with a name", NO_NAME, certificates=[PEM], tlsClientAuth={"sanDNS": "billing.shop.svc"}),
    client("certificates with another method", OTHER_METHOD, certificates=[PEM]),
    client("jwks with another method", NO_JWKS, tokenEndpointAuthMethod="tls_client_auth", jwks={"keys": [JWK]}),
    *(
        self_signed(f"PEM {value[:40]!r}", refused("spec.certificates[0]", value, NOT_PEM), certificates=[value])
        for value in (
            "",
            "MIIB",
            PEM + PEM,
            f"CN=billing\n{PEM}",
            PEM.replace("CERTIFICATE", "PRIVATE KEY"),
            PEM.replace("MIIB", ""),
        )
    ),
    self_signed(
        "PEM too long", too_long("spec.certificates[0]", 8192), UNCHECKED, certificates=[PEM.replace("M", "A" * 8192)]
    ),
    self_signed(
        "too many certificates",
        "spec.certificates: Too many: 9: must have at most 8 items",
        UNCHECKED,
        certificates=[PEM] * 9,
    ),
    self_signed(
        "an empty JWK Set",
        "spec.jwks.keys: Invalid value: 0: spec.jwks.keys in body should have at least 1 items",
        jwks={"keys": []},
    ),
    self_signed("no JWKs", "spec.jwks.keys: Required value", UNCHECKED, jwks={}),
    self_signed(
        "too many JWKs", "spec.jwks.keys: Too many: 9: must have at most 8 items", UNCHECKED, jwks={"keys": [JWK] * 9}
    ),
    self_signed(
        "an empty JWK",
        "spec.jwks.keys[0].kty: Required value",
        UNCHECKED,
        jwks={"keys": [{}]},
    ),
    self_signed(
        "a symmetric key",
        unsupported("spec.jwks.keys[0].kty", "oct", "EC", "OKP", "RSA"),
        UNCHECKED,
        jwks={"keys": [JWK | {"kty": "oct"}]},
    ),
    self_signed(
        "no certificate in a JWK",
        "spec.jwks.keys[0].x5c: Invalid value: 0: spec.jwks.keys[0].x5c in body should have at least 1 items",
        NO_X5C,
        jwks={"keys": [JWK | {"x5c": []}]},
    ),
    self_signed(
        "too many certificates in a JWK",
        "spec.jwks.keys[0].x5c: Too many: 5: must have at most 4 items",
        UNCHECKED,
        jwks={"keys": [JWK | {"x5c": ["MIIB"] * 5}]},
    ),
    *(
        self_signed(
            f"x5c {value!r}",
            refused("spec.jwks.keys[0].x5c[0]", value, NOT_X5C),
            jwks={"keys": [JWK | {"x5c": [value]}]},
        )
        for value in ("", "MI_B", "MI\nB", "MIIB===")
    ),
    self_signed(
        "x5c too long",
        too_long("spec.jwks.keys[0].x5c[0]", 8192),
        UNCHECKED,
        jwks={"keys": [JWK | {"x5c": ["A" * 8193]}]},
    ),
)
