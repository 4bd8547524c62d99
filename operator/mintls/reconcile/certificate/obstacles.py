"""What keeps a ClientCertificate from having a certificate: an ordered chain of checks named after the obstacle."""

from mintls.core.durations import DurationError, parse_duration, parse_renew_before, spell_duration
from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT
from mintls.core.oauth.registration import Registration
from mintls.core.pki.errors import InvalidName, RequestBroken
from mintls.core.pki.keys import describe
from mintls.core.pki.names import NormalizedName, SubjectName, normalize
from mintls.core.pki.request import read_request
from mintls.reconcile import allowednames, policy
from mintls.reconcile.allowednames import Place
from mintls.reconcile.certificate.values import Blocked, Observed
from mintls.reconcile.credential import HAND_OVER_TO, Violation
from mintls.reconcile.keyspec import encoding_problem, key_problem
from mintls.reconcile.reasons import Reason


def _revoked(seen: Observed) -> Blocked | None:
    if not seen.certificate.spec.revoked:
        return None
    return _stall(
        Reason.REVOKED,
        "spec.revoked ended every certificate of this object, and no other is issued for it: delete it, and create "
        "another ClientCertificate for another certificate",
    )


def _client_not_found(seen: Observed) -> Blocked | None:
    if seen.registration is not None or seen.client_problem:
        return None
    meta, name = seen.certificate.metadata, seen.certificate.spec.client_ref.name
    return _wait(
        Reason.CLIENT_NOT_FOUND,
        f'there is no OAuthClient "{name}" in namespace {meta.namespace}: create it, or correct spec.clientRef.name',
    )


def _client_invalid(seen: Observed) -> Blocked | None:
    if not seen.client_problem:
        return None
    return _stall(
        Reason.CLIENT_INVALID,
        f'OAuthClient "{seen.certificate.spec.client_ref.name}" cannot have a certificate: {seen.client_problem}',
    )


def _client_in_conflict(seen: Observed) -> Blocked | None:
    if seen.contest is None:
        return None
    return _stall(
        Reason.CLIENT_IN_CONFLICT,
        f"the {seen.contest.what} of OAuthClient "
        f'"{seen.certificate.spec.client_ref.name}" is held by another client: see the conditions of the OAuthClient',
    )


def _client_brings_certificates(seen: Observed) -> Blocked | None:
    if seen.registration is None or seen.registration.subject is not None:
        return None
    return _stall(
        Reason.CLIENT_BRINGS_CERTIFICATE,
        f'OAuthClient "{seen.certificate.spec.client_ref.name}" authenticates by {_brought(seen.registration)} that it '
        "brings itself, so no authority issues one for it: delete this ClientCertificate, or set the client's "
        "tokenEndpointAuthMethod to tls_client_auth",
    )


def _brought(registration: Registration) -> str:
    by_key = registration.token_endpoint_auth_method == PRIVATE_KEY_JWT
    return "keys" if by_key else "self-signed certificates"


def _spec_unreadable(seen: Observed) -> Blocked | None:
    spec = seen.certificate.spec
    try:
        parse_duration(spec.duration)
        parse_renew_before(spec.renew_before or spec.duration)
    except DurationError as invalid:
        return _stall(Reason.INVALID_SPEC, f"spec.duration or spec.renewBefore: {invalid}")
    try:
        request = read_request(spec.request) if spec.request else None
    except RequestBroken as broken:
        return _stall(Reason.INVALID_SPEC, f"spec.request {broken}")
    if request is not None:
        return None
    problem = key_problem(spec.private_key) or encoding_problem(spec.private_key)
    return _stall(Reason.INVALID_SPEC, f"spec.{problem}") if problem else None


def _name_not_allowed(seen: Observed) -> Blocked | None:
    spec, authority = seen.certificate.spec, seen.authority
    place = Place(seen.certificate.metadata.namespace, seen.namespace_labels, seen.installation)
    rules = authority.allowed_names if authority else ()
    # A request may well ask for what the client has anyway.
    own = {normalize(name) for name in own_names(seen)}
    further = [name for name in allowednames.further_names(spec) if not _is_one_of(name, own)]
    problem = allowednames.refusal(further, place, spec.authority_ref.name, rules)
    return _stall(Reason.NAME_NOT_ALLOWED, f"spec.{problem}") if problem else None


def own_names(seen: Observed) -> tuple[SubjectName, ...]:
    """The names that the client's certificate carries anyway."""
    if seen.registration is None:
        return ()
    subject, names = policy.leaf_names(seen.registration, (), seen.installation)
    return (*names, *((subject,) if subject else ()))


def _is_one_of(name: SubjectName, names: set[NormalizedName]) -> bool:
    try:
        return normalize(name) in names
    except InvalidName:
        return False


