"""Run a module under cProfile by processor time: ``python -m bench.profiled FILE -m MODULE ARGUMENTS``.

It begins with SIGUSR1, so that the start is left out. cProfile's own command goes by the clock, and counts as a
function's time what others had of the core meanwhile.
"""

import cProfile
import runpy
import signal
import sys
import time


def _main() -> None:
    file, _, module, *_arguments = sys.argv[1:]
    del sys.argv[1:4]
    profile = cProfile.Profile(time.process_time)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: profile.enable())
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(file)


if __name__ == "__main__":
    _main()
