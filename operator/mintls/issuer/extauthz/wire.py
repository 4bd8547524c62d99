"""Protocol buffers on the wire: as much of it as two messages need (protobuf.dev/programming-guides/encoding).

A message is read one level at a time, and only as deep as somebody looks: no message can make it recurse.
"""

from collections.abc import Iterator

_VARINT, _LENGTH = 0, 2
_FIXED = {1: 8, 5: 4}
"""Kinds of a fixed length, in octets."""
_LONGEST_VARINT = 10


class MalformedMessageError(ValueError):
    """These are no fields of a message."""


class Message:
    """The fields of a message whose values have a length: strings, bytes and messages. Numbers are passed over."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[bytes]] = {}
        for number, value in _fields(data):
            self._fields.setdefault(number, []).append(value)

    def octets(self, number: int) -> bytes:
        """The value of a field that is there once: the last one counts. Empty if it is not there."""
        return self._fields.get(number, [b""])[-1]

    def text(self, number: int) -> str:
        """The same as text, each octet a character, as HTTP has it in headers."""
        return self.octets(number).decode("latin-1")

    def message(self, number: int) -> "Message":
        """A message in this one; one without fields if it is not there.

        Raises:
            MalformedMessageError: It is none.
        """
        # Of several pieces each adds to the one before it.
        return Message(b"".join(self._fields.get(number, ())))

    def messages(self, number: int) -> tuple["Message", ...]:
        """All messages of a field that may be there several times; entries of a map, too.

        Raises:
            MalformedMessageError: One of them is none.
        """
        return tuple(map(Message, self._fields.get(number, ())))


def field(number: int, value: bytes | str | int) -> bytes:
    """A field: a string, a message that is made of fields, or a number that is not negative."""
    if isinstance(value, int):
        return _varint(number << 3 | _VARINT) + _varint(value)
    octets = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | _LENGTH) + _varint(len(octets)) + octets


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        if not tag >> 3:
            raise MalformedMessageError("a field with the number 0")
        kind = tag & 7
        if kind == _LENGTH:
            length, at = _read_varint(data, at)
            if at + length <= len(data):
                yield tag >> 3, data[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _read_varint(data, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise MalformedMessageError(f"a field of the kind {kind}")
    if at > len(data):
        raise MalformedMessageError("it ends within a field")


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index, octet in enumerate(data[at : at + _LONGEST_VARINT]):
        value |= (octet & 0x7F) << 7 * index
        if octet < 0x80:
            return value, at + index + 1
    raise MalformedMessageError("it ends within a number, or the number is too long")


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)
