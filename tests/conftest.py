"""What every part of the suite may ask for; a fixture that is not used costs nothing."""

from clusterlib.pytest_plugin import cluster

__all__ = ["cluster"]
