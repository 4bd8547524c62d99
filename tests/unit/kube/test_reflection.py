"""What the picture of a collection is told; ``test_informer`` has how list and watch go on."""

import asyncio
from collections.abc import Set as AbstractSet
from typing import Any

import pytest

from builders.kube import ApiDouble, an_object, event, page, refusal, stream
from builders.waiting import until
from mintls.controllers.secretviews import SecretViews
from mintls.controllers.tasks import running
from mintls.kube import reflection as module
from mintls.kube.client import ApiClient, Object
from mintls.kube.paths import CONFIGMAPS
from mintls.kube.reflection import Key, Reflection
from mintls.reconcile.credential import SecretView

PATH = CONFIGMAPS.collection()
LABELS = {"app.kubernetes.io/managed-by": "mintls"}


class Drawn:
    """A picture that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def put(self, item: Object) -> None:
        self.told.append(("put", item["metadata"]["name"], item["metadata"]["resourceVersion"]))

    def gone(self, item: Object) -> None:
        self.told.append(("gone", item["metadata"]["name"], item["metadata"]["resourceVersion"]))

    def listed(self, keys: AbstractSet[Key], version: str) -> None:
        self.told.append(("listed", *sorted(name for _, name in keys), version))


async def test_a_picture_is_told_each_object_and_of_which_version_a_list_is_complete(
    api: ApiClient, double: ApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.01)
    double.on(
        "GET",
        PATH,
        page(an_object("a", version="1"), token="more"),
        page(an_object("b", version="2")),
        stream(event("MODIFIED", an_object("a", version="101")), event("DELETED", an_object("b", version="102"))),
        refusal(410, "Expired"),
        page(an_object("a", version="101"), version="200"),
        stream(then="hold"),
    )
    picture = Drawn()
    async with running(Reflection(api, CONFIGMAPS, picture).run(), "reflection"):
        await until(lambda: len(double.seen) == 6)
    assert picture.told == [
        ("put", "a", "1"),
        ("put", "b", "2"),
        ("listed", "a", "b", "100"),
        ("put", "a", "101"),
        ("gone", "b", "102"),
        ("put", "a", "101"),
        ("listed", "a", "200"),
    ]


async def test_a_secret_that_vanished_while_nobody_watched_is_gone_and_one_that_was_written_since_is_not(
    api: ApiClient, double: ApiDouble
) -> None:
    told: list[str] = []

    def note(key: Key, _view: SecretView) -> None:
        told.append(key[1])

    views = SecretViews(note)
    for name, version in (("vanished", "50"), ("written", "150")):
        views.wrote(("shop", name), SecretView(name, version, "", LABELS, {}))
    double.on("GET", PATH, page(an_object("a", version="1"), version="100"), stream(then="hold"))
    reflection = Reflection(api, CONFIGMAPS, views)
    async with running(reflection.run(), "reflection"):
        await asyncio.wait_for(reflection.synced(), 5)
    assert told == ["a", "vanished"]
    assert views.get(("shop", "written")) is not None
