from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from builders.kube import ApiDouble, api_double
from mintls.kube.client import ApiClient


@pytest.fixture
async def double() -> AsyncIterator[ApiDouble]:
    async with api_double() as server:
        yield server


@pytest.fixture
async def api(double: ApiDouble, tmp_path: Path) -> AsyncIterator[ApiClient]:
    async with ApiClient.connect(double.kubeconfig(tmp_path)) as client:
        yield client
