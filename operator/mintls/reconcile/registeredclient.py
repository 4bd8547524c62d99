"""OAuthClients that were made at the issuer's registration endpoint (RFC 7591), and who may manage them (RFC 7592).

Such an object is like any other, but for a label, which says by which grant it came, and an annotation with the hashes
of its registration access tokens. Whoever may write objects of the namespace could set both: that gives nobody more
than they have.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Any

import msgspec

from mintls.api.v1alpha1 import GROUP, VERSION, OAuthClient
from mintls.api.v1alpha1.oauthclient import JWK
from mintls.core.oauth.client_metadata import Permitted
from mintls.core.oauth.registration_grant import RegistrationGrant
from mintls.core.pki.names import SubjectKind, SubjectName

type Object = dict[str, Any]

GRANT_LABEL = "mintls.dev/registration-grant"
TOKENS_ANNOTATION = "mintls.dev/registration-access-tokens"
"""Hashes of the tokens that manage the client, the newest first, in base64url with a blank between."""

_SUBJECT_FIELDS: Mapping[SubjectKind, str] = {
    SubjectKind.SUBJECT_DN: "subjectDN",
    SubjectKind.SAN_DNS: "sanDNS",
    SubjectKind.SAN_URI: "sanURI",
    SubjectKind.SAN_IP: "sanIP",
    SubjectKind.SAN_EMAIL: "sanEmail",
}
_JWK_MEMBERS = frozenset(field.encode_name for field in msgspec.structs.fields(JWK))


def registered_client(name: str, permitted: Permitted, grant: RegistrationGrant, token_hash: bytes) -> Object:
    """The OAuthClient of a new registration.

    Args:
        name: Its name.
        permitted: What it is registered as.
        grant: By which grant.
        token_hash: SHA-256 of its registration access token.
    """
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "OAuthClient",
        "metadata": {
            "name": name,
            "namespace": grant.namespace,
            "labels": {GRANT_LABEL: grant.name},
            "annotations": {TOKENS_ANNOTATION: _written(token_hash)},
        },
        "spec": _spec(permitted, grant),
    }


def updated_client(known: Object, permitted: Permitted, grant: RegistrationGrant) -> Object:
    """The OAuthClient with what it is registered as from now on; nothing of its former spec stays (RFC 7592 2.2)."""
    return {**known, "spec": _spec(permitted, grant)}


def grant_name(client: Object) -> str:
    """By which grant the client came; "" if it was not registered here."""
    return str(client["metadata"].get("labels", {}).get(GRANT_LABEL, ""))


def is_token_of(client: Object, token_hash: bytes) -> bool:
    """Whether a registration access token is one of the client's."""
    # Each is compared, so that it takes as long for the newest as for an older one.
    # As octets: the annotation is not the issuer's alone, and of text compare_digest takes ASCII only.
    wanted = _written(token_hash).encode()
    return sum(hmac.compare_digest(known.encode(), wanted) for known in _tokens(client)) > 0


def has_older_tokens(client: Object, token_hash: bytes) -> bool:
    """Whether the token is the newest, and an older one still counts."""
    tokens = _tokens(client)
    return len(tokens) > 1 and tokens[0] == _written(token_hash)


def with_tokens(client: Object, *token_hashes: bytes) -> Object:
    """The client with these registration access tokens and no other, the newest first."""
    metadata = client["metadata"]
    annotations = {**metadata.get("annotations", {}), TOKENS_ANNOTATION: " ".join(map(_written, token_hashes))}
    return {**client, "metadata": {**metadata, "annotations": annotations}}


def as_client(client: Object) -> OAuthClient:
    """The object as typed struct."""
    return msgspec.convert(client, OAuthClient)


def _spec(permitted: Permitted, grant: RegistrationGrant) -> Object:
    spec: Object = {
        "tokenEndpointAuthMethod": permitted.method,
        "authorities": [{"name": name} for name in grant.authorities],
        "scopes": list(permitted.scopes),
        "audiences": list(grant.audiences),
        "tlsClientCertificateBoundAccessTokens": permitted.certificate_bound,
        "dpopBoundAccessTokens": permitted.dpop_bound,
    }
    if permitted.client_name:
        spec["clientName"] = permitted.client_name
    if permitted.subject is not None:
        spec["tlsClientAuth"] = _subject(permitted.subject)
    if permitted.keys:
        # The API server would leave out what it has no field for, and warn of it.
        spec["jwks"] = {"keys": [{name: key[name] for name in _JWK_MEMBERS & key.keys()} for key in permitted.keys]}
    if permitted.jwks_uri:
        spec["jwksURI"] = permitted.jwks_uri
    return spec


def _subject(subject: SubjectName) -> Object:
    return {_SUBJECT_FIELDS[subject.kind]: subject.value}


def _tokens(client: Object) -> list[str]:
    return str(client["metadata"].get("annotations", {}).get(TOKENS_ANNOTATION, "")).split()


def _written(token_hash: bytes) -> str:
    return base64.urlsafe_b64encode(token_hash).rstrip(b"=").decode("ascii")
