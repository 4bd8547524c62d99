"""Who works on the queue lets others work, too."""

import asyncio
from types import SimpleNamespace

from mintls.controllers.keys import Key, Kind
from mintls.controllers.operator import Operator
from mintls.controllers.queue import ReconcileQueue
from mintls.controllers.tasks import running


async def test_thousands_of_looks_that_wait_for_nothing_do_not_keep_everything_else_waiting() -> None:
    queue = ReconcileQueue()
    for number in range(3000):
        queue.add(Key(Kind.CERTIFICATE, "shop", f"certificate-{number}"))
    looked: list[Key] = []

    async def look(key: Key) -> None:
        looked.append(key)

    async def held() -> None: ...

    parts = SimpleNamespace(_lease=SimpleNamespace(wait_held=held), _parts=SimpleNamespace(queue=queue), _look=look)
    async with running(Operator._work(parts)):  # type: ignore[arg-type]  # as much of one as a worker asks
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert 0 < len(looked) < 10, "one turn each"
        while not queue.idle():  # noqa: ASYNC110 - turns are what is counted
            await asyncio.sleep(0)
    assert len(looked) == 3000
