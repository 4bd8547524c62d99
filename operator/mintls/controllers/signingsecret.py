"""A Secret with signing keys, a JSON document a file."""

import base64
import logging
from collections.abc import Mapping
from typing import Any

from mintls.controllers.writer import Writer
from mintls.core.oauth.signing_keys import SigningKey, SigningKeysBroken, decode_signing_keys, encode_signing_keys
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile.credential import COMPONENT, MANAGED_BY

logger = logging.getLogger(__name__)


class SigningSecret:
    """One such Secret, known by its name and its label."""

    def __init__(self, *, api: ApiClient, writer: Writer, namespace: str, name: str, component: str) -> None:
        """Prepare; ``component`` is the value of the label by which it is ours."""
        self._api = api
        self._writer = writer
        self._namespace = namespace
        self._name = name
        self._component = component

    async def read(self) -> dict[str, Any] | None:
        """The Secret; ``None`` if there is none.

        Raises:
            ApiError: It could not be read.
        """
        try:
            return await self._api.get(SECRETS.item(self._namespace, self._name))
        except NotFound:
            return None

    def is_foreign(self, secret: dict[str, Any] | None) -> bool:
        """Whether somebody else made it; that is said in the log."""
        if secret is None or (secret["metadata"].get("labels") or {}).get(COMPONENT) == self._component:
            return False
        logger.error(
            "Secret %s/%s lacks the label %s=%s: if Mintls made it, add the label; if not, move it away",
            *(self._namespace, self._name, COMPONENT, self._component),
        )
        return True

    def keys(self, secret: dict[str, Any] | None, file: str) -> tuple[SigningKey, ...]:
        """The keys of a file; none if there is no such file, or it is broken."""
        if secret is None:
            return ()
        document = base64.b64decode((secret.get("data") or {}).get(file, ""))
        try:
            return decode_signing_keys(document)
        except SigningKeysBroken as broken:
            # Unlike a CA's key a signing key can be replaced: clients get new tokens, resources fetch the key set.
            logger.error(  # noqa: TRY400 - the traceback says nothing more, and stays clear of key material
                "%s of Secret %s/%s is broken and made anew; what the lost keys signed is refused from now on: %s",
                *(file, self._namespace, self._name, broken),
            )
            return ()

    async def write(self, secret: dict[str, Any] | None, files: Mapping[str, tuple[SigningKey, ...]]) -> None:
        """Write these files, and no other, if nobody else has written it since it was read.

        Raises:
            Conflict: Somebody has.
            ApiError: It was not written.
        """
        labels = {MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: self._component}
        metadata: dict[str, Any] = {"name": self._name, "namespace": self._namespace, "labels": labels}
        data = {file: base64.b64encode(encode_signing_keys(keys)).decode() for file, keys in files.items()}
        if secret is None:
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data}
            await self._writer.create(SECRETS.collection(self._namespace), body)
            return
        metadata["uid"] = secret["metadata"]["uid"]
        metadata["resourceVersion"] = secret["metadata"]["resourceVersion"]
        # No server-side apply: it leaves files alone that a POST made, and a key that has to go would stay.
        gone = dict.fromkeys((secret.get("data") or {}).keys() - data.keys())
        path = SECRETS.item(self._namespace, self._name)
        await self._writer.merge_patch(path, {"metadata": metadata, "data": {**data, **gone}})
