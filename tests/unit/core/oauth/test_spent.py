"""The names of what is spent."""

import re

from hypothesis import given
from hypothesis import strategies as st

from builders.pki import NOW
from mintls.core.oauth.spent import Spent, Use

# Lone surrogates are no text: neither a form nor a JWT can carry one.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT, st.sampled_from(Use))
def test_a_name_is_one_that_kubernetes_takes(client_id: str, identifier: str, use: Use) -> None:
    assert re.fullmatch(r"[a-z]+-[0-9a-f]{64}", Spent(use, client_id, identifier, NOW).name)


@given(st.tuples(TEXT, TEXT, st.sampled_from(Use)), st.tuples(TEXT, TEXT, st.sampled_from(Use)))
def test_two_have_one_name_only_if_they_are_the_same(one: tuple[str, str, Use], other: tuple[str, str, Use]) -> None:
    first, second = (Spent(use, client_id, identifier, NOW) for client_id, identifier, use in (one, other))
    assert (first.name == second.name) is (one == other)


def test_where_the_client_ends_and_the_identifier_begins_counts() -> None:
    assert Spent(Use.DPOP_PROOF, "ab", "c", NOW).name != Spent(Use.DPOP_PROOF, "a", "bc", NOW).name
