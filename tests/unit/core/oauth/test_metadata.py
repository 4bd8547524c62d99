"""What the issuer says of itself."""

import pytest

from mintls.core.oauth.errors import InvalidRequest, Reason
from mintls.core.oauth.metadata import base_path, server_metadata, well_known_paths


def test_the_whole_document() -> None:
    authenticated = {
        "token_endpoint": "https://m:9443/token",
        "introspection_endpoint": "https://m:9443/introspect",
        "revocation_endpoint": "https://m:9443/revoke",
    }
    assert server_metadata("https://i:8443", "https://m:9443") == {
        "issuer": "https://i:8443",
        "jwks_uri": "https://i:8443/jwks",
        **authenticated,
        "mtls_endpoint_aliases": authenticated,
        "tls_client_certificate_bound_access_tokens": True,
        "grant_types_supported": ("client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"),
        "token_endpoint_auth_methods_supported": ("tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"),
        "introspection_endpoint_auth_methods_supported": (
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "private_key_jwt",
        ),
        "revocation_endpoint_auth_methods_supported": (
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "private_key_jwt",
        ),
        **{
            f"{endpoint}_endpoint_auth_signing_alg_values_supported": ("ES256", "ES384", "PS256", "RS256", "EdDSA")
            for endpoint in ("token", "introspection", "revocation")
        },
        "dpop_signing_alg_values_supported": ("ES256", "ES384", "PS256", "RS256", "EdDSA"),
        "introspection_signing_alg_values_supported": ("ES256",),
        "response_types_supported": (),
        "subject_types_supported": ("public",),
        "id_token_signing_alg_values_supported": ("ES256",),
    }


@pytest.mark.parametrize("issuer", ["https://i", "https://i/", "https://i/a", "https://i/a/"])
def test_the_issuer_is_repeated_letter_by_letter_and_endpoints_have_one_slash(issuer: str) -> None:
    document = server_metadata(issuer, "https://m/")
    assert document["issuer"] == issuer
    assert document["jwks_uri"] == issuer.rstrip("/") + "/jwks"
    assert document["token_endpoint"] == "https://m/token"


@pytest.mark.parametrize(
    ("issuer", "paths"),
    [
        ("https://i:8443", ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")),
        ("https://i/", ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")),
        (
            "https://i/a/b",
            (
                "/.well-known/oauth-authorization-server/a/b",
                "/.well-known/openid-configuration/a/b",
                "/a/b/.well-known/openid-configuration",
            ),
        ),
    ],
)
def test_where_the_document_is(issuer: str, paths: tuple[str, ...]) -> None:
    assert well_known_paths(issuer) == paths


def test_the_base_path_has_no_final_slash() -> None:
    assert [base_path(url) for url in ("https://i", "https://i/", "https://i/a/")] == ["", "", "/a"]


@pytest.mark.parametrize("reason", Reason)
def test_every_invalid_request_says_what_to_do_or_is_another_error(reason: Reason) -> None:
    other = {
        *("authorization_header", "no_certificate", "unreadable_certificate", "unknown_client", "unsupported_method"),
        *("untrusted_certificate", "expired_certificate", "not_yet_valid_certificate", "wrong_usage", "wrong_name"),
        *(
            "unregistered_certificate",
            "suspended_client",
            "unknown_grant_type",
            "unregistered_grant_type",
            "malformed_scope",
        ),
        *("unregistered_scope", "malformed_resource", "unregistered_resource", "not_the_operator", "no_signing_key"),
        *("unaccounted_certificate", "orphaned_certificate", "revoked_certificate", "forwarded_certificate"),
        *("wrong_proof", "replayed_proof", "no_nonce"),
        *("no_access_token", "wrong_token", "wrong_audience", "unbound_token", "no_possession", "missing_scope"),
        *("wrong_initial_token", "wrong_registration_token", "wrong_metadata", "taken"),
        *("grant_exhausted", "grant_gone", "kept_elsewhere", "no_registry"),
        *("no_ledger", "too_many_requests", "wrong_assertion", "replayed_assertion", "no_client_keys"),
        "no_review",
    }
    if reason in other:
        return
    assert InvalidRequest(reason, "detail").description.isascii()
