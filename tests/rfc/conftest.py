"""The issuer of tests/issuer, started anew for each row."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builders.issuer import Bench, running_issuer


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_issuer(tmp_path) as value:
        yield value
