"""What the demo prints: readable on a terminal and in a CI log. Colours only on a terminal (https://no-color.org)."""

import os
import sys
from typing import TextIO

_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"


class Console:
    """Writes headings, commands, their output, and what came of them."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stdout
        self._colours = self.stream.isatty() and not os.environ.get("NO_COLOR")

    def heading(self, text: str) -> None:
        """Begin a chapter."""
        self._write(f"\n{self._in(_BOLD, f'== {text}')}")

    def say(self, text: str) -> None:
        """Say a line in prose."""
        self._write(text)

    def command(self, text: str, remark: str) -> None:
        """Show what is about to be run, as it can be typed."""
        first, *rest = text.splitlines()
        shown = "\n".join([f"$ {first}", *(f"  {line}" for line in rest)])
        self._write(f"\n{self._in(_DIM, f'# {remark}')}\n{self._in(_BOLD, shown)}")

    def output(self, text: str) -> None:
        """Show what a command wrote."""
        for line in text.rstrip().splitlines():
            self._write(f"  {line}".rstrip())

    def passed(self, text: str) -> None:
        """Mark a step as come out as expected."""
        self._write(f"{self._in(_GREEN, 'ok')}      {text}")

    def failed(self, text: str) -> None:
        """Mark a step as not come out as expected."""
        self._write(f"{self._in(_RED, 'FAILED')}  {text}")

    def _in(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._colours else text

    def _write(self, text: str) -> None:
        print(text, file=self.stream, flush=True)
