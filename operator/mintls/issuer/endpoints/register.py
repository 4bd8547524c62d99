"""``POST /register``: a client is registered by whoever has an initial access token (RFC 7591 section 3)."""

import secrets

from mintls.core.oauth.client_metadata import permit, read_metadata
from mintls.core.oauth.errors import AccessDenied, InvalidToken, Reason
from mintls.core.oauth.registration_grant import grant_of, token_hash
from mintls.issuer.endpoints.registering import admitted, arrived, bearer, information, registry_answers
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services
from mintls.reconcile.registeredclient import registered_client


async def register(services: Services, call: Call) -> Answer:
    """Make an OAuthClient.

    Raises:
        InvalidToken: The initial access token is missing or unknown.
        InvalidClientMetadata: The metadata is malformed, more than the grant allows, or another client's.
        AccessDenied: There are as many clients as the grant allows.
        TemporarilyUnavailable: The Kubernetes API cannot be asked.
    """
    services.addresses.take(call.trail.remote, call.now)
    grant = grant_of(services.directory.grants, bearer(call))
    if grant is None:
        raise InvalidToken(Reason.WRONG_INITIAL_TOKEN)
    call.trail.grant = grant.name
    permitted = permit(read_metadata(call.content_type, call.body), grant)
    token = secrets.token_urlsafe(32)
    wanted = registered_client(f"registered-{secrets.token_hex(8)}", permitted, grant, token_hash(token))
    admitted(services, wanted)
    with registry_answers():
        if await services.registry.count(grant.namespace, grant.name) >= grant.max_clients:
            raise AccessDenied(Reason.GRANT_EXHAUSTED)
        created = await services.registry.create(wanted)
    registration = admitted(services, created)
    await arrived(services, registration)
    call.trail.client_id = registration.client_id
    call.trail.client = f"{registration.namespace}/{registration.name}"
    return Answer(201, information(services, registration, token))
