"""From an OAuthClient's spec to the registration in effect. Operator and issuer both read a spec through this."""

from datetime import UTC, datetime

import msgspec
from cryptography import x509

from mintls.api.v1alpha1.oauthclient import JWK, Identity, OAuthClient, TLSClientAuth
from mintls.core.durations import DurationError, parse_duration
from mintls.core.oauth.claims import claims
from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT, AssertionKey, KeyNotUsable, keys_of_jwks
from mintls.core.oauth.extra_claims import ClaimNotAllowed, check_claims
from mintls.core.oauth.jwks_uri import UriNotUsable, check_uri
from mintls.core.oauth.registration import Claim, Registration, default_client_id, spiffe_id
from mintls.core.oauth.self_signed import (
    SELF_SIGNED,
    CertificateNotUsable,
    Jwk,
    certificates_of_jwks,
    certificates_of_pem,
)
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.reconcile import conditions as conds
from mintls.reconcile.credential import Violation
from mintls.reconcile.installation import Installation
from mintls.reconcile.policy import foreign_identity
from mintls.reconcile.reasons import Reason


class RegistrationRefused(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A client may not be registered as its spec says; the violation names the field and what would be right."""

    def __init__(self, violation: Violation) -> None:
        super().__init__(violation.message)
        self.violation = violation


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def admit(client: OAuthClient, installation: Installation) -> Registration:
    """The effective registration of a client that may be registered. Operator and issuer both admit through this.

    Raises:
        RegistrationRefused: The spec cannot be read, or the identity belongs to another namespace.
    """
    try:
        registration = registration_of(client, installation.trust_domain)
    except DurationError as invalid:
        violation = Violation(Reason.INVALID_SPEC, f"spec.accessToken.lifetime cannot be read: {invalid}")
        raise RegistrationRefused(violation) from invalid
    except UriNotUsable as invalid:
        violation = Violation(Reason.INVALID_SPEC, f"spec.jwksURI {invalid}")
        raise RegistrationRefused(violation) from invalid
    except (CertificateNotUsable, KeyNotUsable, ClaimNotAllowed) as invalid:
        raise RegistrationRefused(Violation(Reason.INVALID_SPEC, str(invalid))) from invalid
    problem = foreign_identity(registration, installation)
    if problem:
        raise RegistrationRefused(Violation(Reason.IDENTITY_NOT_ALLOWED, problem))
    return registration


def registration_of(client: OAuthClient, trust_domain: str) -> Registration:
    """The effective registration of a client: every default resolved.

    Raises:
        DurationError: ``spec.accessToken.lifetime`` is no duration (the API server refuses such an object; an object
            written before the rule existed can still have one).
        CertificateNotUsable: A certificate in the spec can never authenticate the client.
        KeyNotUsable: A key in the spec can never verify an assertion.
        UriNotUsable: ``spec.jwksURI`` is no URL that keys are fetched from.
        ClaimNotAllowed: ``spec.accessToken.claims`` has a claim that the issuer alone may make.
    """
    meta, spec = client.metadata, client.spec
    return Registration(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        generation=meta.generation,
        created=meta.creation_timestamp or _EPOCH,
        client_id=spec.client_id or default_client_id(meta.namespace, meta.name),
        client_name=spec.client_name or "",
        token_endpoint_auth_method=spec.token_endpoint_auth_method,
        subject=subject_of(client, trust_domain) if spec.token_endpoint_auth_method == "tls_client_auth" else None,
        certificates=certificates_of(client),
        authorities=tuple(reference.name for reference in spec.authorities),
        grant_types=tuple(spec.grant_types),
        scopes=spec.scopes,
        default_scopes=spec.scopes if spec.default_scopes is None else spec.default_scopes,
        audiences=spec.audiences,
        access_token_lifetime=parse_duration(spec.access_token.lifetime),
        certificate_bound=spec.tls_client_certificate_bound_access_tokens,
        suspended=spec.suspended,
        tokens_not_before=spec.tokens_not_before,
        extra_claims=extra_claims_of(client),
        ends_with_certificate=spec.access_token.ends_with_certificate,
        keys=keys_of(client),
        dpop_bound=spec.dpop_bound_access_tokens,
        jwks_uri=jwks_uri_of(client),
        signing_algorithm=spec.access_token.signing_algorithm or "",
        dedicated_key=spec.access_token.dedicated_key,
        service_accounts=tuple(account.name for account in spec.service_accounts),
        held=held_by(client),
    )


def held_by(client: OAuthClient) -> tuple[Claim, ...]:
    """What the client was seen to hold: its status says so, which the operator alone writes.

    A status that is lost, or that somebody else's hand was in, costs a client no more than its precedence over those
    that are older.
    """
    status = client.status
    if not status.client_id or conds.holds(status.conditions, "Conflict"):
        return ()
    thumbprints = (one.thumbprint for one in status.certificates)
    return claims(status.client_id, _shown_subject(status.identity), thumbprints)


def _shown_subject(identity: Identity | None) -> SubjectName | None:
    if identity is None or identity.type not in SubjectKind:
        return None
    return SubjectName(SubjectKind(identity.type), identity.value)


def extra_claims_of(client: OAuthClient) -> tuple[tuple[str, str], ...]:
    """Claims that the client's tokens carry beside the issuer's own, by name.

    Raises:
        ClaimNotAllowed: One of them is the issuer's own.
    """
    claims = client.spec.access_token.claims
    if not claims:
        return ()
    check_claims(claims, "spec.accessToken.claims")
    return tuple(sorted(claims.items()))


def jwks_uri_of(client: OAuthClient) -> str:
    """Where the client's keys or certificates are; "" if they are in the spec, or a name is what counts.

    Raises:
        UriNotUsable: It is no URL that they are fetched from.
    """
    by_key = client.spec.token_endpoint_auth_method in {SELF_SIGNED, PRIVATE_KEY_JWT}
    return check_uri(client.spec.jwks_uri) if client.spec.jwks_uri and by_key else ""


def certificates_of(client: OAuthClient) -> tuple[x509.Certificate, ...]:
    """The certificates that the client registers (RFC 8705 section 2.2); none if a name counts, or they are at a URL.

    Raises:
        CertificateNotUsable: One can never authenticate the client, or there is none.
    """
    spec = client.spec
    if spec.token_endpoint_auth_method != SELF_SIGNED or spec.jwks_uri:
        return ()
    stated = certificates_of_pem(spec.certificates, "spec.certificates")
    keys = spec.jwks.keys if spec.jwks else ()
    stated += certificates_of_jwks(map(_jwk, keys), "spec.jwks.keys")
    if not stated:
        raise CertificateNotUsable(
            f"spec.certificates and spec.jwks are empty: {SELF_SIGNED} needs one of them, or spec.jwksURI"
        )
    return tuple(found.certificate for found in stated)


def keys_of(client: OAuthClient) -> tuple[AssertionKey, ...]:
    """The keys that verify the client's assertions (RFC 7523); none if a certificate counts, or they are at a URL.

    Raises:
        KeyNotUsable: One can never verify an assertion, or there is none.
    """
    spec = client.spec
    if spec.token_endpoint_auth_method != PRIVATE_KEY_JWT or spec.jwks_uri:
        return ()
    stated = keys_of_jwks(map(_jwk, spec.jwks.keys if spec.jwks else ()), "spec.jwks.keys")
    if not stated:
        raise KeyNotUsable(
            f"spec.jwks is empty: {PRIVATE_KEY_JWT} needs the client's public keys, there or at spec.jwksURI"
        )
    return stated


def _jwk(key: JWK) -> Jwk:
    return Jwk(members=msgspec.to_builtins(key), x5c=key.x5c)


def subject_of(client: OAuthClient, trust_domain: str) -> SubjectName:
    """The one name that the client's certificate has to carry (RFC 8705 section 2.1.2); default: its SPIFFE ID."""
    meta = client.metadata
    stated = _stated_subject(client.spec.tls_client_auth) if client.spec.tls_client_auth else None
    return stated or SubjectName(SubjectKind.SAN_URI, spiffe_id(trust_domain, meta.namespace, meta.name))


def _stated_subject(auth: TLSClientAuth) -> SubjectName | None:
    """The one that is set; the schema makes sure that there is exactly one."""
    stated = (
        (SubjectKind.SUBJECT_DN, auth.subject_dn),
        (SubjectKind.SAN_DNS, auth.san_dns),
        (SubjectKind.SAN_URI, auth.san_uri),
        (SubjectKind.SAN_IP, auth.san_ip),
        (SubjectKind.SAN_EMAIL, auth.san_email),
    )
    return next((SubjectName(kind, value) for kind, value in stated if value is not None), None)
