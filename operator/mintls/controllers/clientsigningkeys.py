"""The Secret with the signing keys that clients ask for."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from mintls.controllers.keys import Key
from mintls.controllers.scheduler import Clock
from mintls.controllers.signingkeys import new_signing_key
from mintls.controllers.signingsecret import SigningSecret
from mintls.kube.errors import Conflict
from mintls.reconcile.clientsigningkeys import Files, Plan, Wanted, plan

logger = logging.getLogger(__name__)

NAME = "mintls-client-signing-keys"
COMPONENT = "client-signing-keys"
_AGAIN = timedelta(minutes=5)


class ClientSigningKeysController:
    """Makes, publishes and retires the keys that clients ask for."""

    def __init__(
        self, *, secret: SigningSecret, wanted: Callable[[], Wanted], is_there: Callable[[], bool], clock: Clock
    ) -> None:
        """Prepare.

        Args:
            secret: Where the keys are.
            wanted: What there has to be.
            is_there: Whether there may be a Secret; where there is none and nothing is wanted nothing is read.
            clock: The time, aware UTC.
        """
        self._secret = secret
        self._wanted = wanted
        self._is_there = is_there
        self._clock = clock

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at the one Secret; ``key`` says nothing more.

        Raises:
            ApiError: The Secret could not be read or written.
        """
        del key
        now, want = self._clock(), self._wanted()
        if not want.files and not self._is_there():
            return None
        secret = await self._secret.read()
        if self._secret.is_foreign(secret):
            return now + _AGAIN
        files = {file: self._secret.keys(secret, file) for file in (secret or {}).get("data") or {}}
        todo = plan(files, want, now)
        if todo.files == files and not todo.make:
            return todo.look_again
        try:
            await self._secret.write(secret, await _made(todo, now))
        except Conflict:
            logger.info("the clients' signing keys changed while they were being written: looking again")
        return now


async def _made(todo: Plan, now: datetime) -> Files:
    files = dict(todo.files)
    for file, (algorithm, sign_from) in todo.make.items():
        made = await asyncio.to_thread(new_signing_key, now, sign_from, algorithm)
        files[file] = (*files[file], made)
        logger.info("made signing key %s for %s, which signs from %s", made.kid, file, made.sign_from.isoformat())
    return files
