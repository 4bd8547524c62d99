"""``GET``, ``PUT`` and ``DELETE /register/{client_id}``: a client manages its registration (RFC 7592 section 2).

It can do so with its registration access token alone, and only while the OAuthClient is as the issuer made it: what
somebody else has changed in the Kubernetes API is theirs, and read-only here.

Each update gives a new token. The old one counts until the new one is used: an answer can be lost.
"""

import secrets
from dataclasses import dataclass, field

from mintls.core.oauth.client_metadata import check_update, permit, read_metadata
from mintls.core.oauth.errors import AccessDenied, InvalidToken, Reason
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.registration_grant import RegistrationGrant, token_hash
from mintls.issuer.endpoints.registering import admitted, arrived, bearer, information, registry_answers
from mintls.issuer.endpoints.steps import SHOWN
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.registry import Object, kept_by
from mintls.issuer.services import Services
from mintls.reconcile.registeredclient import (
    grant_name,
    has_older_tokens,
    is_token_of,
    updated_client,
    with_tokens,
)


@dataclass(frozen=True, slots=True)
class Managed:
    """A client and who manages it.

    Attributes:
        client: The OAuthClient.
        token: The registration access token that was presented. Not in the repr.
    """

    client: Object = field(repr=False)
    token: str = field(repr=False)


async def read(services: Services, call: Call) -> Answer:
    """The registration (RFC 7592 section 2.1).

    Raises:
        InvalidToken: There is no such client, or the token is not its.
        TemporarilyUnavailable: The Kubernetes API cannot be asked.
    """
    managed = await _managed(services, call)
    return Answer(200, information(services, admitted(services, managed.client), managed.token))


async def update(services: Services, call: Call) -> Answer:
    """Register the client as something else (RFC 7592 section 2.2).

    Raises:
        InvalidToken: There is no such client, or the token is not its.
        InvalidClientMetadata: The metadata is malformed, more than the grant allows, or another client's.
        AccessDenied: The object is somebody else's by now, or the grant is gone.
        TemporarilyUnavailable: The Kubernetes API cannot be asked.
    """
    managed = await _managed(services, call)
    _require_own(managed.client)
    grant = _grant(services, managed.client)
    metadata = read_metadata(call.content_type, call.body)
    check_update(metadata, call.target)
    token = secrets.token_urlsafe(32)
    wanted = with_tokens(
        updated_client(managed.client, permit(metadata, grant), grant), token_hash(token), token_hash(managed.token)
    )
    admitted(services, wanted)
    with registry_answers():
        written = await services.registry.replace(wanted)
    registration: Registration = admitted(services, written)
    await arrived(services, registration)
    return Answer(200, information(services, registration, token))


async def delete(services: Services, call: Call) -> Answer:
    """End the client (RFC 7592 section 2.3).

    Raises:
        InvalidToken: There is no such client, or the token is not its.
        AccessDenied: The object is somebody else's by now.
        TemporarilyUnavailable: The Kubernetes API cannot be asked.
    """
    managed = await _managed(services, call)
    _require_own(managed.client)
    with registry_answers():
        await services.registry.delete(managed.client)
    # Here at once; the other replicas hear of it by their watches.
    services.directory.remove_client((managed.client["metadata"]["namespace"], managed.client["metadata"]["name"]))
    return Answer(204, b"")


async def _managed(services: Services, call: Call) -> Managed:
    """The client that the path names, if the caller has its token; whatever is wrong is told in the same words."""
    services.addresses.take(call.trail.remote, call.now)
    call.trail.client_id = call.target[:SHOWN]
    token = bearer(call)
    namespace, colon, name = call.target.partition(":")
    places = {registration.namespace for registration in services.settings.registrations}
    client = None
    if token and colon and name and "/" not in name and namespace in places:
        with registry_answers():
            client = await services.registry.find(namespace, name)
    if client is None or not is_token_of(client, token_hash(token)):
        raise InvalidToken(Reason.WRONG_REGISTRATION_TOKEN)
    call.trail.client, call.trail.grant = f"{namespace}/{name}", grant_name(client)
    if has_older_tokens(client, token_hash(token)) and not kept_by(client):
        with registry_answers():
            client = await services.registry.replace(with_tokens(client, token_hash(token)))
    return Managed(client, token)


def _require_own(client: Object) -> None:
    keeper = kept_by(client)
    if keeper:
        raise AccessDenied(Reason.KEPT_ELSEWHERE, keeper)


def _grant(services: Services, client: Object) -> RegistrationGrant:
    """The grant that the client came by: what it may be is still the grant's to say."""
    name, namespace = grant_name(client), client["metadata"]["namespace"]
    for grant in services.directory.grants:
        if (grant.name, grant.namespace) == (name, namespace):
            return grant
    raise AccessDenied(Reason.GRANT_GONE, name)
