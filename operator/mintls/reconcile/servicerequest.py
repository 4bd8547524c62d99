"""A certificate for a service account that an OAuthClient names: what Kubernetes asks for, by a pod or by hand.

The key is made by whoever asks (the kubelet for a ``PodCertificateRequest``, anybody for a
``CertificateSigningRequest``) and proven to the API server, or in the request. Of a request nothing is taken but the
key and how long it may live: the names are the client's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from mintls.core.oauth.accounting import OAUTH_CLIENT
from mintls.core.oauth.registration import Registration
from mintls.core.pki.errors import InvalidKey
from mintls.core.pki.keys import PublicKey, describe
from mintls.core.pki.names import SubjectName
from mintls.core.pki.origin import Origin
from mintls.core.schedule import renewal_time
from mintls.reconcile import policy
from mintls.reconcile.clienttable import Standing
from mintls.reconcile.credential import AuthorityView
from mintls.reconcile.installation import Installation
from mintls.reconcile.reasons import Reason

SIGNER = "mintls.dev/client"
CLIENT_ANNOTATION = "mintls.dev/client"
"""Names the OAuthClient where several name the service account."""

USAGES = frozenset({"digital signature", "key encipherment", "client auth"})
"""What a client's certificate may be used for (``certificates.k8s.io/v1``, ``KeyUsage``)."""

SHORTEST = timedelta(hours=1)
"""No signer may issue less to a pod (PodCertificateRequest, ``spec.maxExpirationSeconds``)."""
_LONGEST = timedelta(hours=24)
_LONGEST_BACKDATE = timedelta(minutes=4)
"""The API server takes a ``notBefore`` within five minutes of its own clock."""
_REFRESH_MARGIN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        namespace: Of the service account.
        service_account: Its name.
        uid: Of the request, for the jitter of its refresh.
        key: The public key that was proven; ``None`` for one of a kind that nobody here can use.
        longest: How long the certificate may live at most.
        options: What the pod's author says, unverified.
        usages: What the key is to be used for, where that is said.
    """

    namespace: str
    service_account: str
    uid: str
    key: PublicKey | None
    longest: timedelta
    options: Mapping[str, str]
    usages: frozenset[str] = USAGES


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign this.

    Attributes:
        authority: Name of the authority.
        client: Namespace and name of the client.
        subject: Its subject, if that is its identity.
        names: Its alternative names.
        origin: The OAuthClient.
        not_before: Start of its validity.
        not_after: End of its validity.
        refresh: When the next one may be asked for.
    """

    authority: str
    client: tuple[str, str]
    subject: SubjectName | None
    names: tuple[SubjectName, ...]
    origin: Origin
    not_before: datetime
    not_after: datetime
    refresh: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be signed yet: somebody may still make it possible."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Deny:
    """It is refused for good; ``reason`` is the condition's."""

    reason: str
    message: str


type Decision = Sign | Wait | Deny


def decide(
    request: Request,
    clients: Mapping[str, Standing],
    authority: Callable[[str], AuthorityView | None],
    installation: Installation,
    now: datetime,
) -> Decision:
    """What to do with a request.

    Args:
        request: It.
        clients: The OAuthClients of its namespace that name its service account, by their names.
        authority: Finds an authority.
        installation: Names of the installation.
        now: Aware UTC.
    """
    refused = _unfit(request)
    if refused:
        return refused
    chosen = _client(request, clients)
    if isinstance(chosen, Wait):
        return chosen
    registration = _registration(*chosen)
    if isinstance(registration, Wait):
        return registration
    view = _able(registration.authorities[0], authority)
    return view if isinstance(view, Wait) else _sign(request, registration, view, installation, now)


