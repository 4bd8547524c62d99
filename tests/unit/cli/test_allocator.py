"""What is freed in the middle of the heap does not stay this process's."""

import asyncio
import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mintls.cli.allocator import give_back_what_is_freed

GLIBC = platform.libc_ver()[0] == "glibc"

HOLES = """
import asyncio, contextlib, sys
from pathlib import Path
from mintls.cli.allocator import give_back_what_is_freed

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4

async def main():
    rows = [bytearray(16_000) for _ in range(2_000)]
    kept = rows[::10]
    rows.clear()
    before = resident()
    if "told" in sys.argv:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(give_back_what_is_freed(0.01), 0.1)
    print(before - resident() > 16_000, len(kept))

asyncio.run(main())
"""


@pytest.mark.skipif(not GLIBC, reason="another C library")
@pytest.mark.parametrize(("words", "given_back"), [(["told"], "True"), ([], "False")])
def test_holes_are_the_systems_again(words: list[str], given_back: str) -> None:
    done = subprocess.run([sys.executable, "-c", HOLES, *words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [given_back, "200"]


async def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    task = asyncio.create_task(give_back_what_is_freed())
    await asyncio.wait([task], timeout=1.0)
    assert task.done(), "there is nothing to do, and it waits for nothing"
    assert task.exception() is None
