"""Who the caller is: mutual-TLS client authentication by PKI and by self-signed certificates (RFC 8705 section 2).

An unknown, a suspended and a wrong client get the same answer after the same steps: every check of every method is
made, on a stand-in if there is no such client, and only the audit log learns which one failed. Which method counts is
what the registration says, never what the certificate looks like.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from mintls.core.oauth.accounting import AccountOf, discredited
from mintls.core.oauth.client import Client, prepare
from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT, verify_assertion
from mintls.core.oauth.errors import InvalidClient, Reason, TemporarilyUnavailable
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.self_signed import SELF_SIGNED
from mintls.core.oauth.spent import Spent
from mintls.core.pki.certificate import CertificateFacts
from mintls.core.pki.errors import PathInvalid, PathProblem
from mintls.core.pki.names import NormalizedName, SubjectKind, SubjectName
from mintls.core.pki.trust import Path

type PathTo = Callable[[str], Path]
"""The validated path from the caller's certificate to the keys of the authority of that name; raises PathInvalid."""

_NOBODY = prepare(
    Registration(
        namespace="",
        name="",
        uid="",
        generation=0,
        created=datetime(1970, 1, 1, tzinfo=UTC),
        client_id="",
        client_name="",
        token_endpoint_auth_method="tls_client_auth",
        # RFC 2606 section 2 reserves it. A certificate may well carry it: being unknown is a violation of its own.
        subject=SubjectName(SubjectKind.SAN_URI, "spiffe://invalid/nobody"),
        certificates=(),
        authorities=("default",),
        grant_types=(),
        scopes=(),
        default_scopes=(),
        audiences=(),
        access_token_lifetime=timedelta(0),
        certificate_bound=True,
        suspended=False,
        tokens_not_before=None,
    ),
    issuer="",
)

_PROBLEMS = {
    PathProblem.EXPIRED: Reason.EXPIRED_CERTIFICATE,
    PathProblem.NOT_YET_VALID: Reason.NOT_YET_VALID_CERTIFICATE,
    PathProblem.WRONG_USAGE: Reason.WRONG_USAGE,
}


class _Violation(msgspec.Struct, frozen=True):
    reason: Reason
    detail: str = ""


def authenticate(
    client: Client | None,
    certificate: CertificateFacts | None,
    path_to: PathTo,
    account_of: AccountOf,
    now: datetime,
) -> tuple[Client, CertificateFacts]:
    """Make sure that the caller is the client.

    Args:
        client: The client that the caller says it is, ``None`` if there is none of that id.
        certificate: What it presented in the TLS handshake, whose key it has proven to hold.
        path_to: Finds the path to an authority.
        account_of: Finds the ClientCertificate that it was issued for.
        now: Aware UTC. The certificate and each CA above it have to be valid now, however old the connection is.

    Returns:
        The client, and the certificate that it authenticated with.

    Raises:
        InvalidClient: It is not; ``reason`` says why.
        TemporarilyUnavailable: Its certificates are elsewhere and nobody knows them.
    """
    if certificate is None:
        raise InvalidClient(Reason.NO_CERTIFICATE)
    candidate = client or _NOBODY
    proven = _not_proven(candidate, certificate, path_to, account_of, now)
    first = _first(_unknown(client), *proven, _suspended(candidate))
    if first and first.reason is Reason.NO_CLIENT_KEYS and not candidate.registration.suspended:
        raise TemporarilyUnavailable(first.reason, first.detail)
    if first:
        raise InvalidClient(first.reason, first.detail)
    return candidate, certificate


def authenticate_by_assertion(
    client: Client | None, assertion: str, *, client_id: str, issuer: str, now: datetime
) -> tuple[Client, Spent]:
    """Make sure that the caller is the client, by its assertion (RFC 7523). A certificate plays no part in it.

    Args:
        client: The client that the caller says it is, ``None`` if there is none of that id.
        assertion: The JWT.
        client_id: What the caller says.
        issuer: This issuer's identifier.
        now: Aware UTC.

    Returns:
        The client, and what has to be spent before anything is given to it.

    Raises:
        InvalidClient: It is not; ``reason`` says why.
        TemporarilyUnavailable: Its keys are elsewhere and nobody knows them.
    """
    candidate = client or _NOBODY
    known = candidate.keys_at(now)
    if known is None and not candidate.registration.suspended:
        raise TemporarilyUnavailable(Reason.NO_CLIENT_KEYS)
    keys = known.keys if known else ()
    spent = verify_assertion(assertion, client_id=client_id, keys=keys, issuer=issuer, now=now)
    method = candidate.registration.token_endpoint_auth_method
    proven = None if method == PRIVATE_KEY_JWT and keys else _Violation(Reason.UNSUPPORTED_METHOD, method)
    first = _first(_unknown(client), proven, _suspended(candidate))
    if first:
        raise InvalidClient(first.reason, first.detail)
    return candidate, spent


