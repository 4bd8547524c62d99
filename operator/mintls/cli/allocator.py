"""glibc's allocator, asked now and then to give back what is freed.

By itself it gives back the end of its heap alone, and that is hardly ever free: what a burst of thousands of objects
leaves behind are holes before it, of buffers of connections and of pages of lists.
"""

import asyncio
import ctypes

_SECONDS = 10.0
"""It takes a millisecond, and what is given back is filled with zeros when it is needed again."""


async def give_back_what_is_freed(seconds: float = _SECONDS) -> None:
    """Do so until cancelled; where the C library is another one (musl, macOS), return.

    Args:
        seconds: How often.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim  # malloc_trim(3)
    except (OSError, AttributeError):
        return
    while True:
        await asyncio.sleep(seconds)
        trim(0)
