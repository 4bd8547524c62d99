"""Steps that several endpoints share."""

from collections.abc import Callable

from mintls.core.oauth.client import Client
from mintls.core.oauth.client_assertion import presented_assertion
from mintls.core.oauth.client_authentication import authenticate, authenticate_by_assertion
from mintls.core.oauth.client_signing_keys import key_for
from mintls.core.oauth.errors import InvalidClient, InvalidToken, OAuthError, Reason, TemporarilyUnavailable, UnknownKey
from mintls.core.oauth.form import Form, check_charset, media_type, parse_form
from mintls.core.oauth.forwarded_certificate import handed_on_chain
from mintls.core.oauth.json_body import MEDIA_TYPE, parse_json
from mintls.core.oauth.signing_keys import SigningKey, signing_key
from mintls.core.oauth.spent import Spent
from mintls.core.oauth.token_request import claimed_client_id
from mintls.core.pki.certificate import CertificateFacts
from mintls.issuer.exchange import Call
from mintls.issuer.ledger import LedgerUnavailable
from mintls.issuer.peer import Peer
from mintls.issuer.services import Services
from mintls.issuer.settings import TrustedProxy

SHOWN = 256
"""How much of a client id is logged: none is longer, and whoever sends one may send anything."""


def read_form(call: Call) -> Form:
    """The parameters of the request.

    Raises:
        InvalidRequest: The body is no proper form.
    """
    return parse_form(call.content_type, call.body)


def read_parameters(services: Services, call: Call) -> Form:
    """The parameters of a token request: a form, or JSON where the issuer takes that, too.

    Raises:
        InvalidRequest: The body is neither.
    """
    if services.settings.json_bodies and media_type(call.content_type) == MEDIA_TYPE:
        check_charset(call.content_type)
        return parse_json(call.body)
    return read_form(call)


async def authenticate_client(services: Services, call: Call, form: Form) -> tuple[Client, CertificateFacts | None]:
    """Who the caller is, by its certificate (RFC 8705 section 2) or its assertion (RFC 7523 section 2.2).

    Returns:
        The client, and the certificate that it authenticated with, or that its tokens can be bound to.

    Raises:
        InvalidRequest: It does not say who it is, or in two ways.
        InvalidClient: It is not the client that it says it is, or there is none.
        TemporarilyUnavailable: Nobody can tell whether its assertion was used before, or it is too fast, or its keys
            are elsewhere and not to be had.
    """
    services.addresses.take(call.trail.remote, call.now)
    client_id = claimed_client_id(form)
    call.trail.client_id = client_id[:SHOWN]
    if call.authorization is not None:
        raise InvalidClient(Reason.AUTHORIZATION_HEADER)
    peer = client_peer(services, call)
    client = services.directory.client(client_id)
    if client is not None:
        call.trail.client = f"{client.registration.namespace}/{client.registration.name}"
        call.trail.method = client.registration.token_endpoint_auth_method
    certificate = peer.certificate if peer else None
    assertion = presented_assertion(form)
    if assertion is None:
        path_to = services.paths.finder(peer, call.now)
        proven = await with_keys_of_now(
            services,
            client,
            lambda known: authenticate(known, certificate, path_to, services.directory.account, call.now),
        )
        services.clients.take(client_id, call.now)  # only now: else anybody could use the client's share up
        return proven
    issuer = services.settings.issuer_url
    caller, spent = await with_keys_of_now(
        services,
        client,
        lambda known: authenticate_by_assertion(known, assertion, client_id=client_id, issuer=issuer, now=call.now),
    )
    services.clients.take(client_id, call.now)  # before the Kubernetes API is written to
    if services.directory.is_spent(spent.name) or not await spend(services, spent):
        raise InvalidClient(Reason.REPLAYED_ASSERTION)
    # One that it does not bind its tokens to plays no part at all, not even for how long they live.
    bound = caller.registration.certificate_bound and not caller.registration.dpop_bound
    return caller, certificate if bound else None


