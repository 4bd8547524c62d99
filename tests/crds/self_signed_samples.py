"""OAuthClients that register self-signed certificates."""

from typing import Any

from crds.sample import UNCHECKED, Sample, client, refused, too_long, unsupported

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
JWK = {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "x5c": ["MIIB"]}
ONE = (
    "spec.tokenEndpointAuthMethod: Invalid value: self_signed_tls_client_auth needs the client's certificates: set "
    "exactly one of certificates and jwks (RFC 8705 section 2.2.2)"
)
OTHER_METHOD = (
    "spec.tokenEndpointAuthMethod: Invalid value: certificates and jwks are for self_signed_tls_client_auth: set that "
    "method, or leave them out (with tls_client_auth the certificate's name is registered, in tlsClientAuth)"
)
NO_NAME = (
    "spec.tlsClientAuth: Invalid value: tlsClientAuth is for tls_client_auth: a self-signed certificate is compared "
    "whole, so leave it out"
)
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


SELF_SIGNED = (
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
    self_signed("with a name", NO_NAME, certificates=[PEM], tlsClientAuth={"sanDNS": "billing.shop.svc"}),
    client("certificates with another method", OTHER_METHOD, certificates=[PEM]),
    client("jwks with another method", OTHER_METHOD, tokenEndpointAuthMethod="tls_client_auth", jwks={"keys": [JWK]}),
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
        *(f"spec.jwks.keys[0].{name}: Required value" for name in ("kty", "x5c")),
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
