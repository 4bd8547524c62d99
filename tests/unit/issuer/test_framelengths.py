"""Frames are judged by what their headers say, however these arrive."""

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hypothesis import given
from hypothesis import strategies as st

from mintls.issuer.extauthz.framelengths import FrameLengths

LARGEST = 16_384


def frame(length: int, *, announced: int | None = None) -> bytes:
    return (length if announced is None else announced).to_bytes(3) + bytes(6) + b"x" * length


def spoken(*bodies: bytes) -> bytes:
    """What a caller sends: h2's own preface and settings, and a call with these messages."""
    caller = H2Connection(H2Configuration(client_side=True))
    caller.initiate_connection()
    caller.send_headers(1, [(":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/")])
    for body in bodies:
        caller.send_data(1, body)
    return caller.data_to_send()


def in_parts(sent: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted(cut % (len(sent) + 1) for cut in cuts)
    return [sent[begin:end] for begin, end in zip([0, *ends], [*ends, len(sent)], strict=True)]


@given(st.lists(st.integers(0, 1 << 20), max_size=8))
def test_what_is_long_enough_passes_in_whatever_parts_it_comes(cuts: list[int]) -> None:
    lengths = FrameLengths(LARGEST)
    sent = spoken(b"a" * LARGEST, b"", b"b") + frame(LARGEST) + frame(0) + frame(5)
    assert all(lengths.allow(part) for part in in_parts(sent, cuts))


@given(st.lists(st.integers(0, 1 << 20), max_size=8))
def test_one_frame_that_is_too_long_is_found_in_whatever_parts_it_comes(cuts: list[int]) -> None:
    lengths = FrameLengths(LARGEST)
    sent = spoken(b"a") + frame(LARGEST) + frame(0, announced=LARGEST + 1)
    assert not all(lengths.allow(part) for part in in_parts(sent, cuts))


@pytest.mark.parametrize("announced", [LARGEST + 1, 2**24 - 1])
def test_its_header_is_enough(announced: int) -> None:
    lengths = FrameLengths(LARGEST)
    header = frame(0, announced=announced)
    assert lengths.allow(spoken() + header[:-1])
    assert not lengths.allow(header[-1:])
