"""The Secret with the keys that sign tokens."""

import asyncio
import logging
from datetime import datetime, timedelta

from mintls.controllers.entropy import new_key
from mintls.controllers.keys import Key
from mintls.controllers.scheduler import Clock
from mintls.controllers.signingsecret import SigningSecret
from mintls.core.oauth.signing_algorithms import key_spec
from mintls.core.oauth.signing_keys import SigningKey, key_id
from mintls.kube.errors import Conflict
from mintls.reconcile.signingkeys import Keep, decide

logger = logging.getLogger(__name__)

NAME = "mintls-signing-keys"
FILE = "keys.json"
COMPONENT = "signing-keys"
_AGAIN = timedelta(minutes=5)


class SigningKeysController:
    """Makes, publishes and retires signing keys."""

    def __init__(self, *, secret: SigningSecret, clock: Clock, algorithm: str = "ES256") -> None:
        """Prepare; ``secret`` is where the keys are, ``algorithm`` what new keys are for."""
        self._algorithm = algorithm
        self._secret = secret
        self._clock = clock

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at the one Secret; ``key`` says nothing more.

        Raises:
            ApiError: The Secret could not be read or written.
        """
        del key
        now = self._clock()
        secret = await self._secret.read()
        if self._secret.is_foreign(secret):
            return now + _AGAIN
        decision = decide(self._secret.keys(secret, FILE), now, self._algorithm)
        if isinstance(decision, Keep):
            return decision.look_again
        keys = decision.keys
        if decision.sign_from is not None:
            keys = (*keys, await asyncio.to_thread(new_signing_key, now, decision.sign_from, self._algorithm))
            logger.info("made signing key %s, which signs from %s", keys[-1].kid, keys[-1].sign_from.isoformat())
        try:
            await self._secret.write(secret, {FILE: keys})
        except Conflict:
            logger.info("the signing keys changed while they were being written: looking again")
        return now


def new_signing_key(now: datetime, sign_from: datetime, algorithm: str) -> SigningKey:
    """Another key; RSA takes long, see ``new_key``."""
    key = new_key(key_spec(algorithm))
    return SigningKey(
        kid=key_id(key.public_key()),
        alg=algorithm,
        private_key=key,
        created_at=now.replace(microsecond=0),
        sign_from=sign_from,
    )
