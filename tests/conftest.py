"""What every part of the suite may ask for; a fixture that is not used costs nothing."""

from hypothesis import settings

from clusterlib.pytest_plugin import cluster

# A machine that is busy makes any test slow: what is too slow is a benchmark's to say.
settings.register_profile("mintls", deadline=None)
settings.load_profile("mintls")

__all__ = ["cluster"]
