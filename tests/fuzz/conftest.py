"""One issuer for all examples of a module."""

from collections.abc import Iterator

import pytest

from builders.fuzz_target import Target, target_in_thread


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target_in_thread(tmp_path_factory.mktemp("issuer")) as value:
        yield value
