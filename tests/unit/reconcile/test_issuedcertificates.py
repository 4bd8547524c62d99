"""What is remembered of issued certificates is read as it was written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.pki import DAY, NOW
from mintls.reconcile.issuedcertificates import (
    Issued,
    RecordBroken,
    decode,
    decode_all,
    encode,
    encode_all,
    fitted,
)

SOME = st.builds(
    Issued,
    serial=st.integers(0, 2**159 - 1),
    uid=st.sampled_from(
        [
            "a",
            "fifteen letters",
            "8f3c1f0e-0000-4000-8000-00000000000a",
            "8F3C1F0E00004000800000000000000A",
            "8f3c1f0e 0000 4000 8000 00000000000a",
        ]
    ),
    key_id=st.sampled_from(["", "00ff", "ab" * 20]),
    not_after=st.integers(0, 2**33).map(lambda second: datetime.fromtimestamp(second, UTC)),
)


@given(st.frozensets(SOME))
def test_it_is_read_as_it_was_written(some: frozenset[Issued]) -> None:
    assert frozenset(decode(encode(some))) == some
    [(name, found)] = decode_all(encode_all({"default": some})).items()
    assert (name, frozenset(found), len(found)) == ("default", some, len(some))


@pytest.mark.parametrize(
    "octets",
    [b"", b"x", b"\xc0", encode_all({"default": [Issued(1, "a", "", NOW)]})],
    ids=["nothing", "a number", "nil", "those of several"],
)
def test_what_was_not_written_so_is_refused(octets: bytes) -> None:
    with pytest.raises(RecordBroken):
        decode(octets)


def test_there_is_room_for_two_certificates_of_ten_thousand_objects() -> None:
    some = [
        Issued((n << 140) + 2**158, f"8f3c1f0e-0000-4000-8000-{n // 2:012d}", "ab" * 20, NOW) for n in range(20_000)
    ]
    assert len(fitted(some)[0]) == len(some)


def test_where_there_is_no_room_those_that_end_last_are_kept() -> None:
    some = [Issued(n, f"uid-{n}", "", NOW + timedelta(seconds=n)) for n in range(100)]
    kept, octets = fitted(some, limit=1000)
    assert 20 < len(kept) < 100
    assert min(one.serial for one in kept) == 100 - len(kept)
    assert {*decode(octets)} == {*kept}
    assert len(octets) <= 1000
    assert len(fitted(some)[0]) == len(some)


def test_a_fraction_of_a_second_is_not_lost_because_certificates_have_none() -> None:
    [one] = decode(encode([Issued(1, "a", "", NOW + DAY)]))
    assert one.not_after == NOW + DAY
