import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from builders.kube import (
    ApiDouble,
    an_object,
    bookmark,
    drop,
    event,
    hang,
    ok,
    page,
    refusal,
    status_object,
    stream,
)
from mintls.kube import client, errors
from mintls.kube.client import ApiClient
from mintls.kube.paths import CONFIGMAPS, SECRETS
from mintls.kube.timelimits import TimeLimits

ITEM = CONFIGMAPS.item("shop", "trust")
LIST = CONFIGMAPS.collection("shop")


async def events_of(api: ApiClient, **options: Any) -> list[tuple[str, Any]]:
    return [seen async for seen in api.watch(LIST, resource_version="100", **options)]


async def test_an_object_comes_back_as_it_is(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", ITEM, ok(an_object("trust")))
    assert await api.get(ITEM) == an_object("trust")
    (seen,) = double.seen
    assert seen.headers["Authorization"] == "Bearer t0ken"
    assert seen.headers["Accept"] == "application/json"
    assert seen.headers["User-Agent"].startswith("mintls")


APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json"
OURS = {"fieldManager": "mintls"}
NO_OPTIONS = {"apiVersion": "v1", "kind": "DeleteOptions"}
ALL_OPTIONS = NO_OPTIONS | {
    "preconditions": {"uid": "u", "resourceVersion": "7"},
    "propagationPolicy": "Background",
}


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (lambda api: api.create(ITEM, {"a": 1}), ("POST", OURS, JSON, {"a": 1})),
        (lambda api: api.replace(ITEM, {"a": 1}), ("PUT", OURS, JSON, {"a": 1})),
        (lambda api: api.apply(ITEM, {"a": 1}), ("PATCH", OURS | {"force": "true"}, APPLY, {"a": 1})),
        (
            lambda api: api.apply(ITEM, {"a": 1}, force=False, field_manager="other"),
            ("PATCH", {"fieldManager": "other", "force": "false"}, APPLY, {"a": 1}),
        ),
        (lambda api: api.merge_patch(ITEM, {"a": None}), ("PATCH", OURS, MERGE, {"a": None})),
        (
            lambda api: api.delete(ITEM, uid="u", resource_version="7", propagation="Background"),
            ("DELETE", {}, JSON, ALL_OPTIONS),
        ),
        (lambda api: api.delete(ITEM), ("DELETE", {}, JSON, NO_OPTIONS)),
    ],
)
async def test_writes_go_out_as_the_api_wants_them(
    api: ApiClient, double: ApiDouble, call: Callable[[ApiClient], Awaitable[object]], sent: tuple[Any, ...]
) -> None:
    double.on(sent[0], ITEM, ok({"done": True}))
    assert await call(api) == {"done": True}
    (seen,) = double.seen
    assert (seen.method, seen.query, seen.headers["Content-Type"], seen.body) == sent


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "Conflict", errors.Conflict),
        (409, "AlreadyExists", errors.AlreadyExists),
        (422, "Invalid", errors.Invalid),
        (500, "InternalError", errors.ServerError),
    ],
)
async def test_a_refusal_is_its_error_and_is_not_repeated(
    api: ApiClient, double: ApiDouble, code: int, reason: str, kind: type[errors.ApiError]
) -> None:
    double.on("POST", LIST, refusal(code, reason, "because"))
    with pytest.raises(kind, match="because") as caught:
        await api.create(LIST, an_object("trust"))
    assert type(caught.value) is kind
    assert caught.value.verb == "create"
    assert len(double.seen) == 1


