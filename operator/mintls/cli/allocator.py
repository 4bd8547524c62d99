"""glibc's allocator, told to give back what is freed.

A block that is larger than a threshold is mapped by itself, and is the system's again when it is freed. glibc raises
that threshold to the largest block that was freed so far, up to 32 MiB (mallopt(3), "M_MMAP_THRESHOLD"): from the first
buffer of a TLS connection on, pages of a list and tables of 10,000 entries lie in the heap, and leave holes in it.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of glibc's malloc.h."""

_LARGE = 512 * 1024
_KEPT = 4 * 1024 * 1024
"""With thresholds of 64 and 128 KiB a certificate took an eighth more processor time: what is mapped, and what the end
of the heap grows by again, is filled with zeros each time."""
_ARENAS = 1


def give_back_what_is_freed() -> bool:
    """Fix the thresholds, and have one heap for all threads: they wait for each other anyway, in Python.

    Returns:
        Whether that could be done; where the C library is another one (musl, macOS), nothing is changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    options = ((_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _KEPT), (_M_ARENA_MAX, _ARENAS))
    done = [mallopt(option, value) for option, value in options]
    return all(done)
