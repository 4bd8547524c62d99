"""The Secret with the keys that sign tokens."""

import asyncio
import base64
import logging
from datetime import datetime, timedelta
from typing import Any

from mintls.controllers.entropy import new_key
from mintls.controllers.keys import Key
from mintls.controllers.scheduler import Clock
from mintls.controllers.writer import Writer
from mintls.core.oauth.signing_algorithms import key_spec
from mintls.core.oauth.signing_keys import (
    SigningKey,
    SigningKeysBroken,
    decode_signing_keys,
    encode_signing_keys,
    key_id,
)
from mintls.kube.client import ApiClient
from mintls.kube.errors import Conflict, NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile.credential import COMPONENT, MANAGED_BY
from mintls.reconcile.signingkeys import Change, Keep, decide

logger = logging.getLogger(__name__)

NAME = "mintls-signing-keys"
FILE = "keys.json"
_LABELS = {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: "signing-keys"}
_AGAIN = timedelta(minutes=5)


class SigningKeysController:
    """Makes, publishes and retires signing keys."""

    def __init__(
        self, *, api: ApiClient, writer: Writer, namespace: str, clock: Clock, algorithm: str = "ES256"
    ) -> None:
        """Prepare; ``namespace`` is the operator's, ``algorithm`` what new keys are for."""
        self._algorithm = algorithm
        self._api = api
        self._writer = writer
        self._namespace = namespace
        self._clock = clock

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at the one Secret; ``key`` says nothing more.

        Raises:
            ApiError: The Secret could not be read or written.
        """
        del key
        now = self._clock()
        secret = await self._read()
        if secret is not None and not _is_ours(secret):
            logger.error(
                "Secret %s/%s lacks the label %s=signing-keys: if Mintls made it, add the label; if not, move it away",
                self._namespace,
                NAME,
                COMPONENT,
            )
            return now + _AGAIN
        decision = decide(self._keys(secret), now, self._algorithm)
        if isinstance(decision, Keep):
            return decision.look_again
        try:
            await self._write(secret, decision, now)
        except Conflict:
            logger.info("the signing keys changed while they were being written: looking again")
        return now

    async def _read(self) -> dict[str, Any] | None:
        try:
            return await self._api.get(SECRETS.item(self._namespace, NAME))
        except NotFound:
            return None

    def _keys(self, secret: dict[str, Any] | None) -> tuple[SigningKey, ...]:
        if secret is None:
            return ()
        document = base64.b64decode((secret.get("data") or {}).get(FILE, ""))
        try:
            return decode_signing_keys(document)
        except SigningKeysBroken as broken:
            # Unlike a CA's key a signing key can be replaced: clients get new tokens, resources fetch the key set.
            logger.error(  # noqa: TRY400 - the traceback says nothing more, and stays clear of key material
                "Secret %s/%s is broken and is made anew; tokens signed by the lost keys are refused from now on: %s",
                self._namespace,
                NAME,
                broken,
            )
            return ()

    async def _write(self, secret: dict[str, Any] | None, change: Change, now: datetime) -> None:
        keys = change.keys
        if change.sign_from is not None:
            keys = (*keys, await asyncio.to_thread(new_signing_key, now, change.sign_from, self._algorithm))
            logger.info("made signing key %s, which signs from %s", keys[-1].kid, keys[-1].sign_from.isoformat())
        metadata: dict[str, Any] = {"name": NAME, "namespace": self._namespace, "labels": _LABELS}
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": "Opaque",
            "data": {FILE: base64.b64encode(encode_signing_keys(keys)).decode()},
        }
        if secret is None:
            await self._writer.create(SECRETS.collection(self._namespace), body)
            return
        metadata["uid"] = secret["metadata"]["uid"]
        metadata["resourceVersion"] = secret["metadata"]["resourceVersion"]
        await self._writer.apply(SECRETS.item(self._namespace, NAME), body)


def _is_ours(secret: dict[str, Any]) -> bool:
    return bool((secret["metadata"].get("labels") or {}).get(COMPONENT) == "signing-keys")


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
