"""How long the frames of a caller say that they are, judged before they have come.

h2 compares a frame's length with the largest that it takes only when all of the frame is there, and keeps up to 16 MiB
until then, of whoever has a connection.
"""

_PREFACE = 24  # RFC 9113 section 3.4; h2 itself refuses another one at its first octet
_HEADER = 9


class FrameLengths:
    """Follows where frames begin in what one caller sends."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._until_header = _PREFACE
        self._header = bytearray()

    def allow(self, data: bytes) -> bool:
        """Whether no frame that begins in this is longer than it may be (RFC 9113 section 4.2).

        Args:
            data: What comes next. After a frame that is too long nothing more is asked.
        """
        at = 0
        while at < len(data):
            passed = min(self._until_header, len(data) - at)
            self._until_header -= passed
            at += passed
            wanted = _HEADER - len(self._header)
            self._header += data[at : at + wanted]
            at += wanted
            if len(self._header) == _HEADER:
                self._until_header = int.from_bytes(self._header[:3])
                self._header.clear()
            if self._until_header > self._largest:
                return False
        return True
