import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from builders.kube import (
    ApiDouble,
    an_object,
    api_double,
    bookmark,
    drop,
    event,
    hang,
    page,
    refusal,
    status_object,
    stream,
)
from builders.waiting import until
from mintls.kube import reflection as module
from mintls.kube.client import ApiClient, Object
from mintls.kube.informer import Change, Informer
from mintls.kube.paths import CONFIGMAPS
from mintls.kube.reflection import HEALTHY_SECONDS, Key

PATH = CONFIGMAPS.collection()
HOLD = stream(then="hold")


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.05)


class Listener:
    """Collects what an informer tells."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str]] = []
        self.errors: list[Key] = []

    def change(self, change: Change[Any]) -> None:
        self.changes.append((change.kind, change.key[1]))

    def error(self, key: Key, _: Exception) -> None:
        self.errors.append(key)


@asynccontextmanager
async def running(api: ApiClient, listener: Listener | None = None, **options: Any) -> AsyncIterator[Informer[Any]]:
    if listener is not None:
        options = {"on_change": listener.change, "on_error": listener.error} | options
    subject: Informer[Any] = Informer(api, CONFIGMAPS, **options)
    task = asyncio.create_task(subject.run())
    try:
        yield subject
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def names(subject: Informer[Any]) -> set[str]:
    return {name for _, name in subject.store}


async def test_the_store_holds_the_list_and_follows_the_watch(api: ApiClient, double: ApiDouble) -> None:
    listener = Listener()
    double.on(
        "GET",
        PATH,
        page(an_object("a"), token="more"),
        page(an_object("b")),
        stream(
            event("ADDED", an_object("c", version="101")),
            event("MODIFIED", an_object("a", version="102", data={"x": "y"})),
            event("DELETED", an_object("b", version="103")),
            then="hold",
        ),
    )
    async with running(api, listener, page_size=1) as subject:
        assert not subject.has_synced
        await asyncio.wait_for(subject.synced(), 5)
        await until(lambda: len(listener.changes) == 5)
        assert names(subject) == {"a", "c"}
        assert subject.store["shop", "a"]["data"] == {"x": "y"}
    assert listener.changes == [("put", "a"), ("put", "b"), ("put", "c"), ("put", "a"), ("gone", "b")]
    assert [seen.query.get("resourceVersion") for seen in double.seen] == [None, None, "100"]
    assert double.seen[0].query["limit"] == "1"


async def test_a_change_tells_the_old_and_the_new(api: ApiClient, double: ApiDouble) -> None:
    changes: list[Change[str]] = []
    double.on(
        "GET",
        PATH,
        page(an_object("a", version="1")),
        stream(
            event("MODIFIED", an_object("a", version="2")), event("DELETED", an_object("a", version="3")), then="hold"
        ),
    )

    def version(item: Object) -> str:
        return str(item["metadata"]["resourceVersion"])

    async with running(api, on_change=changes.append, decode=version):
        await until(lambda: len(changes) == 3)
    key = ("shop", "a")
    assert changes == [Change("put", key, None, "1"), Change("put", key, "1", "2"), Change("gone", key, "2", None)]


async def test_selection_goes_to_list_and_watch(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", CONFIGMAPS.collection("shop"), page(), HOLD)
    options: dict[str, Any] = {
        "namespace": "shop",
        "label_selector": "x=y",
        "field_selector": "metadata.name=a",
        "metadata_only": True,
    }
    async with running(api, **options) as subject:
        await until(lambda: subject.connected)
    for seen in double.seen:
        assert (seen.query["labelSelector"], seen.query["fieldSelector"]) == ("x=y", "metadata.name=a")
        assert "as=PartialObjectMetadata" in seen.headers["Accept"]


async def test_a_watch_that_the_server_ends_goes_on_from_the_last_event(api: ApiClient, double: ApiDouble) -> None:
    double.on(
        "GET",
        PATH,
        page(version="100"),
        stream(event("ADDED", an_object("a", version="105"))),
        stream(bookmark("170")),
        HOLD,
    )
    async with running(api) as subject:
        await until(lambda: len(double.seen) == 4)
        assert names(subject) == {"a"}
    assert [seen.query.get("resourceVersion") for seen in double.seen] == [None, "100", "105", "170"]


@pytest.mark.parametrize("failure", [drop, stream(b'{"type": "AD', then="cut"), refusal(500, "InternalError")])
async def test_a_watch_that_breaks_goes_on_without_a_list(api: ApiClient, double: ApiDouble, failure: Any) -> None:
    double.on("GET", PATH, page(an_object("a"), version="100"), failure, HOLD)
    async with running(api) as subject:
        await until(lambda: subject.connected and len(double.seen) >= 3)
        assert names(subject) == {"a"}
    assert all(seen.query.get("watch") for seen in double.seen[1:])
    assert double.seen[-1].query["resourceVersion"] == "100"


@pytest.mark.parametrize(
    "gone", [refusal(410, "Expired"), stream(event("ERROR", status_object(410, "Expired", "too old")))]
)
async def test_after_410_it_lists_again_and_tells_what_vanished(api: ApiClient, double: ApiDouble, gone: Any) -> None:
    listener = Listener()
    double.on(
        "GET",
        PATH,
        page(an_object("a", version="1"), an_object("b", version="2"), an_object("c", version="3")),
        gone,
        page(an_object("a", version="1"), an_object("b", version="9"), version="200"),
        HOLD,
    )
    async with running(api, listener) as subject:
        await until(lambda: len(double.seen) == 4)
        assert names(subject) == {"a", "b"}
    # "a" did not change meanwhile: nothing is told of it.
    assert listener.changes == [("put", "a"), ("put", "b"), ("put", "c"), ("put", "b"), ("gone", "c")]
    assert double.seen[-1].query["resourceVersion"] == "200"


async def test_a_continue_token_that_expires_restarts_the_list(api: ApiClient, double: ApiDouble) -> None:
    listener = Listener()
    double.on(
        "GET",
        PATH,
        page(an_object("a"), token="old"),
        refusal(410, "Expired"),
        page(an_object("b"), version="300"),
        HOLD,
    )
    async with running(api, listener) as subject:
        await asyncio.wait_for(subject.synced(), 5)
        assert names(subject) == {"b"}
    # What the first page had is not forgotten: it was told, so its end is told.
    assert listener.changes == [("put", "a"), ("put", "b"), ("gone", "a")]
    assert "continue" not in double.seen[2].query


async def test_it_is_not_synced_by_half_a_list(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", PATH, page(an_object("a"), token="more"), hang)
    async with running(api) as subject:
        await until(lambda: len(double.seen) == 2)
        assert names(subject) == {"a"}
        assert not subject.has_synced


async def test_an_object_made_again_while_nobody_watched_is_gone_and_then_put(
    api: ApiClient, double: ApiDouble
) -> None:
    listener = Listener()
    double.on(
        "GET",
        PATH,
        page(an_object("a", version="1", uid="first")),
        refusal(410, "Expired"),
        page(an_object("a", version="5", uid="second")),
        HOLD,
    )
    async with running(api, listener):
        await until(lambda: len(listener.changes) == 3)
    assert listener.changes == [("put", "a"), ("gone", "a"), ("put", "a")]


def strict(item: Object) -> Object:
    if item.get("bad"):
        raise ValueError("key material s3cret")
    return item


async def test_an_object_that_cannot_be_decoded_is_reported_and_the_rest_goes_on(
    api: ApiClient, double: ApiDouble, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    double.on(
        "GET",
        PATH,
        page(an_object("a", bad=True), an_object("b"), an_object("c")),
        stream(
            event("MODIFIED", an_object("c", version="7", bad=True)),
            event("MODIFIED", an_object("a", version="8")),
            event("ADDED", an_object("d", version="9", bad=True)),
            event("DELETED", an_object("d", version="10", bad=True)),
            event("ADDED", an_object("e", version="11")),
            then="hold",
        ),
    )
    async with running(api, listener, decode=strict) as subject:
        await until(lambda: "e" in names(subject))
        assert names(subject) == {"a", "b", "e"}
        assert set(subject.refused) == {("shop", "c")}
        assert "ValueError" in subject.refused["shop", "c"]
    assert listener.errors == [("shop", "a"), ("shop", "c"), ("shop", "d")]
    assert listener.changes == [("put", "b"), ("put", "c"), ("gone", "c"), ("put", "a"), ("put", "e")]
    assert "configmaps shop/a cannot be decoded" in caplog.text
    assert "s3cret" not in caplog.text


async def test_a_listener_that_fails_does_not_stop_the_others_news(api: ApiClient, double: ApiDouble) -> None:
    errors: list[Key] = []

    def fail(_: Change[Any]) -> None:
        raise RuntimeError

    double.on("GET", PATH, page(an_object("a"), an_object("b")), HOLD)
    async with running(api, on_change=fail, on_error=lambda key, _: errors.append(key)) as subject:
        await until(lambda: subject.connected)
        assert names(subject) == {"a", "b"}
    assert errors == [("shop", "a"), ("shop", "b")]


async def test_it_waits_out_an_api_that_is_away_and_keeps_its_store(tmp_path: Path) -> None:
    listener = Listener()
    async with api_double() as first:
        port = int(first.url.rpartition(":")[2])
        first.on("GET", PATH, page(an_object("a"), version="100"), HOLD)
        api_context = ApiClient.connect(first.kubeconfig(tmp_path))
        api = await api_context.__aenter__()
        context = running(api, listener)
        subject = await context.__aenter__()
        await until(lambda: subject.connected)
    await until(lambda: not subject.connected)
    await until(lambda: subject.problem != "")
    assert "no answer from" in subject.problem
    assert names(subject) == {"a"}
    async with api_double(port) as second:
        second.on("GET", PATH, stream(event("ADDED", an_object("b", version="101")), then="hold"))
        await until(lambda: names(subject) == {"a", "b"})
        assert subject.connected
        assert subject.problem == ""
        assert second.seen[0].query["resourceVersion"] == "100"
        await context.__aexit__(None, None, None)
        await api_context.__aexit__(None, None, None)
    assert listener.changes == [("put", "a"), ("put", "b")]


async def test_trouble_that_stays_is_logged_once(
    api: ApiClient, double: ApiDouble, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    double.on("GET", PATH, refusal(403, "Forbidden", 'User "x" cannot list resource "configmaps"'))
    async with running(api) as subject:
        await until(lambda: len(double.seen) >= 4)
        assert 'verb "list" on resource "configmaps"' in subject.problem
    assert caplog.text.count("cannot list") == 1


async def test_a_server_that_ends_each_watch_at_once_is_not_hammered(
    api: ApiClient, double: ApiDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(module, "LONGEST_WAIT_SECONDS", 0.1)
    double.on("GET", PATH, page(), stream())
    async with running(api):
        await asyncio.sleep(0.5)
    assert 2 <= len(double.seen) <= 8


async def test_the_wait_that_the_server_asks_for_is_kept(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", PATH, refusal(429, "TooManyRequests", headers={"Retry-After": "1"}), page(), HOLD)
    async with running(api) as subject:
        await asyncio.sleep(0.6)
        assert len(double.seen) == 1
        await asyncio.wait_for(subject.synced(), 5)


async def test_waits_grow_and_are_bounded(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.undo()
    monkeypatch.setattr("mintls.kube.reflection.asyncio.sleep", sleep)
    subject: Informer[Any] = Informer(api, CONFIGMAPS)
    for _ in range(20):
        await subject._wait(None)
    assert 0.3 < waits[0] < 0.7
    assert max(waits) <= module.LONGEST_WAIT_SECONDS * 1.25
    assert min(waits[5:]) >= module.LONGEST_WAIT_SECONDS * 0.75


async def test_health_is_a_sign_of_life_not_long_ago(api: ApiClient, double: ApiDouble) -> None:
    time = 1000.0
    double.on("GET", PATH, page(), stream(bookmark("7"), then="hold"))
    subject: Informer[Any] = Informer(api, CONFIGMAPS, clock=lambda: time)
    assert not subject.healthy(time)
    task = asyncio.create_task(subject.run())
    await until(lambda: subject.connected)
    assert subject.healthy(time)
    assert subject.last_event == 1000
    assert subject.healthy(time + HEALTHY_SECONDS)
    assert not subject.healthy(time + HEALTHY_SECONDS + 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_store_is_read_only(api: ApiClient) -> None:
    subject: Informer[Any] = Informer(api, CONFIGMAPS)
    with pytest.raises(TypeError):
        subject.store["shop", "a"] = {}  # type: ignore[index] # the point of the test
