"""Requests to the Kubernetes API: one small HTTP client with dicts going in and out.

Ordinary requests share a session with a bounded number of connections. Watches, and requests that must not wait behind
ordinary ones (``bounded=False``: the Lease), have a session without a bound: a watch holds its connection for minutes.

Every failure is one of ``mintls.kube.errors``. Nothing is repeated here, except a request once after a 401 with the
credentials read anew; who asked knows better what to do after a 409 or 429.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, Self, TypedDict, Unpack

import aiohttp
import msgspec
from yarl import URL

from mintls.kube.credentials import Credentials, load_credentials
from mintls.kube.errors import ApiError, Conflict, Invalid, Unauthorized, Unreachable, from_status
from mintls.kube.lines import split_lines
from mintls.kube.paths import parse_path
from mintls.kube.reachability import Reachability
from mintls.kube.timelimits import LIMITS, TimeLimits

type Object = dict[str, Any]
"""An object, a list or a Status of the Kubernetes API as decoded JSON."""

type OnRequest = Callable[[str, str, int, float], None]
"""Called after a request: verb, resource (``secrets``, ``oauthclients/status``), HTTP status (0: none), seconds."""

type Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

FIELD_MANAGER = "mintls"
CONNECTIONS = 16
WATCH_SECONDS = 290

_JSON = "application/json"
# Kubernetes API Concepts, "Metadata-only fetches".
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch (``meta/v1 WatchEvent``)."""

    type: str
    object: Object


class ListMeta(msgspec.Struct, frozen=True):
    """What of a list's ``metadata`` is read."""

    continue_: str = msgspec.field(name="continue", default="")
    resource_version: str = msgspec.field(name="resourceVersion", default="")


class RawPage(msgspec.Struct, frozen=True):
    """A page of a list, whose objects nobody has read yet: each is JSON, and valid as long as the page is."""

    metadata: ListMeta
    items: list[msgspec.Raw] = []


_object: msgspec.json.Decoder[Object] = msgspec.json.Decoder(dict[str, Any])
_raw_page = msgspec.json.Decoder(RawPage)
_watch_event = msgspec.json.Decoder(WatchEvent)


class _Options(TypedDict, total=False):
    """Of an ordinary request."""

    params: Mapping[str, str] | None
    body: Object | list[Object] | None
    media: str
    accept: str
    bounded: bool
    seconds: float | None


