"""Lines out of a stream of chunks, without a limit on their length.

A watch sends one JSON document per line; a Secret or a CRD can make a line of more than a megabyte, which is above the
limit of ``aiohttp``'s own ``readline``.
"""

from collections.abc import AsyncIterable, AsyncIterator

import aiohttp


async def split_lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The lines of a byte stream, without their newline and without empty ones.

    Raises:
        aiohttp.ClientPayloadError: The stream ended in the middle of a line.
    """
    pending: list[bytes] = []
    async for chunk in chunks:
        # Parts are kept apart until their newline comes: adding each to one buffer is quadratic for a long line.
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            line = b"".join([*pending, part])
            pending = []
            if line:
                yield line
        if rest:
            pending.append(rest)
    if pending:
        raise aiohttp.ClientPayloadError("the stream ended in the middle of a line")
