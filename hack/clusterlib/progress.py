"""Telling people what takes so long.

On a terminal one line is rewritten; elsewhere (a CI log, a pipe) a line is added now and then.
"""

import sys
import time
from typing import TextIO

_QUIET_INTERVAL = 15.0
_TERMINAL_INTERVAL = 0.2


class Progress:
    """Lines for a person, written to *stream* (default: stderr, so that stdout stays the command's result)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._rewrites = self._stream.isatty()
        self._open_width = 0
        self._last = 0.0

    def say(self, text: str) -> None:
        """Write *text* as a line that stays."""
        self._end_line()
        print(text, file=self._stream, flush=True)
        self._last = time.monotonic()

    def step(self, text: str) -> None:
        """Show *text* as the state of the moment; most of these are never seen, so call it as often as you like."""
        now = time.monotonic()
        if now - self._last < (_TERMINAL_INTERVAL if self._rewrites else _QUIET_INTERVAL):
            return
        self._last = now
        if self._rewrites:
            print("\r" + text.ljust(self._open_width), end="", file=self._stream, flush=True)
            self._open_width = len(text)
        else:
            print(text, file=self._stream, flush=True)

    def _end_line(self) -> None:
        if self._open_width:
            print("\r" + " " * self._open_width + "\r", end="", file=self._stream)
            self._open_width = 0


class Silent(Progress):
    """Says nothing."""

    def say(self, text: str) -> None:
        """Drop *text*."""

    def step(self, text: str) -> None:
        """Drop *text*."""
