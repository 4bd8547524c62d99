"""Secrets with passwords: each has a watch for as long as somebody uses it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import pytest

from builders.objects import certificate
from mintls.controllers.passwordsecrets import PasswordSecrets
from mintls.controllers.secretviews import SecretKey
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound

SPEC = certificate(spec={"keystores": {"jks": {"passwordSecretRef": {"name": "p"}}}}).spec
KEY = ("shop", "p")
PATH = "/api/v1/namespaces/shop/secrets"


class Api:
    """Secrets as the API server lists and watches them; a watch never tells anything."""

    def __init__(self, **secrets: bytes) -> None:
        self.secrets = secrets
        self.open: list[str] = []
        self.asked: list[Mapping[str, Any]] = []

    @property
    def client(self) -> ApiClient:
        return cast("ApiClient", self)

    async def list_pages(self, path: str, **options: Any) -> AsyncIterator[dict[str, Any]]:
        assert path == PATH
        self.asked.append(options)
        items = [body(name) for name in self.secrets if options["field_selector"] == f"metadata.name={name}"]
        yield {"metadata": {"resourceVersion": "7"}, "items": items}

    async def watch(self, path: str, **options: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        self.open.append(path)
        try:
            await asyncio.Event().wait()
        finally:
            self.open.remove(path)
        yield "BOOKMARK", options

    async def get(self, path: str) -> dict[str, Any]:
        name = path.rpartition("/")[2]
        if name not in self.secrets:
            raise NotFound(404, "NotFound", "no", path)
        return body(name) | {"data": {"password": "c2VjcmV0"}}


def body(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"uid-{name}", "resourceVersion": "5"}}


class Followed:
    """What is in use, and what was told."""

    def __init__(self, api: Api) -> None:
        self.used = {KEY}
        self.told: list[SecretKey] = []
        self.passwords = PasswordSecrets(api.client, used=lambda key: key in self.used, on_change=self.told.append)


async def until_open(api: Api, count: int) -> None:
    for _ in range(500):
        if len(api.open) == count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(api.open)} watches are open, not {count}")


async def test_one_in_use_is_watched_by_name_and_metadata_until_it_is_not() -> None:
    api = Api(p=b"", other=b"")
    seen = Followed(api)
    seen.passwords.follow([KEY, ("shop", "other")])
    task = asyncio.create_task(seen.passwords.run())
    await seen.passwords.synced(5)
    assert seen.passwords.versions("shop", SPEC) == {"p": "uid-p/5"}
    assert seen.told == [KEY]
    assert [(one["field_selector"], one["metadata_only"]) for one in api.asked] == [("metadata.name=p", True)]
    await until_open(api, 1)

    seen.used.clear()
    seen.passwords.follow([KEY])
    await until_open(api, 0)
    assert seen.passwords.versions("shop", SPEC) == {}

    seen.used.add(KEY)
    seen.passwords.follow([KEY])
    await until_open(api, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert api.open == []


async def test_one_that_is_not_there_or_not_known_yet_has_no_version() -> None:
    seen = Followed(Api())
    seen.passwords.follow([KEY])
    assert seen.passwords.versions("shop", SPEC) == {}
    await seen.passwords.synced(0.01)  # nothing runs: it goes on all the same


async def test_what_is_read_is_what_is_there_and_no_repr_shows_it() -> None:
    seen = Followed(Api(p=b""))
    found = await seen.passwords.read("shop", ("p", "q"))
    assert {name: (secret.version, secret.data["password"]) for name, secret in found.items()} == {
        "p": ("uid-p/5", b"secret")
    }
    assert "secret" not in repr(found)
