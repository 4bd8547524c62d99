"""Integers of a DER structure, to be looked at before a library acts on them (ITU-T X.690)."""

from collections.abc import Iterator

_INTEGER, _OCTET_STRING, _SEQUENCE, _CONSTRUCTED = 0x02, 0x04, 0x30, 0x20


def integers(der: bytes) -> Iterator[int]:
    """Each INTEGER, also of structures inside of OCTET STRINGs, as PKCS #12 nests its parts (RFC 7292 section 4).

    Raises:
        ValueError: It is no DER with definite lengths.
    """
    at = 0
    while at < len(der):
        tag, content, at = _element(der, at)
        if tag == _INTEGER:
            yield int.from_bytes(content, signed=True)
        elif tag & _CONSTRUCTED or (tag == _OCTET_STRING and _is_structure(content)):
            yield from integers(content)


def _element(der: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag and content of the element at a position, and the position after it."""
    if at + 2 > len(der):
        raise ValueError("the element is cut off")
    tag, length, start = der[at], der[at + 1], at + 2
    if length & 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4:
            raise ValueError("the length is none of DER")
        length, start = int.from_bytes(der[start : start + octets]), start + octets
    if start + length > len(der):
        raise ValueError("the element is cut off")
    return tag, der[start : start + length], start + length


def _is_structure(content: bytes) -> bool:
    """Whether it is one SEQUENCE, and nothing before or after it."""
    if not content.startswith(bytes([_SEQUENCE])):
        return False
    try:
        return _element(content, 0)[2] == len(content)
    except ValueError:
        return False
