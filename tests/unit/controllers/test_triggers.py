"""In which order what a start finds is looked at."""

import msgspec
import pytest

from builders.clienttables import Clients
from builders.objects import certificate, client
from mintls.api.v1alpha1 import ClientCertificate, OAuthClient
from mintls.controllers.certificateindex import CertificateIndex
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.keys import Key, Kind
from mintls.controllers.queue import Lane, ReconcileQueue
from mintls.controllers.triggers import Triggers
from mintls.controllers.trustbundles import NamespaceUse

REGISTERED = {
    "type": "Registered",
    "status": "True",
    "reason": "Registered",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def triggers(queue: ReconcileQueue, *certificates: ClientCertificate) -> Triggers:
    kept = {(one.metadata.namespace, one.metadata.name): one for one in certificates}
    return Triggers(
        queue=queue,
        clients=Clients().table,
        certificates=CertificateIndex(lambda: kept),
        use=NamespaceUse(),
        issued=IssuedCertificates(lambda _: None, lambda _: False),
        bundle_namespaces=tuple,
        passwords_used=lambda _: None,
        namespace="mintls-system",
        authority="default",
    )


def settled(name: str, observed: int = 1) -> OAuthClient:
    return client(name, status={"observedGeneration": observed, "conditions": [REGISTERED]})


async def looked_at(queue: ReconcileQueue) -> list[Key]:
    keys = [await queue.take() for _ in range(queue.depth(Lane.RENEWAL))]
    return [key for key in keys if key.kind in {Kind.CLIENT, Kind.CERTIFICATE}]


@pytest.mark.parametrize("waiting", [client("waiting"), settled("waiting", observed=0)], ids=["new", "edited"])
async def test_at_a_start_nobody_waits_behind_clients_for_which_there_is_nothing_to_do(waiting: OAuthClient) -> None:
    queue = ReconcileQueue()
    certificates = certificate("ending", status={"notAfter": "2026-01-02T00:00:00Z"}), certificate("without")
    subject = triggers(queue, *certificates)
    for one in (settled("a"), settled("b"), waiting):
        subject.client_changed((one.metadata.namespace, one.metadata.name), None, one)
    for item in certificates:
        subject.certificate_changed((item.metadata.namespace, item.metadata.name), None, item)
    order = [f"{key.kind.value} {key.name}" for key in await looked_at(queue)]
    assert order == [
        "OAuthClient waiting",
        "ClientCertificate without",
        "ClientCertificate ending",
        "OAuthClient a",
        "OAuthClient b",
    ]


async def test_a_settled_client_that_changes_later_is_looked_at_at_once() -> None:
    queue = ReconcileQueue()
    subject = triggers(queue)
    subject.caught_up = True
    old = settled("a")
    new = msgspec.structs.replace(old, metadata=msgspec.structs.replace(old.metadata, generation=2))
    subject.client_changed(("shop", "a"), old, new)
    assert queue.depth(Lane.URGENT) >= 1
