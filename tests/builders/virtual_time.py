"""An event loop in which waiting takes no time: when nothing is left to do, the clock jumps to the next timer.

For code that waits on timers alone; real sockets, threads and processes need real time.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose ``time()`` starts at 0 and moves only by jumping over idle time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined] # the loop's own, not in the type stubs
        self._select = selector.select
        selector.select = self._jump

    def time(self) -> float:
        return self._now

    def _jump(self, timeout: float | None) -> Any:
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        self._now += timeout
        return self._select(0)


def in_virtual_time[**P](test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a plain test of an async one, run in virtual time."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def now() -> float:
    """The running loop's clock; what a test passes as ``clock``."""
    return asyncio.get_running_loop().time()
