"""kopf's part: watch the three kinds and hand every event on. It writes nothing: no annotation, no finalizer, no event.

Each setting answers a way in which kopf would otherwise write, throttle or wait; ``docs/decisions/0003-kopf.md`` has
the measurements.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

import kopf

from mintls.api.v1alpha1 import GROUP, VERSION, CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers.objects import ObjectStore, key_of

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


def login_as(kubeconfig: str | None) -> Callable[..., Any]:
    """Kopf's credentials from the same place as ours: a kubeconfig, or the pod's service account."""

    def login(**kwargs: Any) -> Any:
        if kubeconfig or os.environ.get("KUBECONFIG"):
            return kopf.login_with_kubeconfig(**kwargs)
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    return login
