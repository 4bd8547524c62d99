"""Protocol buffers on the wire, against the examples of their own documentation and against chance."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.oauth.errors import InvalidRequest
from mintls.issuer.extauthz.messages import read_check_request
from mintls.issuer.extauthz.wire import MalformedMessageError, Message, field


@pytest.mark.parametrize(
    ("number", "value", "octets"),
    [
        (1, 150, "089601"),
        (2, "testing", "120774657374696e67"),
        (3, field(1, 150), "1a03089601"),
        (16, 0, "800100"),
        (1, 2**64 - 1, "08ffffffffffffffffff01"),
    ],
)
def test_examples(number: int, value: str | bytes | int, octets: str) -> None:
    assert field(number, value).hex() == octets


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.binary() | st.text())))
def test_what_is_written_is_read(fields: list[tuple[int, bytes | str]]) -> None:
    message = Message(b"".join(field(*one) for one in fields))
    for number, value in dict(fields).items():
        assert message.octets(number) == (value.encode() if isinstance(value, str) else value)


def test_fields_of_other_kinds_are_passed_over() -> None:
    others = b"\x08\x96\x01" + b"\x11" + bytes(8) + b"\x1d" + bytes(4)
    assert Message(others + field(4, "a") + others).text(4) == "a"


def test_a_message_in_pieces_is_one() -> None:
    pieces = field(1, field(1, "a")) + field(1, field(2, "b"))
    inner = Message(pieces).message(1)
    assert (inner.text(1), inner.text(2)) == ("a", "b")


@given(st.binary(min_size=1, max_size=20).map(lambda value: field(1, value)), st.data())
def test_a_message_that_ends_too_early_is_none(whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(MalformedMessageError):
        Message(whole[:cut])


@given(st.binary())
def test_whatever_comes_it_is_a_request_or_an_error(octets: bytes) -> None:
    try:
        request = read_check_request(octets)
    except InvalidRequest:
        return
    assert isinstance(request.header("authorization"), tuple)
