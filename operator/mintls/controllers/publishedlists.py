"""The ConfigMaps with an authority's CRLs and with the record of what it has issued, as they are now."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.objects import version_of
from mintls.core.pki.crl import InvalidRevocationList, RevocationList, read_lists
from mintls.kube.informer import Change
from mintls.reconcile.certificateauthority import AUTHORITY
from mintls.reconcile.credential import COMPONENT, MANAGED_BY
from mintls.reconcile.issuedcertificates import Issued, RecordBroken, decode

LISTS, RECORD = "crl", "issued-certificates"
"""Values of the label that says what a ConfigMap is for."""
LISTS_FILE, RECORD_FILE = "crl.pem", "issued.msgpack"
_PREFIXES = {LISTS: "mintls-crl-", RECORD: "mintls-issued-"}


@dataclass(frozen=True, slots=True)
class Found:
    """A ConfigMap that is called as one of ours.

    Attributes:
        component: What it is for.
        authority: Whose it is.
        version: Its ``resourceVersion``.
        ours: Whether it carries a label of ours; one without was made by somebody else.
        lists: The CRLs in it; none if they cannot be read.
        record: The certificates in it; none if they cannot be read.
    """

    component: str
    authority: str
    version: int
    ours: bool = True
    lists: tuple[RevocationList, ...] = field(default=(), repr=False)
    record: tuple[Issued, ...] = field(default=(), repr=False)


def name_of(component: str, authority: str) -> str:
    """Name of the ConfigMap."""
    return f"{_PREFIXES[component]}{authority}"


def labels_of(component: str, authority: str) -> dict[str, str]:
    """Labels of the ConfigMap."""
    return {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: component, AUTHORITY: authority}


def found_of(body: Mapping[str, Any]) -> Found | None:
    """The part of a ConfigMap that is looked at; ``None`` for one that is called otherwise.

    One that lost some of our labels is ours still.
    """
    found = _begin(body)
    return _read(found, body) if found is not None else None


def _begin(body: Mapping[str, Any]) -> Found | None:
    """What its metadata says."""
    metadata = body["metadata"]
    for component, prefix in _PREFIXES.items():
        authority = metadata["name"].removeprefix(prefix)
        if authority != metadata["name"]:
            there = (metadata.get("labels") or {}).items()
            ours = bool(labels_of(component, authority).items() & there)
            return Found(component, authority, version_of(body), ours=ours)
    return None


def _read(found: Found, body: Mapping[str, Any]) -> Found:
    try:
        if not found.ours:
            return found
        if found.component == LISTS:
            return replace(found, lists=read_lists((body.get("data") or {}).get(LISTS_FILE, "").encode()))
        return replace(found, record=decode(base64.b64decode((body.get("binaryData") or {}).get(RECORD_FILE, ""))))
    except (InvalidRevocationList, RecordBroken, binascii.Error):
        return found


class PublishedLists:
    """The newest known ConfigMaps: of an informer, and of our own writes, which are newer than what it has told."""

    def __init__(self, issued: IssuedCertificates, on_change: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            issued: Told what has been recorded.
            on_change: Told the name of an authority whose ConfigMap is other than we know.
        """
        self._issued = issued
        self._on_change = on_change
        self._found: dict[tuple[str, str], Found] = {}

    def get(self, component: str, authority: str) -> Found | None:
        """What is there for an authority."""
        return self._found.get((component, authority))

    def found_of(self, body: Mapping[str, Any]) -> Found | None:
        """What the informer tells of: what is there, if it is of that very version, so that it is kept once."""
        read = _begin(body)
        if read is None:
            return None
        known = self.get(read.component, read.authority)
        is_same = known is not None and (known.version, known.ours) == (read.version, read.ours)
        return known if is_same else _read(read, body)

    def lists(self) -> dict[str, tuple[RevocationList, ...]]:
        """The CRLs of each authority that has some."""
        return {one.authority: one.lists for one in self._found.values() if one.lists}

    def wrote(self, found: Found) -> None:
        """We wrote it just now."""
        known = self.get(found.component, found.authority)
        if known is None or found.version >= known.version:
            self._found[found.component, found.authority] = found

    def changed(self, change: Change[Found | None]) -> None:
        """The informer's word, unless we know something newer."""
        found = change.new or change.old
        if found is None or not self._take(found, gone=change.new is None):
            return
        if found.component == RECORD:
            self._issued.recorded(found.authority, found.record if change.new is not None else ())
        self._on_change(found.authority)

    def _take(self, found: Found, *, gone: bool) -> bool:
        key = (found.component, found.authority)
        known = self._found.get(key)
        if gone:
            if known is None or known.version > found.version:
                return False
            del self._found[key]
            return True
        if known is not None and known.version >= found.version:
            return False
        self._found[key] = found
        return True