def is_identity(
    identity: NormalizedName, authority: str, certificate: CertificateFacts | None, path_to: PathTo, now: datetime
) -> bool:
    """Whether the caller's certificate carries the name and the authority vouches for it now."""
    if certificate is None:
        return False
    return identity in certificate.names and isinstance(_path(authority, path_to, now), Path)


def _first(*violations: _Violation | None) -> _Violation | None:
    for violation in violations:
        if violation:
            return violation
    return None


def _unknown(client: Client | None) -> _Violation | None:
    return _Violation(Reason.UNKNOWN_CLIENT) if client is None else None


def _not_proven(
    client: Client, certificate: CertificateFacts, path_to: PathTo, account_of: AccountOf, now: datetime
) -> tuple[_Violation | None, ...]:
    """What the client's own method finds. The others' checks are made too, so that no time tells the method."""
    by_method = {
        "tls_client_auth": (
            _untrusted(client, certificate, path_to, now),
            _wrong_name(client, certificate),
            _discredited(client, certificate, account_of),
        ),
        SELF_SIGNED: (_unregistered(client, certificate, now), _outside_validity(certificate, now)),
    }
    method = client.registration.token_endpoint_auth_method
    return by_method.get(method, (_Violation(Reason.UNSUPPORTED_METHOD, method),))


def _untrusted(client: Client, certificate: CertificateFacts, path_to: PathTo, now: datetime) -> _Violation | None:
    """One of the client's authorities has to vouch; what a CA of the same name signs counts for nothing."""
    authorities = client.registration.authorities
    problems = [_not_vouched_for(certificate, authority, path_to, now) for authority in authorities]
    if None in problems:
        return None
    # Of several the most telling one: an expired certificate is expired, however many others do not know it.
    telling = (problem for problem in problems if problem and problem.reason is not Reason.UNTRUSTED_CERTIFICATE)
    return next(telling, None) or next(iter(problems), None) or _Violation(Reason.UNTRUSTED_CERTIFICATE)


def _not_vouched_for(
    certificate: CertificateFacts, authority: str, path_to: PathTo, now: datetime
) -> _Violation | None:
    path = _path(authority, path_to, now)
    if isinstance(path, _Violation):
        return path
    if path.accountable and certificate.origin is None:
        return _Violation(Reason.UNACCOUNTED_CERTIFICATE, f"authority {authority}")
    return None


def _discredited(client: Client, certificate: CertificateFacts, account_of: AccountOf) -> _Violation | None:
    """What was issued for an object ends with it, and with its word, in open connections too."""
    problem = discredited(certificate.origin, client.registration, account_of)
    return _Violation(*problem) if problem else None


def _path(authority: str, path_to: PathTo, now: datetime) -> Path | _Violation:
    try:
        path = path_to(authority)
    except PathInvalid as error:
        return _Violation(_PROBLEMS.get(error.reason, Reason.UNTRUSTED_CERTIFICATE), f"authority {authority}: {error}")
    # The handshake does not look at the time, and a path may have been found long ago: this is the check that counts.
    return _outside_validity(path, now) or path


def _outside_validity(validity: Path | CertificateFacts, now: datetime) -> _Violation | None:
    if now < validity.not_before:
        return _Violation(Reason.NOT_YET_VALID_CERTIFICATE, f"not valid before {validity.not_before.isoformat()}")
    if now > validity.not_after:
        return _Violation(Reason.EXPIRED_CERTIFICATE, f"not valid after {validity.not_after.isoformat()}")
    return None


def _unregistered(client: Client, certificate: CertificateFacts, now: datetime) -> _Violation | None:
    """Whole certificate against whole certificate (RFC 8705 section 2.2): a new one of the same key is another one."""
    keys = client.keys_at(now)
    if keys is None:
        return _Violation(Reason.NO_CLIENT_KEYS)
    if certificate.certificate in keys.certificates:
        return None
    registered = len(keys.certificates)
    return _Violation(Reason.UNREGISTERED_CERTIFICATE, f"none of the {registered} certificates of the client")


def _wrong_name(client: Client, certificate: CertificateFacts) -> _Violation | None:
    """Whole value against whole value, of the leaf alone (RFC 8705 section 2.1.2)."""
    if client.name is not None and client.name in certificate.names:
        return None
    subject = client.registration.subject
    return _Violation(Reason.WRONG_NAME, f"expected {subject.value[:256]!r}" if subject else "")


def _suspended(client: Client) -> _Violation | None:
    return _Violation(Reason.SUSPENDED_CLIENT) if client.registration.suspended else None