async def test_slowing_down_is_asked_for_in_seconds(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", ITEM, refusal(429, "TooManyRequests", headers={"Retry-After": "3"}))
    with pytest.raises(errors.TooManyRequests) as caught:
        await api.get(ITEM)
    assert caught.value.retry_after == 3


async def test_a_date_to_retry_after_is_no_number_of_seconds(api: ApiClient, double: ApiDouble) -> None:
    headers = {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}
    double.on("GET", ITEM, refusal(503, "ServiceUnavailable", headers=headers))
    with pytest.raises(errors.ServerError) as caught:
        await api.get(ITEM)
    assert caught.value.retry_after is None


async def test_a_server_that_does_not_answer_is_given_up(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", ITEM, hang)
    with pytest.raises(errors.Unreachable, match=r"did not answer in time \(0.1 s\)"):
        await asyncio.wait_for(api.get(ITEM, seconds=0.1), 5)


async def test_a_server_that_hangs_up_is_unreachable(api: ApiClient, double: ApiDouble) -> None:
    double.on("PATCH", ITEM, drop)
    with pytest.raises(errors.Unreachable) as caught:
        await api.merge_patch(ITEM, {})
    assert caught.value.status == 0
    assert caught.value.retriable


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path, unused_tcp_port: int) -> None:
    nobody = ApiDouble(url=f"http://127.0.0.1:{unused_tcp_port}")
    async with ApiClient.connect(nobody.kubeconfig(tmp_path)) as api:
        with pytest.raises(errors.Unreachable, match=r"get configmaps shop/trust: no answer from http://127.0.0.1"):
            await api.get(ITEM)


@pytest.mark.parametrize("text", ["<html>Sign in</html>", "[]", '{"cut'])
async def test_an_answer_that_is_not_the_apis_is_not_taken_for_one(
    api: ApiClient, double: ApiDouble, text: str
) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type="application/json")

    double.on("GET", ITEM, answer)
    with pytest.raises(errors.Unreachable, match="proxy"):
        await api.get(ITEM)


async def test_a_redirect_is_not_followed_with_the_token(api: ApiClient, double: ApiDouble) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    double.on("GET", ITEM, elsewhere)
    double.on("GET", "/elsewhere", ok({}))
    with pytest.raises(errors.ApiError) as caught:
        await api.get(ITEM)
    assert caught.value.status == 302
    assert not double.requests("GET", "/elsewhere")


