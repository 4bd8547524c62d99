"""kopf's part: watch the three kinds and hand every event on. It writes nothing: no annotation, no finalizer, no event.

Each setting answers a way in which kopf would otherwise write, throttle or wait; ``docs/decisions/0003-kopf.md`` has
the measurements.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf

from mintls.api.v1alpha1 import GROUP, VERSION, CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers.objects import ObjectStore, key_of
from mintls.kube.credentials import Credentials

_REFRESH = timedelta(minutes=10)
"""A projected token is replaced in its file well before it ends; kopf keeps a copy that has to follow."""

type Stores = tuple[ObjectStore[OAuthClient], ObjectStore[ClientCertificate], ObjectStore[CertificateAuthority]]


def registry_for(stores: Stores, login: Callable[..., Any]) -> kopf.OperatorRegistry:
    """Handlers that feed the stores.

    Args:
        stores: Of clients, certificates and authorities.
        login: Gives kopf its ``ConnectionInfo``.
    """
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(login)
    for store in stores:
        plural = store.type.KIND.plural
        kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)(_feed(store))
    return registry


def _feed(store: ObjectStore[Any]) -> Callable[..., Any]:
    # No return value: kopf would write it into the object's status.
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        body = event["object"]
        if event["type"] == "DELETED":
            store.gone(key_of(body), body["metadata"].get("uid", ""))
        else:
            store.saw(body)

    return handle


def quiet_settings() -> kopf.OperatorSettings:
    """Settings under which kopf only watches."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # our Lease decides who leads
    settings.posting.enabled = False  # our events are de-duplicated
    settings.scanning.disabled = True  # the CRDs are there from the start
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 290
    settings.watching.connect_timeout = 5
    settings.queueing.idle_timeout = 0.1  # one task an object only for as long as its events last
    settings.queueing.worker_limit = None  # a limit would throttle to limit / idle_timeout objects a second
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = (0.5, 0.5, 1, 1, 2, 2, 3, 3, 5, 5, 5, 5)
    settings.networking.enforce_retry_after = True
    settings.process.ultimate_exiting_timeout = 10
    return settings


def login_with(credentials: Credentials) -> Callable[..., Any]:
    """Kopf's credentials are ours: one reading of the configuration for both, with any kubeconfig and in a pod."""

    async def login(**_: Any) -> kopf.ConnectionInfo:
        # kopf asks at its start, when these have expired, and after a 401: a fresh look is right each time.
        await credentials.renew()
        files, authorization = credentials.tls_files, await credentials.authorization()
        scheme, _space, token = (authorization or "").partition(" ")
        return kopf.ConnectionInfo(
            server=credentials.server,
            ca_path=files.ca,
            certificate_path=files.certificate,
            private_key_path=files.key,
            insecure=not files.verify,
            scheme=scheme or None,
            token=token or None,
            proxy_url=credentials.proxy,
            expiration=datetime.now(UTC) + _REFRESH,
        )

    return login
