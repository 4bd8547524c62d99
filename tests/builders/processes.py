"""Programs beside a running loop.

Not by the loop's own subprocesses: uvloop forks the whole process of the tests for each, which takes twenty times as
long as the ``vfork`` of Python's ``subprocess`` (28 ms beside 1.4 ms in a process of 250 MiB).
"""

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any


async def output(command: list[str] | str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """What a program says until its end, by the options of ``subprocess.run``; a string is for the shell."""
    shell = isinstance(command, str)
    options = {"stdout": subprocess.PIPE, **options}
    return await asyncio.to_thread(lambda: subprocess.run(command, shell=shell, check=False, **options))


def started(command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    """One that runs on; that takes a millisecond, for which the loop stands."""
    return subprocess.Popen(command)
