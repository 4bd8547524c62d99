"""Thousands of objects by their names, each with its version, in little memory."""

from collections.abc import Iterator, KeysView
from functools import lru_cache

from mintls.controllers.packing import Packing
from mintls.kube.reflection import Key

_AT_HAND = 64
"""So many objects that were asked for last are there without being unpacked again: a look at one asks several times."""


class PackedTable[T]:
    """Objects of one kind by namespace and name, packed, with what is asked of each without unpacking it.

    That is its version, and a mark, whose meaning is its owner's affair. Both are octets before those of the object: as
    Python objects beside it they took a quarter of the memory.
    """

    def __init__(self, type_: type[T]) -> None:
        """Prepare; ``type_`` is what the objects are."""
        self._packing = Packing(type_)
        self._unpack = lru_cache(_AT_HAND)(self._read)
        self._rows: dict[Key, bytes] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._rows)

    def __contains__(self, key: Key) -> bool:
        """Whether there is such an object."""
        return key in self._rows

    def keys(self) -> KeysView[Key]:
        """Of all of them."""
        return self._rows.keys()

    def items(self) -> Iterator[tuple[Key, T]]:
        """All of them, as they are now."""
        return ((key, self._read(row)) for key, row in tuple(self._rows.items()))

    def unmarked(self) -> Iterator[T]:
        """Those without a mark, as they are now."""
        return map(self._read, [row for row in self._rows.values() if not _is_marked(row)])

    def get(self, key: Key) -> T | None:
        """The object, or ``None``."""
        row = self._rows.get(key)
        return self._unpack(row) if row is not None else None

    def is_newer(self, key: Key, version: int) -> bool:
        """Whether there is no such object, or one of an earlier version."""
        row = self._rows.get(key)
        return row is None or version > _version(row)

    def put(self, key: Key, version: int, item: T, *, is_marked: bool = False) -> None:
        """Keep an object in place of what was there."""
        self._rows[key] = _head(version, is_marked=is_marked) + self._packing.pack(item)

    def pop(self, key: Key) -> None:
        """Forget an object; one that is not there is no error."""
        self._rows.pop(key, None)

    def _read(self, row: bytes) -> T:
        return self._packing.unpack(row[_length(row) :])


def _head(version: int, *, is_marked: bool) -> bytes:
    """The version in as few octets as it takes, after one with their number and the mark."""
    octets = version.to_bytes((version.bit_length() + 7) // 8)
    return bytes((len(octets) << 1 | is_marked,)) + octets


def _length(row: bytes) -> int:
    return 1 + (row[0] >> 1)


def _version(row: bytes) -> int:
    return int.from_bytes(row[1 : _length(row)])


def _is_marked(row: bytes) -> bool:
    return bool(row[0] & 1)
