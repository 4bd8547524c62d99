"""What another program said, as a condition repeats it."""

import pytest

from mintls.core.quoting import LONGEST, quoted


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("not for you", "not for you"),
        ("a\nb\x1b[2J", "a b [2J"),
        ("  ", "it says nothing more"),
        ("x" * 5000, "x" * LONGEST),
        ("token abc was used, abc!", "token ... was used, ...!"),
    ],
)
def test_it_is_one_short_line_without_what_is_secret(said: str, shown: str) -> None:
    assert quoted(said, "abc", "") == shown
