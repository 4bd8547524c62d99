"""Keep kopf's watches running: kopf ends at any watch error but 410, and takes a CRD that is missing as it is.

What a restarted watch lists is handed on as ever; what vanished meanwhile is found by a sweep.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from mintls.api.v1alpha1.meta import GROUP, VERSION
from mintls.core.schedule import backoff
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError, NotFound

logger = logging.getLogger(__name__)

ASK_SECONDS = 1.0
"""How often it is asked whether the kinds are served, while one is not."""
_FIRST_WAIT = timedelta(milliseconds=500)
_LONGEST_WAIT = timedelta(seconds=10)
_STEADY_SECONDS = 60.0
"""A watch that ran for so long was well; the next wait is the first one again."""


class Watching:
    """Starts the watches, and starts them again when they have ended.

    Attributes:
        problem: Why nothing is watched now, in words; "" while all is well.
    """

    def __init__(
        self,
        api: ApiClient,
        plurals: frozenset[str],
        watch: Callable[[], Awaitable[None]],
        sweep: Callable[[], Awaitable[str]],
        on_restart: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            api: Is asked which kinds are served.
            plurals: Kinds of our group that have to be served before anything is watched.
            watch: Watches until it is cancelled or fails.
            sweep: Lists everything, and takes note of what is gone; says what it could not list, "" if nothing.
            on_restart: Told of each time that the watches are begun again.
        """
        self.problem = ""
        self._api = api
        self._plurals = plurals
        self._watch = watch
        self._sweep = sweep
        self._on_restart = on_restart

    async def run(self) -> None:
        """Work until cancelled."""
        failures, clock = 0, asyncio.get_running_loop().time
        await self._until_served()
        self.problem = ""
        while True:
            began = clock()
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - whatever kopf ends with, the watches have to go on
                failures = 1 if clock() - began > _STEADY_SECONDS else failures + 1
                self._trouble(f"the watches ended: {type(error).__name__}: {error}")
            await self._until_listed(failures)
            self._on_restart()

    async def _until_listed(self, failures: int) -> None:
        """Nobody tells of objects that vanished while nothing was watched; and what cannot be listed is not watched."""
        while True:
            wait = backoff(failures, "watches", first=_FIRST_WAIT, ceiling=_LONGEST_WAIT)
            await self._api.reachability.pause(wait.total_seconds())
            await self._until_served()
            problem = await self._sweep()
            if not problem:
                break
            failures += 1
            self._trouble(problem)
        if self.problem:
            logger.info("watching %s again", ", ".join(sorted(self._plurals)))
        self.problem = ""

    async def _until_served(self) -> None:
        while missing := await self._missing():
            self._trouble(missing)
            await self._api.reachability.pause(ASK_SECONDS)

    async def _missing(self) -> str:
        """What is not served, in words; "" if all is."""
        try:
            answer = await self._api.get(f"/apis/{GROUP}/{VERSION}")
        except NotFound:
            served: set[str] = set()
        except ApiError as error:
            return str(error)
        else:
            served = {kind["name"] for kind in answer.get("resources", ())}
        missing = sorted(f"{plural}.{GROUP}" for plural in self._plurals - served)
        return f"the API server does not serve {' and '.join(missing)}: put the CRDs back" if missing else ""

    def _trouble(self, problem: str) -> None:
        # Once in the log for each kind of trouble, not at each attempt.
        logger.log(logging.DEBUG if problem == self.problem else logging.WARNING, "%s", problem)
        self.problem = problem
