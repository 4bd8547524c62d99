"""A fresh issuer for each test, which starts in milliseconds, on the event loop that it has in production."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop

from builders.issuer import Bench, running_issuer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    del config, item
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    async with running_issuer(tmp_path) as value:
        yield value
