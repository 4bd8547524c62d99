"""The issuer's own certificate, and the operator's for asking the issuer."""

import logging
from datetime import datetime, timedelta
from typing import Any

from mintls.controllers.certificatesource import LocalKey
from mintls.controllers.issuers import IssuerReplicas
from mintls.controllers.issuing import issue, kept_pair, secret_manifest
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import contents_of, view_of
from mintls.controllers.writer import Writer
from mintls.core.pki.keys import KeySpec
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.kube.client import ApiClient
from mintls.kube.errors import Conflict, NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile.credential import AuthorityView, Wanted, leaf_validity
from mintls.reconcile.installation import Installation
from mintls.reconcile.servercertificate import COMPONENT, NAME, Blocked, Keep, Observed, Write, decide

logger = logging.getLogger(__name__)

_AGAIN = timedelta(minutes=1)
_OWN_LIFETIME = timedelta(hours=24)


class ServerCertificateController:
    """Keeps the issuer's certificate in its Secret, and the operator's own in memory."""

    def __init__(
        self,
        *,
        api: ApiClient,
        writer: Writer,
        keyring: Keyring,
        replicas: IssuerReplicas,
        installation: Installation,
        authority: str,
        clock: Clock,
    ) -> None:
        """Prepare; ``authority`` is the name of the one that signs both."""
        self._api = api
        self._writer = writer
        self._keyring = keyring
        self._replicas = replicas
        self._installation = installation
        self._authority = authority
        self._clock = clock
        self._own: tuple[str, datetime] | None = None

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at both; ``key`` says nothing more.

        Raises:
            ApiError: The Secret could not be read or written.
            SigningRefused: The authority may not sign this.
        """
        del key
        again = await self._look_at_servers()
        own = await self._look_at_own()
        return min(again, own)

    async def _look_at_servers(self) -> datetime:
        now = self._clock()
        body = await self._read()
        seen = Observed(
            installation=self._installation,
            authority=self._keyring.view(self._authority),
            secret=view_of(body) if body else None,
            contents=contents_of(body) if body else None,
            now=now,
        )
        decision = decide(seen)
        match decision:
            case Blocked(violation):
                logger.warning("%s: %s", violation.reason, violation.message)
                return now + _AGAIN
            case Keep(look_again):
                return look_again
            case Write():
                return await self._write(decision, now)

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self._api.get(SECRETS.item(self._installation.operator_namespace, NAME))
        except NotFound:
            return None

    async def _write(self, order: Write, now: datetime) -> datetime:
        signer = self._keyring.signer(self._authority)
        if signer is None:
            return now + _AGAIN
        if order.kept is not None:
            pair = kept_pair(order.kept, order.wanted)
        else:
            made = await issue(order.wanted, order.not_before, order.not_after, LocalKey(signer))
            pair = {"tls.crt": made.tls_crt, "tls.key": made.tls_key}
        namespace = self._installation.operator_namespace
        body = secret_manifest(
            namespace=namespace,
            name=NAME,
            component=COMPONENT,
            pair=pair,
            wanted=order.wanted,
            revision=order.revision,
            owner=None,
        )
        try:
            if order.secret is None:
                await self._writer.create(SECRETS.collection(namespace), body)
            else:
                body["metadata"] |= {"uid": order.secret.uid, "resourceVersion": order.secret.resource_version}
                await self._writer.apply(SECRETS.item(namespace, NAME), body)
        except Conflict:
            logger.info("Secret %s changed while it was being written: looking again", NAME)
            return now
        logger.info("wrote the issuer's certificate, because %s", order.violation.message)
        return now

    async def _look_at_own(self) -> datetime:
        """The operator's identity at the issuer: in memory only, and new after a restart."""
        now = self._clock()
        authority, signer = self._keyring.view(self._authority), self._keyring.signer(self._authority)
        if authority is None or signer is None:
            return now + _AGAIN
        if self._own is not None and self._own[0] == authority.fingerprint and now < self._own[1]:
            return self._own[1]
        wanted = _own_certificate(self._installation, authority)
        pair = await issue(wanted, *leaf_validity(wanted, now), LocalKey(signer))
        self._replicas.use(pair, authority.bundle)
        renewal = now + (pair.leaf.not_after - now) / 2
        self._own = (authority.fingerprint, renewal)
        return renewal


def _own_certificate(installation: Installation, authority: AuthorityView) -> Wanted:
    return Wanted(
        subject=None,
        names=(SubjectName(SubjectKind.SAN_URI, installation.operator_id),),
        usage="client",
        key=KeySpec("ECDSA", 256),
        duration=_OWN_LIFETIME,
        renew_before=None,
        files={},
        authority=authority,
    )
