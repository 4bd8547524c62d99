"""What is large and freed does not stay in the heap."""

import ctypes
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from mintls.cli.allocator import give_back_what_is_freed

GLIBC = platform.libc_ver()[0] == "glibc"

MAPPED = """
import ctypes, sys
from mintls.cli.allocator import give_back_what_is_freed

class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

info = ctypes.CDLL(None).mallinfo2
info.restype = Mallinfo
done = "told" in sys.argv and give_back_what_is_freed()
del bytearray(16 * 1024 * 1024)[:]  # up to there goes the threshold by itself
before = info().hblks
kept = bytearray(1024 * 1024)
print(done, info().hblks - before)
"""


@pytest.mark.skipif(not GLIBC, reason="another C library")
@pytest.mark.parametrize(("words", "told"), [(["told"], "True 1"), ([], "False 0")])
def test_a_large_block_is_mapped_by_itself_whatever_was_freed_before(words: list[str], told: str) -> None:
    done = subprocess.run([sys.executable, "-c", MAPPED, *words], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == told


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace())
    assert not give_back_what_is_freed()
