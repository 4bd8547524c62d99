"""Logs as JSON lines on standard error; audit lines of the issuer have standard output for themselves."""

import logging
import sys
import time

from pythonjsonlogger.msgspec import MsgspecFormatter

_NOISY = {
    "kopf": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    # It warns that it leaves signals alone, as it should: they are ours.
    "kopf._core.reactor.running": logging.ERROR,
}


def configure_logging(verbosity: int) -> None:
    """Set up the root logger.

    Args:
        verbosity: 0 for what a person wants to know, 1 for each step, 2 for the libraries' steps too.
    """
    formatter = MsgspecFormatter(
        ["asctime", "levelname", "name", "message"],
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "name_": "name"},
        datefmt="%Y-%m-%dT%H:%M:%SZ",
    )
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if verbosity else logging.INFO)
    for name, level in _NOISY.items():
        logging.getLogger(name).setLevel(logging.DEBUG if verbosity > 1 else level)
