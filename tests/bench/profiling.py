"""Where the issuer's time goes: functions by their own time, under load over keep-alive connections."""

import io
import os
import pstats
import signal
from pathlib import Path

from bench.installation import Installation
from bench.issuer import TOKEN
from bench.load import Shape, ask, save

_LINES = 30


async def profile(installation: Installation, program: Path, seconds: float = 5.0) -> str:
    """The table of cProfile, which makes each call of a Python function dearer than it is: an order, not a measure."""
    await installation.grow(1)
    tls = installation.server_files()
    callers = save(installation.callers, installation.folder / "one.json")
    found = installation.folder / "issuer.profile"
    async with installation.issuer(python=("-m", "bench.profiled", str(found))) as process:
        os.kill(process.pid, signal.SIGUSR1)
        ca = tls / "ca.crt"
        shape = Shape(32, seconds=seconds)
        ask(program, shape, pid=process.pid, port=process.port, path="/token", form=TOKEN, callers=callers, ca=ca)
    text = io.StringIO()
    pstats.Stats(str(found), stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()