class ApiClient:
    """A connection to one API server. Use ``ApiClient.connect``; close it by leaving its ``async with``.

    Attributes:
        on_request: Called after each request and at the end of each watch; None for nobody.
        limits: How long it waits for an answer.
        reachability: Whether there was an answer to the last request, and who waits for one.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        user_agent: str = "mintls",
        on_request: OnRequest | None = None,
        limits: TimeLimits = LIMITS,
    ) -> None:
        self.credentials = credentials
        self.on_request = on_request
        self.limits = limits
        self.reachability = Reachability()
        self._base = credentials.server
        self._ordinary = _session(user_agent, CONNECTIONS)
        self._unbounded = _session(user_agent, 0)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        service_account: str | None = None,
        user_agent: str = "mintls",
        on_request: OnRequest | None = None,
        limits: TimeLimits = LIMITS,
    ) -> AsyncIterator[Self]:
        """Read the configuration (see ``load_credentials``) and open the sessions; no request is made.

        Raises:
            ConfigurationError: No configuration was found, or it cannot be used.
        """
        credentials = await load_credentials(kubeconfig, context, service_account)
        api = cls(credentials, user_agent=user_agent, on_request=on_request, limits=limits)
        try:
            yield api
        finally:
            await api.close()

    async def close(self) -> None:
        """Close all connections; watches end with ``Unreachable``."""
        await self._ordinary.close()
        await self._unbounded.close()

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        bounded: bool = True,
        seconds: float | None = None,
    ) -> Object:
        """Read one object, or one list without paging.

        Args:
            path: From ``mintls.kube.paths``, or any other path of the API server that answers JSON.
            params: The query.
            bounded: False goes past the ordinary requests' bound on connections.
            seconds: Time-out for the whole request, waiting for a connection included; None for the client's own.

        Raises:
            ApiError: As its subclasses say.
        """
        return await self._call("get", "GET", path, params=params, bounded=bounded, seconds=seconds)

    async def create(self, path: str, body: Object, *, bounded: bool = True, seconds: float | None = None) -> Object:
        """POST an object to a collection; ``AlreadyExists`` when its name is taken. Arguments as ``get``."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self._call("create", "POST", path, body=body, params=params, bounded=bounded, seconds=seconds)

    async def replace(self, path: str, body: Object, *, bounded: bool = True, seconds: float | None = None) -> Object:
        """PUT a whole object; with ``metadata.resourceVersion`` in it, ``Conflict`` when it changed. As ``get``."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self._call("update", "PUT", path, body=body, params=params, bounded=bounded, seconds=seconds)

    async def apply(self, path: str, body: Object, *, force: bool = True, field_manager: str = FIELD_MANAGER) -> Object:
        """Server-side apply: create the object, or own exactly the fields of ``body`` in it.

        Fields that an earlier apply owned and ``body`` lacks are removed; other managers' fields stay.
        Source: Kubernetes documentation, "Server-Side Apply".

        Args:
            path: The object's path, or its status subresource.
            body: With ``apiVersion``, ``kind`` and ``metadata.name``; without ``metadata.managedFields``.
            force: Take fields over from other managers; without it they make a ``Conflict``.
            field_manager: Whose fields these are.

        Raises:
            ApiError: As its subclasses say.
        """
        params = {"fieldManager": field_manager, "force": "true" if force else "false"}
        # JSON is YAML; the media type for JSON alone is newer than some clusters.
        return await self._call("patch", "PATCH", path, body=body, params=params, media="application/apply-patch+yaml")

    async def merge_patch(self, path: str, body: Object) -> Object:
        """JSON merge patch (RFC 7386) of an object or a subresource."""
        params = {"fieldManager": FIELD_MANAGER}
        return await self._call("patch", "PATCH", path, body=body, params=params, media="application/merge-patch+json")

    async def replace_status(self, path: str, uid: str, status: Object) -> Object:
        """Replace the status of the very object that has this uid.

        A uid in a merge patch would not do: for custom resources the API server takes the metadata of a patch to the
        status from the object that is there. So this is a JSON patch (RFC 6902) that tests it first.

        Args:
            path: The status subresource.
            uid: Of the object that the status is of.
            status: The whole of it.

        Raises:
            Conflict: Another object has the name now.
            ApiError: As its subclasses say.
        """
        patch: list[Object] = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "add", "path": "/status", "value": status},
        ]
        params = {"fieldManager": FIELD_MANAGER}
        try:
            return await self._call(
                "patch", "PATCH", path, body=patch, params=params, media="application/json-patch+json"
            )
        except Invalid as error:
            # A test that fails is a 422 which names no field; one that breaks the schema names it.
            if error.causes:
                raise
            message = "another object has the name now"
            raise Conflict(409, "Conflict", message, path, verb="patch") from error

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: Literal["Background", "Foreground", "Orphan"] | None = None,
    ) -> Object:
        """Delete one object, or a collection.

        Args:
            path: The object's path.
            uid: Only the object of this uid: another one of its name is a ``Conflict``.
            resource_version: Only this version of it; else ``Conflict``.
            propagation: What becomes of its dependents; None leaves it to the resource's default.

        Raises:
            NotFound: It is gone already.
            ApiError: As its subclasses say.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {key: value for key, value in preconditions.items() if value is not None}
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        if propagation is not None:
            body["propagationPolicy"] = propagation
        return await self._call("delete", "DELETE", path, body=body)

    async def list_pages(
        self,
        path: str,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        limit: int = 500,
    ) -> AsyncGenerator[Object]:
        """The current state of a collection as list objects, page by page; ``items`` is always a list.

        No ``resourceVersion`` is sent, so the answer is the most recent state and never an older one than seen before.
        Source: Kubernetes API Concepts, "Semantics for get and list".

        Args:
            path: The collection.
            label_selector: As ``kubectl --selector``.
            field_selector: As ``kubectl --field-selector``.
            metadata_only: Items have ``metadata`` alone; a Secret's data then never comes here.
            limit: Items per page.

        Raises:
            Gone: A continue token expired between two pages; begin again.
            ApiError: As its subclasses say.
        """
        params = _selection(label_selector, field_selector) | {"limit": str(limit)}
        accept = _METADATA_LIST if metadata_only else _JSON
        while True:
            page = await self._call("list", "GET", path, params=params, accept=accept)
            # An empty PartialObjectMetadataList says null.
            page["items"] = page.get("items") or []
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            params["continue"] = token

    async def list_raw(self, path: str, *, limit: int = 500) -> AsyncGenerator[RawPage]:
        """As ``list_pages``, for whoever reads of most objects next to nothing.

        Raises:
            Gone: A continue token expired between two pages; begin again.
            ApiError: As its subclasses say.
        """
        params = {"limit": str(limit)}
        while True:
            page = await self._read(_raw_page, "list", "GET", path, params=params)
            yield page
            if not page.metadata.continue_:
                return
            params["continue"] = page.metadata.continue_

    async def watch(
        self,
        path: str,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        timeout_seconds: int = WATCH_SECONDS,
        silence_seconds: float | None = None,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[tuple[str, Object]]:
        """What changes in a collection after ``resource_version``: ``(type, object)``.

        Types are ADDED, MODIFIED, DELETED and BOOKMARK (an object with nothing but its ``metadata.resourceVersion``).
        It ends without an error when the server ends it, after ``timeout_seconds`` at the latest. Close it with
        ``contextlib.aclosing`` when leaving the loop early: it holds a connection.

        Args:
            path: The collection.
            resource_version: From the list, or of the last event.
            label_selector: As for the list.
            field_selector: As for the list.
            metadata_only: As for the list.
            timeout_seconds: The server ends the watch after that.
            silence_seconds: After so long without a byte the connection counts as dead (``Unreachable``); None for the
                client's own limit.
            on_open: Called once when the server has accepted the watch.

        Raises:
            Gone: ``resource_version`` is too old; list again.
            ApiError: As its subclasses say.
        """
        params = _selection(label_selector, field_selector) | {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        within = aiohttp.ClientTimeout(
            total=timeout_seconds + self.limits.request,
            sock_connect=self.limits.connect,
            sock_read=silence_seconds or self.limits.silence,
        )
        accept = _METADATA if metadata_only else _JSON
        async with (
            self._observed("watch", path) as outcome,
            self._answer(
                "watch", "GET", path, params=params, accept=accept, within=within, begin=self.limits.request
            ) as response,
        ):
            outcome.append(response.status)
            if on_open is not None:
                on_open()
            async for line in split_lines(response.content.iter_any()):
                yield _event(line, path)

    async def _call(self, verb: str, method: Method, path: str, **options: Unpack[_Options]) -> Object:
        return await self._read(_object, verb, method, path, **options)

    async def _read[T](
        self, decoder: msgspec.json.Decoder[T], verb: str, method: Method, path: str, **options: Unpack[_Options]
    ) -> T:
        body = options.get("body")
        async with (
            self._observed(verb, path) as outcome,
            self._answer(
                verb,
                method,
                path,
                params=options.get("params"),
                data=None if body is None else msgspec.json.encode(body),
                media=options.get("media", _JSON),
                accept=options.get("accept", _JSON),
                session=self._ordinary if options.get("bounded", True) else self._unbounded,
                within=self._within(options.get("seconds") or self.limits.request),
            ) as response,
        ):
            answer = _decode(await response.read(), decoder, verb, path)
            outcome.append(response.status)
            return answer

    def _within(self, seconds: float) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(total=seconds, sock_connect=min(self.limits.connect, seconds))

    @asynccontextmanager
    async def _answer(
        self,
        verb: str,
        method: Method,
        path: str,
        *,
        within: aiohttp.ClientTimeout,
        begin: float | None = None,
        params: Mapping[str, str] | None,
        accept: str,
        data: bytes | None = None,
        media: str = _JSON,
        session: aiohttp.ClientSession | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The answer of a request that succeeded; whatever fails, also while it is read, is an ApiError.

        ``begin``: within how many seconds it has to begin, if that is sooner than ``within`` says for the whole.
        """
        headers = {"Accept": accept} | ({"Content-Type": media} if data is not None else {})
        for last in (False, True):
            if (authorization := await self.credentials.authorization()) is not None:
                headers["Authorization"] = authorization
            begun = asyncio.timeout(begin)
            try:
                async with (
                    begun,
                    (session or self._unbounded).request(
                        method,
                        URL(self._base + path, encoded=True),
                        params=params,
                        data=data,
                        headers=headers,
                        timeout=within,
                        proxy=self.credentials.proxy,
                        # Part of the key under which aiohttp keeps connections: a new context means new ones.
                        ssl=self.credentials.ssl_context or True,
                        server_hostname=self.credentials.server_name,
                        # The API server does not redirect; whoever does gets no token of ours.
                        allow_redirects=False,
                    ) as response,
                ):
                    begun.reschedule(None)
                    self.reachability.answered()
                    if response.status < 300:
                        yield response
                        return
                    error = await _failure(verb, path, response)
            except (aiohttp.ClientError, OSError) as cause:
                self.reachability.failed()
                waited = begin if begun.expired() else within.sock_read or within.total
                raise _unreachable(verb, path, self._base, waited, cause) from _without_headers(cause)
            if last or not isinstance(error, Unauthorized):
                raise error
            await self.credentials.renew()

    @asynccontextmanager
    async def _observed(self, verb: str, path: str) -> AsyncIterator[list[int]]:
        """Tell ``on_request`` the outcome; the caller appends the status of a success."""
        outcome: list[int] = []
        started = time.monotonic()
        try:
            yield outcome
        except ApiError as error:
            outcome[:] = [error.status]
            raise
        finally:
            # Given up before an answer came (a cancelled request, a closed watch): nothing to tell.
            if self.on_request is not None and outcome:
                self.on_request(verb, _resource(path), outcome[0], time.monotonic() - started)


def _session(user_agent: str, connections: int) -> aiohttp.ClientSession:
    # aiohttp closes what nobody used for 15 s; a connection has a third of a MiB of buffers.
    connector = aiohttp.TCPConnector(limit=connections)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Not compressed: gzip costs the API server more than it saves a cluster's network (kubernetes#112296).
        headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
    )


def _selection(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    selection = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in selection.items() if value}


def _decode[T](raw: bytes, decoder: msgspec.json.Decoder[T], verb: str, path: str) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _unintelligible(verb, path, "a JSON object as it should be") from error
    except msgspec.DecodeError as error:
        raise _unintelligible(verb, path, "JSON") from error


def _event(line: bytes, path: str) -> tuple[str, Object]:
    try:
        event = _watch_event.decode(line)
    except msgspec.DecodeError as error:
        raise _unintelligible("watch", path, "a WatchEvent") from error
    if event.type == "ERROR":
        raise from_status("watch", path, int(event.object.get("code") or 500), event.object)
    return event.type, event.object


def _unintelligible(verb: str, path: str, expected: str) -> Unreachable:
    # Unreachable: something answered that is not the API server, or the answer was cut.
    return Unreachable(0, "", f"the answer is not {expected}: does a proxy stand in between?", path, verb=verb)


async def _failure(verb: str, path: str, response: aiohttp.ClientResponse) -> ApiError:
    raw = await response.read()
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        body = None
    return from_status(
        verb,
        path,
        response.status,
        body if isinstance(body, dict) else None,
        text=raw[:200].decode("utf-8", "replace"),
        retry_after=_retry_after(response.headers.get("Retry-After")),
    )


def _retry_after(header: str | None) -> float | None:
    # RFC 9110 10.2.3 allows a date too; the API server sends seconds.
    return float(header) if header is not None and header.isascii() and header.isdigit() else None


def _unreachable(verb: str, path: str, server: str, waited: float | None, cause: Exception) -> Unreachable:
    if isinstance(cause, TimeoutError):
        message = f"{server} did not answer in time ({waited:g} s)"
    else:
        message = f"no answer from {server}: {str(cause) or type(cause).__name__}"
    return Unreachable(0, "", message, path, verb=verb)


def _without_headers(cause: Exception) -> Exception | None:
    # The repr of a ClientResponseError holds the request's headers, and so the token.
    return None if isinstance(cause, aiohttp.ClientResponseError) else cause


def _resource(path: str) -> str:
    target = parse_path(path)
    return f"{target.plural}/{target.subresource}" if target.subresource else target.plural
