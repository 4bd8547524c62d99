"""What the issuer says of itself: RFC 8414 metadata, which OpenID Connect Discovery also reads. Only what is on."""

from typing import Any
from urllib.parse import urlsplit

from mintls.core.oauth.client_assertion import ALGORITHMS as ASSERTION_ALGORITHMS
from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT
from mintls.core.oauth.dpop import ALGORITHMS as DPOP_ALGORITHMS
from mintls.core.oauth.self_signed import SELF_SIGNED
from mintls.core.oauth.token_request import GRANT_TYPES

AUTH_METHODS = ("tls_client_auth", SELF_SIGNED, PRIVATE_KEY_JWT)
# RFC 8414 section 2: required beside a method that signs.
_SIGNING = {
    f"{endpoint}_endpoint_auth_signing_alg_values_supported": ASSERTION_ALGORITHMS
    for endpoint in ("token", "introspection", "revocation")
}


def well_known_paths(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an issuer is, as paths of its host.

    RFC 8414 section 3 inserts the well-known part between host and path; OpenID Connect Discovery 1.0 section 4
    appends it, and RFC 8414 section 5 knows both for that name.
    """
    path = base_path(issuer)
    paths = (
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
        f"{path}/.well-known/openid-configuration",
    )
    return tuple(dict.fromkeys(paths))


def base_path(url: str) -> str:
    """The path of a URL without a slash at its end: "" for an issuer that is a host alone."""
    return urlsplit(url).path.rstrip("/")


def jwks_uri(issuer: str) -> str:
    """Where the issuer's keys are (``jwks_uri``)."""
    return f"{issuer.rstrip('/')}/jwks"


def client_jwks_uri(issuer: str, client_id: str) -> str:
    """Where the keys of a client are that has keys of its own; a client id needs no escapes (RFC 3986 section 3.3)."""
    return f"{issuer.rstrip('/')}/clients/{client_id}/jwks"


def server_metadata(
    issuer: str,
    mtls: str,
    algorithms: tuple[str, ...] = ("ES256",),
    published: tuple[str, ...] = (),
    *,
    registers: bool = False,
) -> dict[str, Any]:
    """RFC 8414 section 2 with RFC 8705 sections 3.3 and 5.

    Nearly every client has a certificate, so the endpoints that authenticate a client are where the certificate is
    asked for, also for a client that does not read ``mtls_endpoint_aliases``. An assertion is as good there.

    Args:
        issuer: The issuer's identifier, also the base of the endpoints that ask for no certificate.
        mtls: The base of the endpoints that do.
        algorithms: What it signs with by itself.
        published: What there are keys for at ``jwks_uri`` if that is more, because clients ask for it. Keys of one
            client alone are not there, and nothing here speaks of them.
        registers: Whether anybody may register clients.
    """
    base, mtls_base = issuer.rstrip("/"), mtls.rstrip("/")
    authenticated = {
        "token_endpoint": f"{mtls_base}/token",
        "introspection_endpoint": f"{mtls_base}/introspect",
        "revocation_endpoint": f"{mtls_base}/revoke",
    }
    return {
        "issuer": issuer,
        "jwks_uri": jwks_uri(issuer),
        **authenticated,
        **({"registration_endpoint": f"{base}/register"} if registers else {}),
        "mtls_endpoint_aliases": authenticated,
        "tls_client_certificate_bound_access_tokens": True,
        "grant_types_supported": GRANT_TYPES,
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "introspection_endpoint_auth_methods_supported": AUTH_METHODS,
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        **_SIGNING,
        "dpop_signing_alg_values_supported": DPOP_ALGORITHMS,  # RFC 9449 section 5.1
        "introspection_signing_alg_values_supported": algorithms,  # RFC 9701 section 7
        # Section 2 requires it; nothing here uses the authorization endpoint, so there is none.
        "response_types_supported": (),
        # OpenID Connect Discovery 1.0 section 3 requires these two of every provider; its libraries refuse without.
        "subject_types_supported": ("public",),
        "id_token_signing_alg_values_supported": published or algorithms,
    }
