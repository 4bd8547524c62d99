"""A kopf that hangs in its end is not left running beside the one that takes its place."""

import asyncio
import contextlib
import threading

import pytest

from mintls.controllers import handlers


async def stubborn() -> None:
    """As kopf's watchers: they see to their workers' end whatever is cancelled."""
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


def test_its_loop_is_stopped_until_its_thread_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "_ENDING_SECONDS", 0.05)
    loop = asyncio.new_event_loop()

    def run() -> None:
        # Both the work and the cancelling of what is left hang.
        with contextlib.suppress(RuntimeError), asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(stubborn())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    end = threading.Thread(target=handlers._see_to_the_end, args=(thread, loop), daemon=True)
    end.start()
    end.join(10)
    assert not end.is_alive()
    assert not thread.is_alive()
