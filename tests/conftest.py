"""What every part of the suite may ask for; a fixture that is not used costs nothing."""

import gc
import os

import pytest
from hypothesis import settings

from builders.fuzz import DEFAULT, FUZZ_PROFILE
from clusterlib.pytest_plugin import cluster

# A machine that is busy makes any test slow: what is too slow is a benchmark's to say.
settings.register_profile("mintls", deadline=None, max_examples=DEFAULT)
settings.register_profile(FUZZ_PROFILE, deadline=None, max_examples=int(os.environ.get("EXAMPLES", "20000")))
settings.load_profile("mintls")

__all__ = ["cluster"]


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Leave thousands of tests out of each later collection of garbage: a tenth of the processor time."""
    gc.collect()
    gc.freeze()