def _key_not_allowed(seen: Observed) -> Blocked | None:
    spec, authority = seen.certificate.spec, seen.authority
    algorithm = describe(read_request(spec.request).key).algorithm if spec.request else spec.private_key.algorithm
    if authority is None or not authority.key_algorithms or algorithm in authority.key_algorithms:
        return None
    field = "spec.request: the key is" if spec.request else "spec.privateKey.algorithm"
    return _stall(
        Reason.KEY_NOT_ALLOWED,
        f'{field} {algorithm}: CertificateAuthority "{authority.name}" signs for keys of '
        f"{' and '.join(authority.key_algorithms)} only (spec.policy.keyAlgorithms)",
    )


def _authority_not_found(seen: Observed) -> Blocked | None:
    if seen.authority is not None:
        return None
    name = seen.certificate.spec.authority_ref.name
    return _wait(
        Reason.AUTHORITY_NOT_FOUND,
        f'there is no CertificateAuthority "{name}": create it, or correct spec.authorityRef.name',
    )


def _authority_never_ready(seen: Observed) -> Blocked | None:
    if seen.authority is None or seen.authority.root is not None:
        return None
    return _wait(
        Reason.AUTHORITY_NOT_READY,
        f'CertificateAuthority "{seen.authority.name}" cannot sign: {seen.authority.problem}',
    )


def _duration_not_allowed(seen: Observed) -> Blocked | None:
    if seen.authority is None:
        return None
    duration, limits = parse_duration(seen.certificate.spec.duration), seen.authority
    if limits.min_duration <= duration <= limits.max_duration:
        return None
    return _stall(
        Reason.DURATION_NOT_ALLOWED,
        f"spec.duration {seen.certificate.spec.duration}: CertificateAuthority "
        f'"{limits.name}" allows from {spell_duration(limits.min_duration)} to {spell_duration(limits.max_duration)}',
    )


def _secret_claimed(seen: Observed) -> Blocked | None:
    if not seen.rival:
        return None
    return _stall(
        Reason.SECRET_CLAIMED,
        f'ClientCertificate "{seen.rival}" was first to write to Secret "{seen.certificate.spec.secret_name}": '
        "give each its own spec.secretName",
    )


def _secret_not_owned(seen: Observed) -> Blocked | None:
    if seen.secret is None or is_ours(seen):
        return None
    meta, name = seen.certificate.metadata, seen.certificate.spec.secret_name
    if not is_handed_over(seen):
        return _stall(
            Reason.SECRET_NOT_OWNED,
            f'Secret "{name}" exists and does not belong to this ClientCertificate; it is left as it is: delete it, '
            f"hand it over by the annotation {HAND_OVER_TO}={meta.name} on it, or make a ClientCertificate with "
            "another spec.secretName",
        )
    problem = _unfit(seen)
    if not problem:
        return None
    return _stall(
        Reason.SECRET_NOT_OWNED,
        f'Secret "{name}" was handed over by the annotation {HAND_OVER_TO} and cannot be taken: {problem}; it is left '
        "as it is: delete it, or make a ClientCertificate with another spec.secretName",
    )


def _unfit(seen: Observed) -> str:
    """Why a Secret that was handed over cannot become ours; "" if it can, or is not read yet."""
    if seen.secret is not None and seen.secret.controller:
        return "another object controls it, as its ownerReferences say"
    if seen.contents is None:
        return ""
    wanted = "Opaque" if seen.certificate.spec.request else "kubernetes.io/tls"
    if seen.contents.type != wanted:
        return f'it is of type "{seen.contents.type}", and has to be of type "{wanted}"'
    return "it is immutable" if seen.contents.immutable else ""


OBSTACLES = (
    _revoked,
    _client_not_found,
    _client_invalid,
    _client_in_conflict,
    _client_brings_certificates,
    _spec_unreadable,
    _authority_not_found,
    _name_not_allowed,
    _key_not_allowed,
    _authority_never_ready,
    _duration_not_allowed,
    _secret_claimed,
    _secret_not_owned,
)


def first_obstacle(seen: Observed) -> Blocked | None:
    """The first thing that is in the way, or ``None``."""
    return next((blocked for check in OBSTACLES if (blocked := check(seen))), None)


def is_ours(seen: Observed) -> bool:
    """Whether the Secret is controlled by this very ClientCertificate."""
    return seen.secret is not None and seen.secret.controller == seen.certificate.metadata.uid


def is_handed_over(seen: Observed) -> bool:
    """Whether somebody says on a Secret of his own that this ClientCertificate shall have it."""
    return seen.secret is not None and seen.secret.annotations.get(HAND_OVER_TO) == seen.certificate.metadata.name


def _wait(reason: Reason, message: str) -> Blocked:
    return Blocked(Violation(reason, message), stalled=False)


def _stall(reason: Reason, message: str) -> Blocked:
    return Blocked(Violation(reason, message), stalled=True)