async def test_after_a_401_the_token_is_read_anew_once(double: ApiDouble, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with ApiClient.connect(double.kubeconfig(tmp_path, tokenFile=str(token))) as api:
        token.write_text("new\n")
        age(api, 10)
        double.on("GET", ITEM, refusal(401, "Unauthorized"), ok({"read": True}))
        assert await api.get(ITEM) == {"read": True}
    assert [seen.headers["Authorization"] for seen in double.seen] == ["Bearer old", "Bearer new"]


async def test_a_401_that_stays_is_told_after_two_requests(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", ITEM, refusal(401, "Unauthorized"))
    with pytest.raises(errors.Unauthorized, match="credentials"):
        await api.get(ITEM)
    assert len(double.seen) == 2


def age(api: ApiClient, seconds: float) -> None:
    """Let the credentials look as if they had been read so long ago."""
    api.credentials._read_at -= seconds


async def test_neither_errors_nor_reprs_show_the_token(
    double: ApiDouble, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with ApiClient.connect(double.kubeconfig(tmp_path, token="s3cret")) as api:
        double.on("GET", ITEM, drop, refusal(401, "Unauthorized"), hang)
        for _ in range(3):
            with pytest.raises(errors.ApiError) as caught:
                await api.get(ITEM, seconds=0.2)
            chain: BaseException | None = caught.value
            while chain is not None:
                assert "s3cret" not in f"{chain} {chain!r}"
                chain = chain.__cause__
        assert "s3cret" not in repr(api) + repr(api.credentials)
    assert "s3cret" not in caplog.text


async def test_a_list_comes_in_pages(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, page(an_object("a"), token="t1"), page(an_object("b"), token="t2"), page(an_object("c")))
    pages = [answer async for answer in api.list_pages(LIST, label_selector="x=y", field_selector="a=b", limit=1)]
    assert [item["metadata"]["name"] for answer in pages for item in answer["items"]] == ["a", "b", "c"]
    selection = {"labelSelector": "x=y", "fieldSelector": "a=b", "limit": "1"}
    assert [seen.query for seen in double.seen] == [
        selection,
        selection | {"continue": "t1"},
        selection | {"continue": "t2"},
    ]


async def test_a_list_whose_objects_nobody_reads_comes_in_pages_too(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, page(an_object("a"), token="t1"), page(an_object("b")))
    pages = [answer async for answer in api.list_raw(LIST, limit=1)]
    assert [msgspec.json.decode(raw) for answer in pages for raw in answer.items] == [an_object("a"), an_object("b")]
    assert {answer.metadata.resource_version for answer in pages} == {"100"}
    assert [seen.query for seen in double.seen] == [{"limit": "1"}, {"limit": "1", "continue": "t1"}]


async def test_a_list_that_is_none_is_no_answer_of_an_api_server(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, ok({"metadata": {}, "items": "many"}))
    with pytest.raises(errors.Unreachable, match="a JSON object as it should be"):
        _ = [answer async for answer in api.list_raw(LIST)]


async def test_metadata_is_asked_for_by_the_accept_header(api: ApiClient, double: ApiDouble) -> None:
    path = SECRETS.collection()
    double.on("GET", path, ok({"metadata": {"resourceVersion": "1"}, "items": None}), stream())
    assert [answer["items"] async for answer in api.list_pages(path, metadata_only=True)] == [[]]
    assert [seen async for seen in api.watch(path, resource_version="1", metadata_only=True)] == []
    assert [seen.headers["Accept"] for seen in double.seen] == [
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ]


async def test_a_continue_token_that_expired_is_gone(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, page(an_object("a"), token="t1"), refusal(410, "Expired"))
    with pytest.raises(errors.Gone):
        _ = [answer async for answer in api.list_pages(LIST)]


async def test_a_watch_gives_what_changes_and_ends_with_the_server(api: ApiClient, double: ApiDouble) -> None:
    opened: list[bool] = []
    double.on("GET", LIST, stream(event("ADDED", an_object("a")), bookmark("7")))
    seen = await events_of(api, label_selector="x=y", timeout_seconds=9, on_open=lambda: opened.append(True))
    assert seen == [("ADDED", an_object("a")), ("BOOKMARK", {"metadata": {"resourceVersion": "7"}})]
    assert opened == [True]
    assert double.seen[0].query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": "100",
        "timeoutSeconds": "9",
        "labelSelector": "x=y",
    }


async def test_a_watch_line_may_be_large(api: ApiClient, double: ApiDouble) -> None:
    large = an_object("a", data={"blob": "x" * 3_000_000})
    double.on("GET", LIST, stream(event("MODIFIED", large) + event("DELETED", large)))
    assert [kind for kind, _ in await events_of(api)] == ["MODIFIED", "DELETED"]


async def test_a_watch_that_is_cut_within_a_line_gives_the_whole_lines_first(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, stream(event("ADDED", an_object("a")), b'{"type": "ADD', then="cut"))
    events = api.watch(LIST, resource_version="100")
    assert await anext(events) == ("ADDED", an_object("a"))
    with pytest.raises(errors.Unreachable):
        await anext(events)


async def test_a_watch_that_ends_cleanly_within_a_line_is_cut_too(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, stream(b'{"type": "ADD'))
    with pytest.raises(errors.Unreachable, match="middle of a line"):
        await events_of(api)


@pytest.mark.parametrize("garbage", [b"{}\n", b"no json\n", b"[1]\n"])
async def test_a_watch_line_that_is_no_event_is_not_skipped(api: ApiClient, double: ApiDouble, garbage: bytes) -> None:
    double.on("GET", LIST, stream(garbage))
    with pytest.raises(errors.Unreachable, match="WatchEvent"):
        await events_of(api)


@pytest.mark.parametrize(
    "answer",
    [refusal(410, "Expired"), stream(event("ERROR", status_object(410, "Expired", "too old resource version")))],
)
async def test_a_version_that_is_too_old_is_gone(api: ApiClient, double: ApiDouble, answer: Any) -> None:
    double.on("GET", LIST, answer)
    with pytest.raises(errors.Gone):
        await events_of(api)


async def test_other_errors_in_a_watch_are_told_apart(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, stream(event("ERROR", status_object(500, "InternalError", "etcd went away"))))
    with pytest.raises(errors.ServerError, match="etcd went away"):
        await events_of(api)


async def test_a_silent_watch_is_given_up(api: ApiClient, double: ApiDouble) -> None:
    double.on("GET", LIST, stream(bookmark("7"), then="hold"))
    with pytest.raises(errors.Unreachable, match="in time"):
        await asyncio.wait_for(events_of(api, silence_seconds=0.2), 5)


async def test_a_watch_that_does_not_begin_is_given_up_as_soon_as_a_request(double: ApiDouble, tmp_path: Path) -> None:
    double.on("GET", LIST, hang)
    async with ApiClient.connect(double.kubeconfig(tmp_path), limits=TimeLimits(request=0.2)) as api:
        with pytest.raises(errors.Unreachable, match=r"did not answer in time \(0.2 s\)"):
            await asyncio.wait_for(events_of(api), 5)


async def test_a_watch_that_has_begun_may_last(double: ApiDouble, tmp_path: Path) -> None:
    double.on("GET", LIST, stream(bookmark("7"), then="hold"))
    async with ApiClient.connect(double.kubeconfig(tmp_path), limits=TimeLimits(request=0.2, silence=0.6)) as api:
        with pytest.raises(errors.Unreachable, match=r"did not answer in time \(0.6 s\)"):
            await asyncio.wait_for(events_of(api), 5)


async def test_watches_take_no_connection_from_ordinary_requests(
    double: ApiDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECTIONS", 2)
    double.on("GET", LIST, stream(bookmark("7"), then="hold"))
    double.on("GET", ITEM, ok({}))
    async with ApiClient.connect(double.kubeconfig(tmp_path)) as api:
        watches = [api.watch(LIST, resource_version="1") for _ in range(5)]
        for watch in watches:
            await anext(watch)
        assert await api.get(ITEM, seconds=2) == {}
        for watch in watches:
            await watch.aclose()


async def test_ordinary_requests_are_bounded_and_urgent_ones_pass_them(
    double: ApiDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECTIONS", 2)
    running, most = 0, 0
    go = asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        return web.json_response({})

    double.on("GET", ITEM, slow)
    double.on("GET", "/version", ok({"major": "1"}))
    async with ApiClient.connect(double.kubeconfig(tmp_path)) as api:
        requests = [asyncio.create_task(api.get(ITEM)) for _ in range(6)]
        await asyncio.sleep(0.2)
        with pytest.raises(errors.Unreachable):
            await api.get("/version", seconds=0.2)
        assert await api.get("/version", bounded=False, seconds=2) == {"major": "1"}
        go.set()
        await asyncio.gather(*requests)
    assert most == 2


async def test_each_request_is_told_to_the_observer(double: ApiDouble, tmp_path: Path) -> None:
    told: list[tuple[str, str, int]] = []
    status_path = "/apis/mintls.dev/v1alpha1/namespaces/shop/oauthclients/billing/status"
    double.on("GET", LIST, page(), stream(), refusal(410, "Expired"))
    double.on("PATCH", status_path, refusal(409, "Conflict"))
    double.on("DELETE", ITEM, drop)

    def observe(verb: str, resource: str, status: int, seconds: float) -> None:
        assert 0 <= seconds < 5
        told.append((verb, resource, status))

    async with ApiClient.connect(double.kubeconfig(tmp_path), on_request=observe) as api:
        _ = [answer async for answer in api.list_pages(LIST)]
        await events_of(api)
        with pytest.raises(errors.Gone):
            await events_of(api)
        with pytest.raises(errors.Conflict):
            await api.merge_patch(status_path, {})
        with pytest.raises(errors.Unreachable):
            await api.delete(ITEM)
    assert told == [
        ("list", "configmaps", 200),
        ("watch", "configmaps", 200),
        ("watch", "configmaps", 410),
        ("patch", "oauthclients/status", 409),
        ("delete", "configmaps", 0),
    ]


async def test_leaving_a_watch_closes_its_connection(api: ApiClient, double: ApiDouble) -> None:
    closed = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await stream(bookmark("7"), then="hold")(request)
        finally:
            closed.set()

    double.on("GET", LIST, answer)
    async with aclosing(api.watch(LIST, resource_version="1")) as events:
        await anext(events)
    await asyncio.wait_for(closed.wait(), 5)
