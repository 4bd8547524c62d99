"""What a client wants to be registered as (RFC 7591 section 2, RFC 8705, RFC 9449), and what a grant allows of it.

Members that nobody here understands are ignored (RFC 7591 section 2), and where a member is left out the client gets
the secure default of an OAuthClient rather than the RFC's: the response says what came of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT, KeyNotUsable, keys_of_jwks
from mintls.core.oauth.errors import InvalidClientMetadata, InvalidRedirectUri, Reason
from mintls.core.oauth.form import media_type
from mintls.core.oauth.jwk import PRIVATE_MEMBERS
from mintls.core.oauth.jwks_uri import UriNotUsable, check_uri
from mintls.core.oauth.registration_grant import RegistrationGrant
from mintls.core.oauth.self_signed import SELF_SIGNED, CertificateNotUsable, Jwk, certificates_of_jwks
from mintls.core.oauth.token_request import CLIENT_CREDENTIALS, is_scope
from mintls.core.pki.names import InvalidName, SubjectKind, SubjectName, normalize

SUBJECT_PARAMETERS: Mapping[SubjectKind, str] = {
    SubjectKind.SUBJECT_DN: "tls_client_auth_subject_dn",
    SubjectKind.SAN_DNS: "tls_client_auth_san_dns",
    SubjectKind.SAN_URI: "tls_client_auth_san_uri",
    SubjectKind.SAN_IP: "tls_client_auth_san_ip",
    SubjectKind.SAN_EMAIL: "tls_client_auth_san_email",
}
"""RFC 8705 section 2.1.2."""

_LONGEST_NAME = 256
_MOST_KEYS = 8


class _JwkSet(msgspec.Struct, frozen=True):
    keys: tuple[dict[str, Any], ...]


class ClientMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """The members that are understood, as sent; ``None`` for one that is left out or null (RFC 7592 section 2.2)."""

    token_endpoint_auth_method: str | None = None
    grant_types: tuple[str, ...] | None = None
    response_types: tuple[str, ...] | None = None
    redirect_uris: tuple[str, ...] | None = None
    client_name: str | None = None
    scope: str | None = None
    jwks: _JwkSet | None = None
    jwks_uri: str | None = None
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    tls_client_certificate_bound_access_tokens: bool | None = None
    dpop_bound_access_tokens: bool | None = None
    # Of an update alone (RFC 7592 section 2.2): the first has to be there, the others must not be.
    client_id: str | None = None
    registration_access_token: str | None = None
    registration_client_uri: str | None = None
    client_id_issued_at: int | None = None
    client_secret_expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Permitted:
    """What the client will be registered as.

    Attributes:
        client_name: A name for people, "" for none.
        method: ``token_endpoint_auth_method``.
        subject: The name of its certificate; ``None`` for the SPIFFE ID that it gets with its name.
        keys: ``jwks``, as sent.
        jwks_uri: Where they are instead, "" if nowhere else.
        scopes: Scopes that it may ask for.
        certificate_bound: ``tls_client_certificate_bound_access_tokens``.
        dpop_bound: ``dpop_bound_access_tokens``.
    """

    client_name: str
    method: str
    subject: SubjectName | None
    keys: tuple[Mapping[str, Any], ...]
    jwks_uri: str
    scopes: tuple[str, ...]
    certificate_bound: bool
    dpop_bound: bool


_decoder = msgspec.json.Decoder(ClientMetadata)


def read_metadata(content_type: str | None, body: bytes) -> ClientMetadata:
    """The metadata of a request (RFC 7591 section 3.1).

    Raises:
        InvalidClientMetadata: The body is no JSON object, or a member is of the wrong type.
    """
    if media_type(content_type) != "application/json":
        raise _refused("the Content-Type must be application/json")
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _refused(f"the body must be a JSON object of client metadata: {error}") from None


def check_update(metadata: ClientMetadata, client_id: str) -> None:
    """What an update has to have beside a registration's members, and must not have (RFC 7592 section 2.2).

    Raises:
        InvalidClientMetadata: It lacks the client's id, or has what the issuer alone says.
    """
    if metadata.client_id != client_id:
        raise _refused("client_id must be that of the client")
    for name in (
        "registration_access_token",
        "registration_client_uri",
        "client_id_issued_at",
        "client_secret_expires_at",
    ):
        if getattr(metadata, name) is not None:
            raise _refused(f"{name} must not be in an update: leave it out")


def permit(metadata: ClientMetadata, grant: RegistrationGrant) -> Permitted:
    """What the holder of a grant gets of what it asks for.

    Raises:
        InvalidClientMetadata: A value is malformed, does not go with another, or is more than the grant allows.
        InvalidRedirectUri: There is a redirect URI.
    """
    if metadata.redirect_uris:
        raise InvalidRedirectUri(Reason.WRONG_METADATA, "redirect_uris must be left out: no grant here redirects")
    if metadata.response_types:
        raise _refused("response_types must be empty: there is no authorization endpoint")
    if metadata.grant_types is not None and set(metadata.grant_types) != {CLIENT_CREDENTIALS}:
        raise _refused(f"grant_types must be {CLIENT_CREDENTIALS} alone, or left out")
    method = metadata.token_endpoint_auth_method or grant.methods[0]
    if method not in grant.methods:
        raise _refused(f"token_endpoint_auth_method must be one of {', '.join(grant.methods)}")
    bound = metadata.tls_client_certificate_bound_access_tokens
    return Permitted(
        client_name=_client_name(metadata),
        method=method,
        subject=_subject(metadata, method),
        keys=_keys(metadata, method),
        jwks_uri=_jwks_uri(metadata, method),
        scopes=_scopes(metadata, grant),
        certificate_bound=bound is None or bound,
        dpop_bound=bool(metadata.dpop_bound_access_tokens),
    )


def _client_name(metadata: ClientMetadata) -> str:
    name = metadata.client_name or ""
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise _refused(f"client_name must be at most {_LONGEST_NAME} characters that can be printed")
    return name


def _subject(metadata: ClientMetadata, method: str) -> SubjectName | None:
    """RFC 8705 section 2.1.2: exactly one. Left out, it is the SPIFFE ID, which only its own client can have."""
    stated = [
        SubjectName(kind, value)
        for kind in SubjectKind
        if (value := getattr(metadata, SUBJECT_PARAMETERS[kind])) is not None
    ]
    if not stated:
        return None
    if len(stated) > 1 or method != "tls_client_auth":
        raise _refused(
            "exactly one of tls_client_auth_subject_dn, tls_client_auth_san_dns, tls_client_auth_san_uri, "
            "tls_client_auth_san_ip and tls_client_auth_san_email goes with tls_client_auth, and none with another "
            "method (RFC 8705 section 2.1.2)"
        )
    try:
        normalize(stated[0])
    except InvalidName as error:
        raise _refused(f"{SUBJECT_PARAMETERS[stated[0].kind]} cannot be used: {error}") from None
    return stated[0]


def _keys(metadata: ClientMetadata, method: str) -> tuple[Mapping[str, Any], ...]:
    wants_keys = method in {SELF_SIGNED, PRIVATE_KEY_JWT} and metadata.jwks_uri is None
    keys = metadata.jwks.keys if metadata.jwks else ()
    if wants_keys != bool(keys):
        without = "jwks_uri" if metadata.jwks_uri is not None else method
        raise _refused(f"jwks must {f'have the keys of {method}' if wants_keys else f'be left out with {without}'}")
    if len(keys) > _MOST_KEYS:
        raise _refused(f"jwks has {len(keys)} keys: at most {_MOST_KEYS} can be registered")
    for at, key in enumerate(keys):
        if secret := sorted(PRIVATE_MEMBERS & key.keys()):
            raise _refused(
                f"jwks.keys[{at}] has {secret[0]}: a private key has to be replaced now, register public ones"
            )
    try:
        stated = [Jwk(members=key, x5c=_x5c(key, f"jwks.keys[{at}]")) for at, key in enumerate(keys)]
        check = certificates_of_jwks if method == SELF_SIGNED else keys_of_jwks
        check(stated, "jwks.keys")
    except (CertificateNotUsable, KeyNotUsable) as error:
        raise _refused(str(error)) from None
    return keys


def _jwks_uri(metadata: ClientMetadata, method: str) -> str:
    """RFC 7591 section 2: never beside jwks, which ``_keys`` sees to."""
    if metadata.jwks_uri is None:
        return ""
    if method not in {SELF_SIGNED, PRIVATE_KEY_JWT}:
        raise _refused(f"jwks_uri must be left out with {method}")
    try:
        return check_uri(metadata.jwks_uri)
    except UriNotUsable as error:
        raise _refused(f"jwks_uri {error}") from None


def _x5c(key: Mapping[str, Any], path: str) -> tuple[str, ...]:
    value = key.get("x5c", [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refused(f"{path}.x5c must be an array of strings (RFC 7517 section 4.7)")
    return tuple(value)


def _scopes(metadata: ClientMetadata, grant: RegistrationGrant) -> tuple[str, ...]:
    """RFC 7591 section 2: a default set where it is left out, here all of the grant's."""
    if metadata.scope is None:
        return grant.scopes
    scopes = tuple(dict.fromkeys(metadata.scope.split(" "))) if metadata.scope else ()
    if not all(is_scope(scope) for scope in scopes) or not set(scopes) <= set(grant.scopes):
        raise _refused(f"scope must be of these, with one blank between two: {' '.join(grant.scopes) or '(none)'}")
    return scopes


def _refused(problem: str) -> InvalidClientMetadata:
    return InvalidClientMetadata(Reason.WRONG_METADATA, problem)
