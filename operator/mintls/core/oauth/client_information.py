"""What a registration looks like to who may read it (RFC 7592 section 2.1, RFC 7591 section 3.2.1)."""

from typing import Any

from mintls.core.oauth.client import Client
from mintls.core.oauth.client_metadata import SUBJECT_PARAMETERS
from mintls.core.oauth.metadata import client_jwks_uri, jwks_uri
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.self_signed import jwks_of


def client_information(
    client: Client, issuer: str, *, jwks_problem: str = "", signing_problem: str = ""
) -> dict[str, Any]:
    """The client information response.

    Beside RFC 7591's members it has ``mintls_uid``, ``mintls_generation`` and ``mintls_suspended``: by them the
    operator sees that this very generation of the object has arrived; ``mintls_access_token_jwks_uri``, where the keys
    are that verify its tokens; and ``mintls_jwks_problem`` and ``mintls_signing_problem`` if there is one.

    Args:
        client: The client.
        issuer: The issuer's identifier.
        jwks_problem: Why its keys at ``jwks_uri`` are not to be had here, "" if they are.
        signing_problem: Why no token can be signed for it here, "" if one can.
    """
    registration = client.registration
    answer: dict[str, Any] = {
        "client_id": registration.client_id,
        "client_id_issued_at": int(registration.created.timestamp()),
        "token_endpoint_auth_method": registration.token_endpoint_auth_method,
        **_credential(registration),
        "grant_types": registration.grant_types,
        "scope": " ".join(registration.scopes),
        "tls_client_certificate_bound_access_tokens": registration.certificate_bound,
        "dpop_bound_access_tokens": registration.dpop_bound,
        "mintls_uid": registration.uid,
        "mintls_generation": registration.generation,
        "mintls_suspended": registration.suspended,
        "mintls_access_token_jwks_uri": jwks_uri_for(registration, issuer),
    }
    if registration.client_name:
        answer["client_name"] = registration.client_name
    if jwks_problem:
        answer["mintls_jwks_problem"] = jwks_problem
    if signing_problem:
        answer["mintls_signing_problem"] = signing_problem
    return answer


def jwks_uri_for(registration: Registration, issuer: str) -> str:
    """Where the keys are that verify a client's access tokens."""
    if registration.dedicated_key:
        return client_jwks_uri(issuer, registration.client_id)
    return jwks_uri(issuer)


def _credential(registration: Registration) -> dict[str, Any]:
    """By what it authenticates (RFC 8705 sections 2.1.2 and 2.2.2, RFC 7591 section 2)."""
    if registration.jwks_uri:  # RFC 7591 section 2: never beside jwks
        return {"jwks_uri": registration.jwks_uri}
    if registration.keys:
        return {"jwks": {"keys": [key.jwk for key in registration.keys]}}
    if registration.subject is None:
        return {"jwks": jwks_of(registration.certificates)}
    return {SUBJECT_PARAMETERS[registration.subject.kind]: registration.subject.value}
