"""What was issued and for which object, in memory; what no ConfigMap has yet stands in the Lease, with each renewal."""

import base64
import binascii
import logging
import sys
from collections import defaultdict
from collections.abc import Callable, Collection

from cryptography import x509

from mintls.api.v1alpha1 import ClientCertificate
from mintls.core.multimap import MultiMap
from mintls.core.pki.crl import signing_key_identifier
from mintls.reconcile.issuedcertificates import Issued, RecordBroken, decode_all, encode_all, moment

logger = logging.getLogger(__name__)

MOST_PENDING = 200
"""So many certificates of an authority stand in the Lease, 13 KiB; with more of them they go into its ConfigMap."""

_PRESSING = 700
"""With so many of them the ConfigMap has to follow soon: the Lease has room for those of a second or two of a burst."""

_MOST_IN_LEASE = 1000
"""In a burst, until the ConfigMap is written. The annotations of an object have 256 KiB."""


class IssuedCertificates:
    """What was issued, by authority; the ``Memo`` of the operator's Lease.

    The Lease is written every few seconds anyway, so to remember a certificate costs no write of its own, and the next
    leader finds it there whatever became of this one.

    Attributes:
        annotation: Of the Lease.
    """

    annotation = "mintls.dev/issued-certificates"

    def __init__(self, on_full: Callable[[str], None], is_elsewhere: Callable[[str], bool]) -> None:
        """Prepare.

        Args:
            on_full: Told the name of an authority of which too much is in the Lease.
            is_elsewhere: Whether the CA of that name is elsewhere: then its CRL is, too, and nothing is remembered.
        """
        self._on_full = on_full
        self._is_elsewhere = is_elsewhere
        self._issued: defaultdict[str, dict[int, Issued]] = defaultdict(dict)
        self._pending: defaultdict[str, dict[int, Issued]] = defaultdict(dict)
        self._of_uid = MultiMap[str, str]()
        self._text: str | None = None

    # --- learn ---

    def issued(self, authority: str, uid: str, leaf: x509.Certificate) -> None:
        """A certificate was signed for the object with that uid."""
        # Few keys sign, and many end in one second: one string and one datetime for all of them.
        key_id, not_after = sys.intern(signing_key_identifier(leaf)), moment(int(leaf.not_valid_after_utc.timestamp()))
        self._learn(authority, Issued(leaf.serial_number, uid, key_id, not_after))

    def follow(self, certificate: ClientCertificate) -> None:
        """An object is as it is now: what its status speaks of was issued for it, whoever remembers that."""
        status, uid = certificate.status, certificate.metadata.uid
        if not status.serial_number or status.not_after is None:
            return
        try:
            serial = int(status.serial_number, 16)
        except ValueError:
            return  # somebody's hand in the status
        if not any(serial in some for some in self._issued.values()):
            self._learn(certificate.spec.authority_ref.name, Issued(serial, uid, "", status.not_after))

    def recorded(self, authority: str, record: Collection[Issued]) -> None:
        """The authority's ConfigMap has these, and no others."""
        known, recorded = self._issued[authority], {one.serial for one in record}
        for one in record:
            known[one.serial] = one  # the same as before, if it was known: it is in memory once then
            self._of_uid.add(one.uid, authority)
        self._pending[authority] = {serial: one for serial, one in known.items() if serial not in recorded}
        self._changed(authority)

    def _learn(self, authority: str, one: Issued) -> None:
        if self._is_elsewhere(authority):
            return
        known, pending = self._issued[authority], self._pending[authority]
        is_recorded = one.serial in known and one.serial not in pending
        known[one.serial] = one
        self._of_uid.add(one.uid, authority)
        if not is_recorded:
            pending[one.serial] = one
            self._changed(authority)

    def _changed(self, authority: str) -> None:
        self._text = None
        if self.record_due(authority):
            self._on_full(authority)

    # --- ask ---

    def of(self, authority: str) -> tuple[Issued, ...]:
        """What the authority has issued."""
        return tuple(self._issued[authority].values())

    def authorities_of(self, uid: str) -> frozenset[str]:
        """Which authorities have issued for an object."""
        return self._of_uid.get(uid)

    def record_due(self, authority: str) -> bool:
        """Whether the authority's ConfigMap has to take over what stands in the Lease."""
        return len(self._pending[authority]) > MOST_PENDING

    def record_presses(self, authority: str) -> bool:
        """Whether it has to do so soon."""
        return len(self._pending[authority]) > _PRESSING

    # --- forget ---

    def keep(self, authority: str, needed: Collection[Issued]) -> None:
        """Forget whatever is not needed any more; ``needed`` is of what the authority has issued."""
        if len(needed) == len(self._issued[authority]):
            return
        kept = {one.serial: one for one in needed}
        for one in self._issued[authority].values():
            self._of_uid.discard(one.uid, authority)
        for one in kept.values():
            self._of_uid.add(one.uid, authority)
        self._issued[authority] = kept
        self._pending[authority] = {serial: one for serial, one in self._pending[authority].items() if serial in kept}
        self._text = None

    def give_up(self, authority: str) -> None:
        """Nothing of the authority is pending any more: its ConfigMap has what it has room for."""
        self._pending[authority] = {}
        self._text = None

    # --- the Lease ---

    def text(self) -> str:
        """What stands in the Lease; "" for nothing."""
        if self._text is None:
            pending = {name: tuple(some.values())[-_MOST_IN_LEASE:] for name, some in self._pending.items() if some}
            self._text = base64.b64encode(encode_all(pending)).decode() if pending else ""
        return self._text

    def load(self, text: str) -> None:
        """What stood in the Lease when it was taken."""
        try:
            found = decode_all(base64.b64decode(text, validate=True)) if text else {}
        except (RecordBroken, binascii.Error) as error:
            logger.error("annotation %s of the Lease is left out: %s", self.annotation, error)  # noqa: TRY400 - the message says it all
            return
        for authority, some in found.items():
            for one in some:
                self._learn(authority, one)
