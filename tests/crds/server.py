"""A plain way to send objects to the API server."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from mintls.api.crd import KINDS

API_VERSION = "mintls.dev/v1alpha1"
SCOPE_OF = {kind.KIND.kind: kind.KIND for kind in KINDS}
type Json = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What the API server said: an object, or errors as ``kubectl`` prints them, one by one."""

    object: Json
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """The API server behind ``kubectl proxy``, strict about unknown fields as ``kubectl`` is."""

    connection: HTTPConnection
    namespace: str

    def create(self, body: Json, *, keep: bool = False) -> Answer:
        return self.send("POST", self.collection(body["kind"]), body, keep=keep)

    def update(self, body: Json, *, keep: bool = False, subresource: str = "") -> Answer:
        return self.send("PUT", self.item(body) + subresource, body, keep=keep)

    def delete(self, body: Json) -> None:
        self.send("DELETE", self.item(body), {}, keep=True)

    def get(self, path: str) -> Json:
        return self.send("GET", path, None, keep=True).object

    def send(self, method: str, path: str, body: Json | None, *, keep: bool) -> Answer:
        query = "?fieldValidation=Strict" + ("" if keep else "&dryRun=All") if method in {"POST", "PUT"} else ""
        content = None if body is None else json.dumps(body)
        self.connection.request(method, path + query, content, {"Content-Type": "application/json"})
        answer = json.loads(self.connection.getresponse().read())
        return Answer(answer, errors_of(answer))

    def collection(self, kind: str) -> str:
        names = SCOPE_OF[kind]
        within = f"/namespaces/{self.namespace}" if names.scope == "Namespaced" else ""
        return f"/apis/{API_VERSION}{within}/{names.plural}"

    def item(self, body: Json) -> str:
        return f"{self.collection(body['kind'])}/{body['metadata']['name']}"


def errors_of(answer: Json) -> tuple[str, ...]:
    if answer.get("kind") != "Status" or answer.get("status") != "Failure":
        return ()
    causes = answer.get("details", {}).get("causes", ())
    return tuple(f"{cause['field']}: {cause['message']}" for cause in causes) or (answer["message"],)
