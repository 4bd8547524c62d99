"""Kubernetes' own ways to a certificate: PodCertificateRequests and CertificateSigningRequests for our signer.

Both ask for a certificate of the OAuthClient that names a service account; the API server has made sure whose account
it is. Neither leaves a key or a Secret in the cluster.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mintls.controllers.entropy import new_serial
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.scheduler import Clock
from mintls.controllers.writer import Writer
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.errors import SigningRefused
from mintls.core.pki.keys import PublicKey
from mintls.core.pki.names import parse_dn
from mintls.core.pki.profiles import EMPTY_NAME, LeafProfile
from mintls.core.pki.signing import sign_leaf
from mintls.kube.errors import Conflict, NotFound
from mintls.kube.events import EventRecorder, ObjectRef
from mintls.kube.paths import CERTIFICATE_SIGNING_REQUESTS, POD_CERTIFICATE_REQUESTS, Resource
from mintls.reconcile.clienttable import ClientTable
from mintls.reconcile.installation import Installation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.servicerequest import Decision, Deny, Request, Sign, Wait, decide

type Object = Mapping[str, Any]

_AGAIN = timedelta(seconds=5)
"""How often a request that waits is looked at. It is gone by itself after a quarter of an hour."""

_ACCOUNT = re.compile(r"system:serviceaccount:(?P<namespace>[a-z0-9-]+):(?P<name>[a-z0-9.-]+)")
_DEFAULT_LIFE = timedelta(hours=24)


class _Signing:
    """Decides by the clients and authorities that there are, and signs."""

    def __init__(self, clients: ClientTable, keyring: Keyring, installation: Installation, clock: Clock) -> None:
        self._clients = clients
        self._keyring = keyring
        self._installation = installation
        self.clock = clock

    def decide(self, request: Request) -> Decision:
        names = self._clients.of_service_account(request.namespace, request.service_account)
        standings = {name: self._clients.standing((request.namespace, name)) for name in names}
        return decide(request, standings, self._keyring.view, self._installation, self.clock())

    def sign(self, order: Sign, key: PublicKey) -> tuple[str, x509.Certificate]:
        """The chain in PEM, and its leaf.

        Raises:
            SigningRefused: The authority may not sign this.
            LookupError: It cannot sign at present.
        """
        signer = self._keyring.signer(order.authority)
        if signer is None:
            raise LookupError(order.authority)
        profile = LeafProfile(
            subject=parse_dn(order.subject.value) if order.subject else EMPTY_NAME,
            san=order.names,
            usage="client",
            not_before=order.not_before,
            not_after=order.not_after,
            origin=order.origin,
        )
        leaf = sign_leaf(profile, key, signer, new_serial())
        return encode_pem(leaf, *signer.chain).decode(), leaf


class ServiceRequestController:
    """Answers the requests of one kind."""

    resource: Resource

    def __init__(
        self,
        *,
        writer: Writer,
        recorder: EventRecorder,
        requests: Mapping[tuple[str, str], Object],
        clients: ClientTable,
        keyring: Keyring,
        installation: Installation,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            writer: Writes their status.
            recorder: Tells those who wait what they wait for.
            requests: The requests as they are now.
            clients: The OAuthClients.
            keyring: The authorities.
            installation: Names of the installation.
            clock: The time.
        """
        self._writer = writer
        self._recorder = recorder
        self._requests = requests
        self._signing = _Signing(clients, keyring, installation, clock)
        self._clock = clock

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one request.

        Returns:
            When to look again; ``None`` when it was answered, or is gone.

        Raises:
            ApiError: The answer was not written.
        """
        item = self._requests.get((key.namespace, key.name))
        if item is None or self._answered(item):
            return None
        request = self._read(item)
        if request is None:
            return None
        decision = self._signing.decide(request)
        if isinstance(decision, Sign) and request.key is not None:
            return await self._sign(item, decision, request.key)
        if isinstance(decision, Deny):
            await self._write(item, self._denied(item, decision))
            return None
        return await self._wait(item, decision) if isinstance(decision, Wait) else None

    async def _sign(self, item: Object, order: Sign, key: PublicKey) -> datetime | None:
        try:
            chain, leaf = self._signing.sign(order, key)
        except LookupError:
            return self._clock() + _AGAIN
        except SigningRefused as refused:
            return await self._wait(item, Wait(Reason.ISSUING_FAILED, f"no certificate was signed: {refused}"))
        try:
            approved = await self._approve(item, order)
        except Conflict:
            return self._clock()  # somebody changed it: as it is now, it is looked at again
        await self._write(approved, self._issued(item, order, chain, leaf))
        return None

    async def _wait(self, item: Object, wait: Wait) -> datetime:
        now = self._clock()
        await self._recorder.record(self._told(item), "Warning", wait.reason, wait.message, now)
        return now + _AGAIN

    async def _write(self, item: Object, status: dict[str, Any]) -> None:
        meta = item["metadata"]
        # With the version: one that was answered meanwhile, by a look of a moment ago, is not answered once more.
        same = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        body = {"metadata": same, "status": status}
        try:
            await self._writer.merge_patch(self.resource.status(meta.get("namespace"), meta["name"]), body)
        except (Conflict, NotFound):
            return  # it changed, was answered, or went away: the watch tells what it is now

    def _answered(self, item: Object) -> bool:
        conditions = item.get("status", {}).get("conditions") or ()
        return any(condition["type"] in {"Issued", "Denied", "Failed"} for condition in conditions)

    def _condition(self, type_: str, reason: str, message: str) -> dict[str, Any]:
        time = f"{self._clock():%Y-%m-%dT%H:%M:%SZ}"
        return {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": time}

    def _read(self, item: Object) -> Request | None:
        raise NotImplementedError

    def _told(self, item: Object) -> ObjectRef:
        raise NotImplementedError

    async def _approve(self, item: Object, order: Sign) -> Object:
        """The request as it is after that."""
        raise NotImplementedError

    def _issued(self, item: Object, order: Sign, chain: str, leaf: x509.Certificate) -> dict[str, Any]:
        raise NotImplementedError

    def _denied(self, item: Object, decision: Deny) -> dict[str, Any]:
        raise NotImplementedError


class PodCertificateController(ServiceRequestController):
    """Answers PodCertificateRequests (``certificates.k8s.io/v1beta1``): the kubelet has the key, mounts the answer."""

    resource = POD_CERTIFICATE_REQUESTS

    def _read(self, item: Object) -> Request | None:
        spec = item["spec"]
        return Request(
            namespace=item["metadata"]["namespace"],
            service_account=spec["serviceAccountName"],
            uid=item["metadata"]["uid"],
            key=_public_key(spec["pkixPublicKey"]),
            longest=timedelta(seconds=spec.get("maxExpirationSeconds") or _DEFAULT_LIFE.total_seconds()),
            options=spec.get("unverifiedUserAnnotations") or {},
        )

    def _told(self, item: Object) -> ObjectRef:
        """The pod: its owner looks there when it does not start."""
        spec = item["spec"]
        return ObjectRef("v1", "Pod", item["metadata"]["namespace"], spec["podName"], spec["podUID"])

    async def _approve(self, item: Object, order: Sign) -> Object:
        """Nobody has to: that the signer may sign is what the API server asks."""
        del order
        return item

    def _issued(self, item: Object, order: Sign, chain: str, leaf: x509.Certificate) -> dict[str, Any]:
        del item
        message = f"a certificate of OAuthClient {'/'.join(order.client)}"
        return {
            "conditions": [self._condition("Issued", Reason.ISSUED, message)],
            "certificateChain": chain,
            "notBefore": f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
            "beginRefreshAt": f"{order.refresh:%Y-%m-%dT%H:%M:%SZ}",
            "notAfter": f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _denied(self, item: Object, decision: Deny) -> dict[str, Any]:
        del item
        return {"conditions": [self._condition("Denied", decision.reason, decision.message)]}


class SigningRequestController(ServiceRequestController):
    """Approves and answers CertificateSigningRequests (``certificates.k8s.io/v1``) of service accounts."""

    resource = CERTIFICATE_SIGNING_REQUESTS

    def _answered(self, item: Object) -> bool:
        return bool(item.get("status", {}).get("certificate")) or super()._answered(item)

    def _read(self, item: Object) -> Request | None:
        """``None`` for a request of somebody else than a service account: it is not ours to approve."""
        spec = item["spec"]
        account = _ACCOUNT.fullmatch(spec.get("username", ""))
        if account is None:
            return None
        wanted = spec.get("expirationSeconds") or _DEFAULT_LIFE.total_seconds()
        return Request(
            namespace=account["namespace"],
            service_account=account["name"],
            uid=item["metadata"]["uid"],
            key=_requested_key(spec["request"]),
            usages=frozenset(spec.get("usages") or ()),
            longest=timedelta(seconds=wanted),
            options={
                name: value
                for name, value in (item["metadata"].get("annotations") or {}).items()
                if name.startswith("mintls.dev/")
            },
        )

    def _told(self, item: Object) -> ObjectRef:
        meta = item["metadata"]
        return ObjectRef(self.resource.api_version, self.resource.kind, "", meta["name"], meta["uid"])

    async def _approve(self, item: Object, order: Sign) -> Object:
        conditions = item.get("status", {}).get("conditions") or []
        if any(condition["type"] == "Approved" for condition in conditions):
            return item
        message = f"the service account may be OAuthClient {'/'.join(order.client)}"
        approved = self._condition("Approved", "ServiceAccountOfClient", message)
        path = f"{self.resource.item(None, item['metadata']['name'])}/approval"
        meta = item["metadata"]
        # With the version: a condition that somebody else adds at this moment would go.
        same = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
        body = {"metadata": same, "status": {"conditions": [*conditions, approved]}}
        return await self._writer.merge_patch(path, body)

    def _issued(self, item: Object, order: Sign, chain: str, leaf: x509.Certificate) -> dict[str, Any]:
        del item, order, leaf
        return {"certificate": base64.b64encode(chain.encode()).decode()}

    def _denied(self, item: Object, decision: Deny) -> dict[str, Any]:
        conditions = item.get("status", {}).get("conditions") or []
        return {"conditions": [*conditions, self._condition("Failed", decision.reason, decision.message)]}


def _public_key(encoded: str) -> PublicKey | None:
    try:
        return cast("PublicKey", load_der_public_key(base64.b64decode(encoded)))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _requested_key(encoded: str) -> PublicKey | None:
    """The key of a CSR in PEM, whose holder has signed it (RFC 2986 section 4.2)."""
    try:
        request = x509.load_pem_x509_csr(base64.b64decode(encoded))
        return cast("PublicKey", request.public_key()) if request.is_signature_valid else None
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        return None
