import itertools
from collections.abc import AsyncIterator, Iterable

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.kube.lines import split_lines


async def chunks(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(
    lines=st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line)),
    cuts=st.lists(st.integers(0, 200)),
)
async def test_lines_do_not_depend_on_how_the_stream_is_cut(lines: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(line + b"\n" for line in lines)
    edges = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    parts = [whole[start:end] for start, end in itertools.pairwise(edges)]
    assert [line async for line in split_lines(chunks(parts))] == lines


async def test_empty_lines_are_left_out() -> None:
    assert [line async for line in split_lines(chunks([b"\na\n\n", b"\nb\n"]))] == [b"a", b"b"]


async def test_a_stream_that_ends_within_a_line_is_an_error_after_the_whole_lines() -> None:
    lines = split_lines(chunks([b"whole\nha", b"lf"]))
    assert await anext(lines) == b"whole"
    with pytest.raises(aiohttp.ClientPayloadError, match="middle of a line"):
        await anext(lines)
