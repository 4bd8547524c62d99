"""The CRLs of each authority in a ConfigMap, and beside them the record of what it has issued."""

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore, version_of
from mintls.controllers.publishedlists import (
    LISTS,
    LISTS_FILE,
    RECORD,
    RECORD_FILE,
    Found,
    PublishedLists,
    labels_of,
    name_of,
)
from mintls.controllers.refusals import violation_of
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.writer import Writer
from mintls.core.pki.crl import RevocationList, encode_lists, sign_list
from mintls.core.pki.keys import PrivateKey
from mintls.kube.errors import AlreadyExists, ApiError
from mintls.kube.paths import CONFIGMAPS
from mintls.reconcile import revocationlist as decisions
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.credential import Violation
from mintls.reconcile.issuedcertificates import encode, within
from mintls.reconcile.reasons import Reason

_SPACING = timedelta(seconds=1)
"""Between two lists of an authority: a namespace that is deleted is a list or two, not a list for each certificate."""


class RevocationListController:
    """Keeps ``mintls-crl-<authority>``."""

    def __init__(
        self,
        *,
        writer: Writer,
        published: PublishedLists,
        issued: IssuedCertificates,
        certificates: ObjectStore[ClientCertificate],
        authorities: ObjectStore[CertificateAuthority],
        reporter: Reporter[CertificateAuthority],
        keyring: Keyring,
        namespace: str,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            writer: Writes.
            published: The ConfigMaps as they are now.
            issued: What was issued.
            certificates: The objects that it was issued for.
            authorities: The CertificateAuthorities.
            reporter: Posts events.
            keyring: Has the keys that sign.
            namespace: The operator's namespace.
            clock: The time.
        """
        self._writer = writer
        self._published = published
        self._issued = issued
        self._certificates = certificates
        self._authorities = authorities
        self._reporter = reporter
        self._keyring = keyring
        self._namespace = namespace
        self._clock = clock
        self._written: dict[str, datetime] = {}

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at the lists of one authority.

        Returns:
            When to look again; ``None`` where the authority has no key here.

        Raises:
            ApiError: A ConfigMap was not written.
        """
        name, now = key.name, self._clock()
        keys = {signer.key_id: private for signer, private in self._keyring.list_signers(name)}
        if not keys:
            return None
        last = self._written.get(name)
        if last is not None and last <= now < last + _SPACING:
            return last + _SPACING
        seen = self._observe(name, now)
        self._issued.keep(name, decisions.still_needed(seen))
        try:
            return await self._carry_out(name, seen, keys)
        except ApiError as error:
            await self._announce(name, violation_of(error, "the CRL was not published"))
            raise

    def _observe(self, name: str, now: datetime) -> decisions.Observed:
        published, view = self._published.get(LISTS, name), self._keyring.view(name)
        return decisions.Observed(
            signers=tuple(signer for signer, _ in self._keyring.list_signers(name)),
            trusted=view.roots if view else (),
            found=published.lists if published else (),
            issued=self._issued.of(name),
            objects=frozenset(self._certificates.uids().values()),
            revoked=frozenset(one.metadata.uid for one in self._certificates if one.spec.revoked),
            now=now,
        )

    async def _carry_out(self, name: str, seen: decisions.Observed, keys: Mapping[str, PrivateKey]) -> datetime | None:
        decision = decisions.decide(seen)
        if isinstance(decision, decisions.Publish):
            lists = tuple([await _signed(one, keys) for one in decision.lists])
            if not await self._publish(name, lists):
                return None  # a change of the ConfigMap brings it back here
            await self._tell_of_too_many(name, decision.left_out)
            decision = decisions.decide(replace(seen, found=lists))
        if self._issued.record_due(name):
            await self._record(name)
        return decision.look_again if isinstance(decision, decisions.Keep) else seen.now + _SPACING

    async def _publish(self, name: str, lists: tuple[RevocationList, ...]) -> bool:
        text = encode_lists(lists).decode()
        body = await self._write(LISTS, name, {"data": {LISTS_FILE: text}})
        if body is None:
            return False
        self._written[name] = self._clock()
        self._published.wrote(Found(LISTS, name, version_of(body), lists=lists))
        return True

    async def _record(self, name: str) -> None:
        issued = self._issued.of(name)
        record = within(issued)
        content = base64.b64encode(encode(record)).decode()
        body = await self._write(RECORD, name, {"binaryData": {RECORD_FILE: content}})
        if body is None:
            return
        self._published.wrote(Found(RECORD, name, version_of(body), record=record))
        self._issued.recorded(name, record)
        if len(record) < len(issued):
            self._issued.give_up(name)
            await self._too_many(
                name, f"{len(issued) - len(record)} certificates are not remembered past the end of their objects"
            )

    async def _write(self, component: str, name: str, content: Mapping[str, Any]) -> dict[str, Any] | None:
        """Create or apply; ``None`` if there is a ConfigMap of that name that is somebody else's, or a new one."""
        target, there = name_of(component, name), self._published.get(component, name)
        metadata = {"name": target, "namespace": self._namespace, "labels": labels_of(component, name)}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
        if there is None:
            with contextlib.suppress(AlreadyExists):  # the watch tells of it in a moment
                return await self._writer.create(CONFIGMAPS.collection(self._namespace), body)
            return None
        if there.ours:
            return await self._writer.apply(CONFIGMAPS.item(self._namespace, target), body)
        message = (
            f"the CRL was not published: ConfigMap {self._namespace}/{target} was made by somebody else, and is left "
            "as it is; delete it, and it is made by Mintls"
        )
        await self._announce(name, Violation(Reason.CRL_NOT_PUBLISHED, message))
        return None

    async def _tell_of_too_many(self, name: str, left_out: int) -> None:
        if left_out:
            await self._too_many(name, f"{left_out} revoked certificates are not on the CRL")

    async def _too_many(self, name: str, what: str) -> None:
        message = (
            f"{what}: a ConfigMap has no room for them. The token issuer refuses them all the same; verifiers that go "
            "by the CRL do so again after a root rotation (kubectl mintls rotate-root)"
        )
        await self._announce(name, Violation(Reason.CRL_FULL, message))

    async def _announce(self, name: str, violation: Violation) -> None:
        authority = self._authorities.get(("", name))
        if authority is not None:
            await self._reporter.announce(
                authority, Announcement(warning=True, reason=violation.reason, message=violation.message)
            )


async def _signed(one: decisions.Order | RevocationList, keys: Mapping[str, PrivateKey]) -> RevocationList:
    if isinstance(one, RevocationList):
        return one
    # Thousands of entries take a moment, in which nothing else would happen.
    return await asyncio.to_thread(
        sign_list,
        one.signer.certificate,
        keys[one.signer.key_id],
        one.revoked,
        number=one.number,
        this_update=one.this_update,
        next_update=one.next_update,
    )
