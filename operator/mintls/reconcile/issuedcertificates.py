"""Which certificates were issued for which object: what has to be known when the object is gone.

A ClientCertificate that is deleted takes its status along, and its Secret. So its certificates are remembered beside
it until they have ended: see ``docs/decisions/0010``. Here is how they are written down, in msgpack: by authority (in
the Lease) and the key that signed them, then by the object, each as serial number and end. A uid takes 16 octets.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

MOST_RECORDED_BYTES = 780_000
"""1 MiB in base64: what a ConfigMap holds (Kubernetes documentation, "ConfigMaps"), and what is sent in one go."""

type _Record = dict[str, dict[bytes, list[tuple[bytes, int]]]]
"""By key identifier and uid."""

_NO_UUID = b"="

_record = msgspec.msgpack.Decoder(_Record)
_records = msgspec.msgpack.Decoder(dict[str, _Record])


class RecordBroken(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """What was written down cannot be read."""


class Issued(msgspec.Struct, frozen=True, gc=False):
    """A certificate that was issued for an object.

    Attributes:
        serial: Its serial number.
        uid: The object's ``metadata.uid``.
        key_id: Identifier of the key that signed it, in hexadecimal; "" where only its authority is known.
        not_after: Its end, aware UTC in whole seconds, inclusive.
    """

    serial: int
    uid: str
    key_id: str
    not_after: datetime


@lru_cache(maxsize=4096)
def moment(seconds: int) -> datetime:
    """Of a POSIX timestamp, aware UTC; mostly one in memory for all certificates that end in that second."""
    return datetime.fromtimestamp(seconds, UTC)


def encode(issued: Iterable[Issued]) -> bytes:
    """Certificates of one authority, as ``decode`` reads them; equal sets are equal octets."""
    return msgspec.msgpack.encode(_grouped(issued))


def encode_all(issued: Mapping[str, Iterable[Issued]]) -> bytes:
    """Certificates of several authorities, by their names."""
    return msgspec.msgpack.encode({name: _grouped(some) for name, some in sorted(issued.items())})


def decode(octets: bytes) -> tuple[Issued, ...]:
    """Read what ``encode`` wrote.

    Raises:
        RecordBroken: It is nothing that ``encode`` wrote.
    """
    try:
        return _flat(_record.decode(octets))
    except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
        raise RecordBroken(f"the record of issued certificates cannot be read: {error}") from error


def decode_all(octets: bytes) -> dict[str, tuple[Issued, ...]]:
    """Read what ``encode_all`` wrote.

    Raises:
        RecordBroken: It is nothing that ``encode_all`` wrote.
    """
    try:
        return {name: _flat(record) for name, record in _records.decode(octets).items()}
    except (msgspec.DecodeError, ValueError, OverflowError, OSError) as error:
        raise RecordBroken(f"the record of issued certificates cannot be read: {error}") from error


def fitted(issued: Iterable[Issued], limit: int = MOST_RECORDED_BYTES) -> tuple[tuple[Issued, ...], bytes]:
    """So many of them as a record has room for, those that end last; and the record, as ``decode`` reads it."""
    kept = list(issued)
    octets = encode(kept)
    if len(octets) > limit:
        kept.sort(key=lambda one: (one.not_after, one.serial), reverse=True)
    while kept and len(octets) > limit:
        kept = kept[: int(len(kept) * 0.95)]
        octets = encode(kept)
    return tuple(kept), octets


def _grouped(issued: Iterable[Issued]) -> _Record:
    groups: defaultdict[str, defaultdict[bytes, list[tuple[bytes, int]]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(issued, key=lambda one: (one.key_id, one.uid, one.serial)):
        groups[one.key_id][_uid_octets(one.uid)].append((_octets(one.serial), int(one.not_after.timestamp())))
    return {key_id: dict(by_uid) for key_id, by_uid in groups.items()}


def _flat(record: _Record) -> tuple[Issued, ...]:
    return tuple(
        Issued(int.from_bytes(serial), _uid(uid), key_id, moment(end))
        for key_id, by_uid in record.items()
        for uid, some in by_uid.items()
        for serial, end in some
    )


def _octets(serial: int) -> bytes:
    return serial.to_bytes((serial.bit_length() + 7) // 8 or 1)


def _uid_octets(uid: str) -> bytes:
    """A UUID as its 16 octets; whatever else a uid may be as text."""
    # Python's UUID takes ten times as long, and a record is written every few seconds in a burst.
    try:
        octets = bytes.fromhex(uid.replace("-", ""))
    except ValueError:
        octets = b""
    if len(octets) == 16 and _uuid(octets) == uid:
        return octets
    text = _NO_UUID + uid.encode()
    return text if len(text) != 16 else _NO_UUID + text


def _uid(octets: bytes) -> str:
    return _uuid(octets) if len(octets) == 16 else octets.lstrip(_NO_UUID).decode()


def _uuid(octets: bytes) -> str:
    digits = octets.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
