"""The CRLs of each authority in a ConfigMap."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore, version_of
from mintls.controllers.publishedlists import LISTS, LISTS_FILE, Found, PublishedLists
from mintls.controllers.publishing import Publishing
from mintls.controllers.scheduler import Clock
from mintls.core.pki.crl import RevocationList, encode_lists, sign_list
from mintls.core.pki.keys import PrivateKey
from mintls.kube.errors import ApiError
from mintls.reconcile import revocationlist as decisions

_SPACING = timedelta(seconds=1)
"""Between two lists of an authority: a namespace that is deleted is a list or two, not a list for each certificate."""


class RevocationListController:
    """Keeps ``mintls-crl-<authority>``."""

    def __init__(
        self,
        *,
        publishing: Publishing,
        published: PublishedLists,
        issued: IssuedCertificates,
        certificates: ObjectStore[ClientCertificate],
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        """Prepare.

        Args:
            publishing: Writes the ConfigMap.
            published: The ConfigMaps as they are now.
            issued: What was issued.
            certificates: The objects that it was issued for.
            keyring: Has the keys that sign.
            clock: The time.
        """
        self._publishing = publishing
        self._published = published
        self._issued = issued
        self._certificates = certificates
        self._keyring = keyring
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
        self._issued.keep(name, decisions.still_needed(seen.issued, seen.found, now))
        try:
            return await self._carry_out(name, seen, keys)
        except ApiError as error:
            await self._publishing.failed(LISTS, name, error)
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
            if decision.left_out:
                await self._publishing.no_room(name, f"{decision.left_out} revoked certificates are not on the CRL")
            decision = decisions.decide(replace(seen, found=lists))
        return decision.look_again if isinstance(decision, decisions.Keep) else seen.now + _SPACING

    async def _publish(self, name: str, lists: tuple[RevocationList, ...]) -> bool:
        text = encode_lists(lists).decode()
        body = await self._publishing.write(LISTS, name, {"data": {LISTS_FILE: text}})
        if body is None:
            return False
        self._written[name] = self._clock()
        self._published.wrote(Found(LISTS, name, version_of(body), lists=lists))
        return True


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
