"""Steps that registering a client shares with managing one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import msgspec

from mintls.core.oauth.client import prepare
from mintls.core.oauth.client_information import client_information
from mintls.core.oauth.errors import InvalidClientMetadata, Reason, TemporarilyUnavailable
from mintls.core.oauth.registration import Registration
from mintls.issuer.exchange import Call
from mintls.issuer.registry import Object, RegistryRefuses, RegistryUnavailable
from mintls.issuer.services import Services
from mintls.reconcile.registeredclient import as_client
from mintls.reconcile.registration import RegistrationRefused, admit

# How long a caller waits to be known here: the watch has it within milliseconds, if it is not away.
_ARRIVAL_SECONDS = 5.0


def bearer(call: Call) -> str:
    """The token of ``Authorization: Bearer`` (RFC 6750 section 2.1); "" if there is none."""
    scheme, _, token = (call.authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def admitted(services: Services, client: Object) -> Registration:
    """The registration that an OAuthClient makes.

    Raises:
        InvalidClientMetadata: It may not be registered so, or another client has its name, certificate or key.
    """
    try:
        registration = admit(as_client(client), services.settings.installation)
    except (RegistrationRefused, msgspec.ValidationError) as refused:
        raise InvalidClientMetadata(Reason.WRONG_METADATA, str(refused)) from refused
    rival = services.directory.rival(registration)
    if rival is not None:
        raise InvalidClientMetadata(Reason.TAKEN, f"the {rival.what} is another client's: register one of your own")
    return registration


@contextmanager
def registry_answers() -> Iterator[None]:
    """Say in OAuth's words what the registry says.

    Raises:
        InvalidClientMetadata: The Kubernetes API refuses the object.
        TemporarilyUnavailable: It cannot be asked, or somebody was faster.
    """
    try:
        yield
    except RegistryRefuses as error:
        raise InvalidClientMetadata(Reason.WRONG_METADATA, str(error)) from error
    except RegistryUnavailable as error:
        raise TemporarilyUnavailable(Reason.NO_REGISTRY, str(error)) from error


async def arrived(services: Services, registration: Registration) -> None:
    """Wait until this replica knows the registration, so that whoever has the answer gets a token; not for ever."""
    try:
        async with asyncio.timeout(_ARRIVAL_SECONDS):
            while not services.directory.knows(registration):  # noqa: ASYNC110 - nobody tells, and it is rare
                await asyncio.sleep(0.01)
    except TimeoutError:
        return


def information(services: Services, registration: Registration, token: str) -> bytes:
    """The client information response (RFC 7591 section 3.2.1, RFC 7592 section 3)."""
    base = services.settings.issuer_url.rstrip("/")
    return msgspec.json.encode(
        {
            **client_information(prepare(registration, services.settings.issuer_url), services.settings.issuer_url),
            "registration_access_token": token,
            "registration_client_uri": f"{base}/register/{quote(registration.client_id, safe=':')}",
        }
    )