async def with_keys_of_now[T](
    services: Services, client: Client | None, authenticated: Callable[[Client | None], T]
) -> T:
    """What comes of the client's keys as they are known, or else as they are at its ``jwksURI`` now.

    Raises:
        InvalidClient: It is not the client.
        InvalidToken: It does not hold the client's token.
        TemporarilyUnavailable: Its keys are not to be had.
    """
    try:
        return authenticated(client)
    except (InvalidClient, InvalidToken, TemporarilyUnavailable) as refusal:
        if client is None or client.registration.suspended or not _of_unknown_keys(refusal):
            raise
        renewed = await services.remote_keys.renewed(client)
        if renewed is None:
            raise
    return authenticated(renewed)


def _of_unknown_keys(refusal: BaseException | None) -> bool:
    """Whether newer keys of the client could change it; at a resource it is the cause of what is said of the token."""
    found = refusal.__cause__ if isinstance(refusal, InvalidToken) else refusal
    unknown = {Reason.NO_CLIENT_KEYS, Reason.UNREGISTERED_CERTIFICATE}
    return isinstance(found, UnknownKey) or (isinstance(found, OAuthError) and found.reason in unknown)


def client_peer(services: Services, call: Call) -> Peer | None:
    """The certificate of the client: that of the connection, or what a proxy at its other end hands on.

    Raises:
        InvalidClient: It cannot be decoded, or no handshake here would let it through.
    """
    peer = note_peer(call)
    proxy = services.proxies.of(peer, call.now) if services.settings.proxies else None
    if proxy is None:
        return peer
    call.trail.proxy = f"{proxy.namespace}/{proxy.name}"
    return forwarded_peer(services, call, proxy)


def forwarded_peer(services: Services, call: Call, proxy: TrustedProxy) -> Peer | None:
    """The client behind a proxy, noted for the audit log.

    Raises:
        InvalidClient: As ``client_peer``.
    """
    return _note(call, services.proxies.client_of(proxy, call.header, call.now))


def handed_on_peer(services: Services, call: Call, certificate: str) -> Peer | None:
    """The client behind a proxy that hands its certificate on beside the headers, noted for the audit log.

    Args:
        services: What the endpoints work with.
        call: The request.
        certificate: PEM, percent-encoded; "" for none.

    Raises:
        InvalidClient: As ``client_peer``.
    """
    return _note(call, services.proxies.client_presenting(handed_on_chain(certificate), call.now))


def note_peer(call: Call) -> Peer | None:
    """The certificate of the connection, noted for the audit log before anybody judges it.

    Raises:
        InvalidClient: It cannot be decoded.
    """
    return _note(call, call.peer())


def _note(call: Call, peer: Peer | None) -> Peer | None:
    call.trail.thumbprint = peer.certificate.thumbprint if peer else ""
    call.trail.serial = f"{peer.certificate.serial:x}" if peer else ""
    return peer


def current_key(services: Services, call: Call) -> SigningKey:
    """The issuer's own key that signs now.

    Raises:
        TemporarilyUnavailable: There is none.
    """
    key = signing_key(services.directory.signing_keys, call.now)
    if key is None:
        raise TemporarilyUnavailable(Reason.NO_SIGNING_KEY)
    return key


def signs_for(services: Services, call: Call, client: Client) -> SigningKey | None:
    """The key that signs the client's access tokens now; ``None`` if there is none as it wants it."""
    return key_for(client.registration, services.directory.signing_keys, services.directory.asked_keys, call.now)


def access_token_key(services: Services, call: Call, client: Client) -> SigningKey:
    """As ``signs_for``.

    Raises:
        TemporarilyUnavailable: There is none.
    """
    key = signs_for(services, call, client)
    if key is None:
        raise TemporarilyUnavailable(Reason.NO_SIGNING_KEY)
    return key


async def spend(services: Services, spent: Spent) -> bool:
    """Spend an identifier, at every replica.

    Returns:
        False if it was spent before.

    Raises:
        TemporarilyUnavailable: It could not be written down.
    """
    try:
        first = await services.ledger.spend(spent)
    except LedgerUnavailable as error:
        raise TemporarilyUnavailable(Reason.NO_LEDGER) from error
    # Here at once; the other replicas see the object through their watches.
    services.directory.put_spent(spent.name)
    return first
