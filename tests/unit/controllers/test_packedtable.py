"""What a table of packed objects says of them without unpacking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.objects import certificate
from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers.packedtable import PackedTable

KEY = ("shop", "billing")


def table(**put: bool) -> PackedTable[ClientCertificate]:
    """With these certificates, each with a mark or without."""
    made = PackedTable(ClientCertificate)
    for name, is_marked in put.items():
        made.put(("shop", name), 5, certificate(name), is_marked=is_marked)
    return made


@given(st.integers(0, 2**200), st.integers(0, 2**200))
def test_versions_have_an_order_however_long_they_are(known: int, other: int) -> None:
    made = PackedTable(ClientCertificate)
    made.put(KEY, known, certificate(), is_marked=True)
    assert made.is_newer(KEY, other) == (other > known)
    assert made.get(KEY) == certificate()


def test_a_mark_is_on_those_that_got_one() -> None:
    assert list(table(a=True, b=False).unmarked()) == [certificate("b")]


def test_any_version_of_what_is_not_there_is_newer() -> None:
    assert table().is_newer(KEY, 0)


def test_an_object_takes_the_place_of_the_one_before() -> None:
    made = table(billing=True)
    made.put(KEY, 6, certificate(spec={"duration": "1h"}))
    assert list(made.items()) == [(KEY, certificate(spec={"duration": "1h"}))]
    assert (len(made), made.is_newer(KEY, 6), len(list(made.unmarked()))) == (1, False, 1)


def test_what_was_forgotten_is_not_there() -> None:
    made = table(a=False, b=False)
    made.pop(("shop", "a"))
    made.pop(("shop", "a"))
    assert (made.get(("shop", "a")), ("shop", "a") in made, ("shop", "b") in made) == (None, False, True)
    assert set(made.keys()) == {("shop", "b")}


@pytest.mark.parametrize("which", ["items", "unmarked"])
def test_what_is_forgotten_while_all_are_gone_through_does_no_harm(which: str) -> None:
    made = table(a=False, b=False, c=False)
    seen = 0
    for _ in getattr(made, which)():
        made.pop(("shop", "c"))
        seen += 1
    assert (seen, len(made)) == (3, 2)
