"""The map of few values against one of plain sets."""

from collections import defaultdict

import hypothesis.strategies as st
from hypothesis import given

from mintls.core.multimap import MultiMap

_STEPS = st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 3)), max_size=40)


@given(_STEPS)
def test_it_holds_what_sets_would_hold(steps: list[tuple[bool, int, int]]) -> None:
    subject, plain = MultiMap[int, int](), defaultdict[int, set[int]](set)
    for adds, key, value in steps:
        if adds:
            subject.add(key, value)
            plain[key].add(value)
        else:
            subject.discard(key, value)
            plain[key].discard(value)
        there = {key: values for key, values in plain.items() if values}
        assert set(subject) == set(there)
        assert len(subject) == len(there)
        assert all(subject.get(key) == there.get(key, set()) for key in range(4))


def test_what_it_gives_does_not_change_with_it() -> None:
    subject = MultiMap[str, int]()
    subject.add("a", 1)
    subject.add("a", 2)
    before = subject.get("a")
    subject.discard("a", 1)
    subject.discard("a", 2)
    assert before == {1, 2}
    assert subject.get("a") == frozenset()
