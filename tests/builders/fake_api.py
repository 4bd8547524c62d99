"""A Kubernetes API in memory, small and honest: versions, uids, conflicts, ownership by server-side apply.

It knows no schema and no admission. A test steps in with ``before``: a hook that runs ahead of a request, and can
change something or raise, as another client or a bad network would.
"""

import base64
import copy
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from mintls.kube.client import ApiClient
from mintls.kube.errors import AlreadyExists, Conflict, NotFound

type Object = dict[str, Any]
type Hook = Callable[[str, str], Awaitable[None] | None]
"""Called with verb and path."""

_MERGED = ("labels", "annotations")
_EVENTS = re.compile(r"/events$")


@dataclass
class FakeApi:
    """What ``ApiClient`` offers to the controllers.

    Attributes:
        objects: By path of the object, without ``/status``.
        writes: Verb and path of each write that was carried out, events aside.
        events: All events that were posted.
        reads: Paths of all reads.
        before: Runs ahead of each request.
        after: Runs behind each write, ahead of its answer.
    """

    objects: dict[str, Object] = field(default_factory=dict)
    writes: list[tuple[str, str]] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    before: Hook | None = None
    after: Callable[[str, str], None] | None = None
    version: int = 100

    @property
    def client(self) -> ApiClient:
        """As the controllers take it."""
        return cast("ApiClient", self)

    def have(self, path: str, body: Object) -> Object:
        """Somebody else made an object."""
        metadata = {"uid": f"uid-{self._next()}", **body["metadata"], "resourceVersion": str(self.version)}
        self.objects[path] = {**body, "metadata": metadata}
        return copy.deepcopy(self.objects[path])

    def change(self, path: str, **metadata: Any) -> Object:
        """Somebody else changed an object's metadata, or (without any) just touched it."""
        item = self.objects[path]
        version = {"resourceVersion": str(self._next())}
        self.objects[path] = {**item, "metadata": {**item["metadata"], **metadata, **version}}
        return copy.deepcopy(self.objects[path])

    def remove(self, path: str) -> None:
        """Somebody else deleted an object."""
        del self.objects[path]
        self._next()

    async def get(self, path: str, **_: Any) -> Object:
        await self._arrive("get", path)
        self.reads.append(path)
        return copy.deepcopy(self._existing(path))

    async def list_pages(self, path: str, *, field_selector: str, **_: Any) -> AsyncIterator[Object]:
        """The one object of that name, if there is one."""
        await self._arrive("list", path)
        self.reads.append(path)
        item = self.objects.get(f"{path}/{field_selector.removeprefix('metadata.name=')}")
        yield {"items": [copy.deepcopy(item)] if item else []}

    async def create(self, path: str, body: Object, **_: Any) -> Object:
        await self._arrive("create", path)
        if _EVENTS.search(path):
            self.events.append(body)
            return body
        item = f"{path}/{body['metadata']['name']}"
        if item in self.objects:
            raise AlreadyExists(409, "AlreadyExists", "already exists", item, verb="create")
        return self._keep("create", item, body, {"metadata": {"uid": f"uid-{self._next()}"}})

    async def replace(self, path: str, body: Object, **_: Any) -> Object:
        await self._arrive("update", path)
        old = self._matching(path, body)
        return self._keep("update", path, body, {"metadata": {"uid": old["metadata"]["uid"]}})

    async def apply(self, path: str, body: Object, **_: Any) -> Object:
        """Server-side apply: foreign labels, annotations and files stay."""
        await self._arrive("apply", path)
        if path not in self.objects and "uid" not in body["metadata"]:
            return self._keep("apply", path, body, {"metadata": {"uid": f"uid-{self._next()}"}})
        return self._keep("apply", path, body, self._matching(path, body))

    async def merge_patch(self, path: str, body: Object, **_: Any) -> Object:
        """A merge patch (RFC 7386) of an object or its status."""
        await self._arrive("patch", path)
        item = path.removesuffix("/status")
        old = self._matching(item, body) if item in self.objects else self._existing(item)
        merged = _merge(old, body)
        if merged != old:
            merged["metadata"]["resourceVersion"] = str(self._next())
        self.objects[item] = merged
        self._wrote("patch", path)
        return copy.deepcopy(merged)

    async def replace_status(self, path: str, uid: str, status: Object) -> Object:
        await self._arrive("patch", path)
        item = path.removesuffix("/status")
        old = self._existing(item)
        if old["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "another object has the name now", path)
        if status != old.get("status"):
            version = {"resourceVersion": str(self._next())}
            self.objects[item] = {**old, "status": copy.deepcopy(status), "metadata": {**old["metadata"], **version}}
        self._wrote("patch", path)
        return copy.deepcopy(self.objects[item])

    async def delete(
        self, path: str, *, uid: str | None = None, resource_version: str | None = None, **_: Any
    ) -> Object:
        await self._arrive("delete", path)
        wanted = {"uid": uid, "resourceVersion": resource_version}
        old = self._matching(path, {"metadata": {key: value for key, value in wanted.items() if value}})
        self.remove(path)
        self._wrote("delete", path)
        return old

    async def _arrive(self, verb: str, path: str) -> None:
        if self.before is not None:
            hook = self.before(verb, path)
            if hook is not None:
                await hook

    def _existing(self, path: str) -> Object:
        if path not in self.objects:
            raise NotFound(404, "NotFound", "not found", path)
        return self.objects[path]

    def _matching(self, path: str, body: Object) -> Object:
        """The object, if uid and resourceVersion in the body, where given, are its own."""
        if path not in self.objects:
            if "uid" in body["metadata"]:
                raise Conflict(409, "Conflict", "Precondition failed: UID in precondition", path)
            raise NotFound(404, "NotFound", "not found", path)
        old = self.objects[path]
        for name in ("uid", "resourceVersion"):
            if name in body["metadata"] and body["metadata"][name] != old["metadata"][name]:
                raise Conflict(409, "Conflict", f"{name} is {old['metadata'][name]}", path)
        return old

    def _keep(self, verb: str, path: str, body: Object, old: Object) -> Object:
        new = copy.deepcopy({**old, **body})
        new["metadata"] = {**old["metadata"], **body["metadata"], "uid": old["metadata"]["uid"]}
        for part in _MERGED:
            new["metadata"][part] = {**old["metadata"].get(part, {}), **body["metadata"].get(part, {})}
        data = {**old.get("data", {}), **body.get("data", {})}
        strings = new.pop("stringData", {})
        new["data"] = {**data, **{name: base64.b64encode(value.encode()).decode() for name, value in strings.items()}}
        new["metadata"]["resourceVersion"] = str(self._next())
        self.objects[path] = new
        self._wrote(verb, path)
        return copy.deepcopy(new)

    def _wrote(self, verb: str, path: str) -> None:
        self.writes.append((verb, path))
        if self.after is not None:
            self.after(verb, path)

    def _next(self) -> int:
        self.version += 1
        return self.version


def _merge(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
