"""Several values for a key, where nearly every key has one: that one costs no set of its own."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class MultiMap[K: Hashable, V: Hashable]:
    """Keys with the set of their values; no value may be a set itself. A key without values is not there."""

    _entries: dict[K, V | set[V]] = field(default_factory=dict)

    def add(self, key: K, value: V) -> None:
        """Add a value, if the key has not got it yet."""
        entry = self._entries.setdefault(key, value)
        if isinstance(entry, set):
            entry.add(value)
        elif entry != value:
            self._entries[key] = {entry, value}

    def discard(self, key: K, value: V) -> None:
        """Take a value away; one that is not there is no error."""
        entry = self._entries.get(key)
        if isinstance(entry, set):
            entry.discard(value)
            if len(entry) == 1:
                self._entries[key] = entry.pop()
        elif entry == value:
            del self._entries[key]

    def get(self, key: K) -> frozenset[V]:
        """All values of a key."""
        if key not in self._entries:
            return frozenset()
        entry = self._entries[key]
        return frozenset(entry) if isinstance(entry, set) else frozenset((entry,))

    def __iter__(self) -> Iterator[K]:
        """The keys that have values."""
        return iter(self._entries)

    def __len__(self) -> int:
        """How many keys have values."""
        return len(self._entries)