def _registration(name: str, standing: Standing) -> Registration | Wait:
    registration = standing.registration
    if registration is None or standing.problem or standing.contest:
        problem = standing.problem.message if standing.problem else "another client holds its id or its identity"
        return Wait(Reason.CLIENT_INVALID, f'OAuthClient "{name}" cannot have a certificate: {problem}')
    if registration.subject is None:
        return Wait(
            Reason.CLIENT_BRINGS_CERTIFICATE,
            f'OAuthClient "{name}" authenticates by {registration.token_endpoint_auth_method}, not by a certificate '
            "of an authority",
        )
    return registration


def _able(name: str, authority: Callable[[str], AuthorityView | None]) -> AuthorityView | Wait:
    view = authority(name)
    if view is not None and view.elsewhere:
        return Wait(
            Reason.AUTHORITY_NOT_READY,
            f'CertificateAuthority "{name}" has its certificates from a CA elsewhere, which signs for '
            "ClientCertificates only: let the OAuthClient name another authority, or make a ClientCertificate",
        )
    if view is None or view.problem or view.signs_until is None:
        problem = view.problem if view else "there is none of that name"
        return Wait(Reason.AUTHORITY_NOT_READY, f'CertificateAuthority "{name}" cannot sign: {problem}')
    return view


def _sign(
    request: Request, registration: Registration, view: AuthorityView, installation: Installation, now: datetime
) -> Sign | Wait:
    start = now.replace(microsecond=0) - min(view.backdate, _LONGEST_BACKDATE)
    end = min(start + min(request.longest, view.max_duration, _LONGEST), view.signs_until or start)
    if end - start < SHORTEST:
        message = f'CertificateAuthority "{view.name}" signs for less than an hour, which is too short for Kubernetes'
        return Wait(Reason.DURATION_NOT_ALLOWED, message)
    subject, names = policy.leaf_names(registration, (), installation)
    due = renewal_time(start, end, None, request.uid)
    return Sign(
        authority=view.name,
        client=registration.key,
        subject=subject,
        names=names,
        origin=Origin(OAUTH_CLIENT, registration.uid),
        not_before=start,
        not_after=end,
        refresh=min(max(due, start + _REFRESH_MARGIN), end - _REFRESH_MARGIN),
    )


def _unfit(request: Request) -> Deny | None:
    unknown = sorted(set(request.options) - {CLIENT_ANNOTATION})
    if unknown:
        return Deny(
            "UnknownAnnotation", f"{', '.join(unknown)}: only {CLIENT_ANNOTATION} is known, with a client's name"
        )
    if not request.usages <= USAGES:
        excess = ", ".join(sorted(request.usages - USAGES))
        return Deny("UnsupportedUsages", f"{excess}: a client's certificate is for digital signature and client auth")
    try:
        describe(request.key)
    except InvalidKey:
        return Deny("UnsupportedKeyType", "use one of ECDSAP256, ECDSAP384, ECDSAP521, ED25519, RSA3072 and RSA4096")
    return None


def _client(request: Request, clients: Mapping[str, Standing]) -> tuple[str, Standing] | Wait:
    where, account = request.namespace, request.service_account
    named = request.options.get(CLIENT_ANNOTATION)
    if named is not None and named not in clients:
        return Wait(
            Reason.CLIENT_NOT_FOUND,
            f'there is no OAuthClient "{named}" in namespace {where} with service account "{account}" in '
            "spec.serviceAccounts: add it there, or correct the annotation",
        )
    if not clients:
        return Wait(
            Reason.CLIENT_NOT_FOUND,
            f'no OAuthClient in namespace {where} has service account "{account}" in spec.serviceAccounts: '
            "add it there",
        )
    if named is None and len(clients) > 1:
        return Wait(
            Reason.CLIENT_NOT_FOUND,
            f'service account "{account}" is in spec.serviceAccounts of several OAuthClients '
            f"({', '.join(sorted(clients))}): say which by the annotation {CLIENT_ANNOTATION} of the projected volume",
        )
    name = named if named is not None else next(iter(clients))
    return name, clients[name]
