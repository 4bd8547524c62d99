"""What can go wrong between Mintls and the Kubernetes API.

::

    KubeError
    ├── ConfigurationError      no usable kubeconfig or service account: a person has to act
    └── ApiError                a request failed; carries status, reason, message, path, retry_after
        ├── Unreachable         no answer: network, TLS, time-out, or one cut short (status 0)
        ├── Unauthorized        401, after the credentials were read anew
        ├── Forbidden           403; the message says which right is missing
        ├── NotFound            404
        ├── Conflict            409, the object changed meanwhile: read it again
        │   └── AlreadyExists   409, a create met an object of that name
        ├── Gone                410, the resourceVersion or continue token is too old: list again
        ├── Invalid             422, the schema or a validation refused the object
        ├── TooManyRequests     429; retry_after in seconds where the server says it
        └── ServerError         5xx

Statuses without a class of their own (400, 405, 406, 413, 415, 3xx) are a plain ``ApiError``.
Reasons are those of ``Status.reason`` (Kubernetes API conventions, "Response Status Kind").
"""

# ruff: noqa: N818 - the names are the API's own reasons (Status.reason), which end in no "Error"

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from mintls.kube.paths import Target, parse_path

# Base64 or PEM long enough to be key material. The API server quotes the value that it could not decode
# ("cannot convert ... {Value: ...}"), and for a Secret that value must not reach a log.
_MATERIAL = re.compile(r"-----BEGIN.*?(?:-----END[^-]*-----|\Z)|[A-Za-z0-9+/=]{40,}", re.DOTALL)
_MESSAGE_LIMIT = 2000
_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,\s]+)")
# Of RBAC and of other authorizers that answer like it; admission, which comes later, has other words.
_RIGHT = re.compile(r"\bcannot \S+ (?:resource|path)\b")


class KubeError(Exception):
    """The root of everything that this package raises on purpose."""


class ConfigurationError(KubeError):
    """The kubeconfig or the service account cannot be used; the message says what is missing where."""


class ApiError(KubeError):
    """A request to the Kubernetes API failed.

    Attributes:
        status: HTTP status, 0 when there was no answer.
        reason: ``Status.reason`` in CamelCase, such as ``AlreadyExists``; "" when the server gave none.
        message: The server's own words, key material taken out; no verb or object in it.
        path: The path of the request, without query.
        verb: The API verb (get, list, watch, create, update, patch, delete).
        causes: ``(reason, field, message)`` of each of ``Status.details.causes``.
        retry_after: Seconds to wait as the server asks (``Retry-After``), None when it does not ask.
        retriable: Whether the same intention may succeed later without anybody changing an object or a right.
    """

    retriable: ClassVar[bool] = False
    advice: ClassVar[str] = ""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        path: str,
        *,
        verb: str = "",
        causes: tuple[tuple[str, str, str], ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, reason, message, path)
        self.status = status
        self.reason = reason
        self.message = message
        self.path = path
        self.verb = verb
        self.causes = causes
        self.retry_after = retry_after

    @property
    def target(self) -> Target:
        """What the request was about, read back from its path."""
        return parse_path(self.path)

    def __str__(self) -> str:
        what = f"{self.verb or 'request'} {self.target}: "
        status = f" (HTTP {self.status} {self.reason})".replace(" )", ")") if self.status else ""
        advice = self._advice()
        return what + self.message + status + (f"; {advice}" if advice else "")

    def _advice(self) -> str:
        return self.advice


class Unreachable(ApiError):
    """No answer, or one that broke off. A write may have been carried out nevertheless: observe before repeating it."""

    retriable = True
    advice = "the Kubernetes API was not reached; it is tried again"


class Unauthorized(ApiError):
    """401: the API server does not accept the credentials, not even after they were read anew."""

    retriable = True
    advice = "check that the service account's token or the kubeconfig's credentials are valid for this cluster"


class Forbidden(ApiError):
    """403: RBAC, a quota or another admission rule refuses."""

    def _advice(self) -> str:
        target = self.target
        where = f'in namespace "{target.namespace}"' if target.namespace else "at cluster scope"
        resource = f"{target.plural}/{target.subresource}" if target.subresource else target.plural
        if self.namespace_terminating:
            return "the namespace is being deleted; nothing can be created in it any more"
        if self.quota:
            return f'raise ResourceQuota "{self.quota}" {where}, or delete what uses it up'
        if not self.right_missing:
            return ""
        return f'the identity needs verb "{self.verb}" on resource "{resource}" of API group "{target.group}" {where}'

    @property
    def namespace_terminating(self) -> bool:
        """Whether the namespace is being deleted: nothing new can be created there, and no right is missing."""
        return any(reason == "NamespaceTerminating" for reason, _, _ in self.causes)

    @property
    def quota(self) -> str:
        """The ResourceQuota that is exhausted; "" if it is none. The message of its admission plugin alone says it."""
        found = _QUOTA.search(self.message)
        return found["name"] if found else ""

    @property
    def right_missing(self) -> bool:
        """Whether it is a right that is missing, and not an admission rule that refuses."""
        return _RIGHT.search(self.message) is not None


class NotFound(ApiError):
    """404: the object, its namespace, or the whole resource (a CRD that is not installed) does not exist."""

    @property
    def resource_missing(self) -> bool:
        """Whether the resource itself is unknown: its CRD is not installed. That 404 carries no Status object."""
        return self.reason == ""

    def _advice(self) -> str:
        if not self.resource_missing:
            return ""
        return f"the API server does not serve {self.target.resource}: is its CRD installed?"


class Conflict(ApiError):
    """409: the object changed after it was read, or another field manager owns a field."""

    retriable = True
    advice = "read the object again and decide anew"


class AlreadyExists(Conflict):
    """409: a create met an object of the same name."""

    retriable = False
    advice = ""


class Gone(ApiError):
    """410: the resourceVersion or continue token is older than what the API server keeps."""

    retriable = True
    advice = "list again"


class Invalid(ApiError):
    """422: the object breaks its schema or a validation rule; the message names the field."""

    @property
    def immutable(self) -> bool:
        """Whether a Secret or ConfigMap is refused because somebody made it immutable (``immutable: true``)."""
        return "field is immutable when `immutable` is set" in self.message


class TooManyRequests(ApiError):
    """429: the API server sheds load, or an eviction budget refuses."""

    retriable = True
    advice = "the API server asks to slow down"


class ServerError(ApiError):
    """5xx: the API server, etcd or a webhook behind it failed."""

    retriable = True
    advice = "the API server could not carry it out; it is tried again"


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: TooManyRequests,
}


def error_class(status: int, reason: str) -> type[ApiError]:
    """The class for an HTTP status and a ``Status.reason``."""
    if status == 409 and reason == "AlreadyExists":
        return AlreadyExists
    if status >= 500:
        return ServerError
    return _BY_STATUS.get(status, ApiError)


def from_status(
    verb: str,
    path: str,
    status: int,
    body: Mapping[str, Any] | None,
    *,
    text: str = "",
    retry_after: float | None = None,
) -> ApiError:
    """The error for an answer of the API server.

    Args:
        verb: The API verb of the request.
        path: The path of the request.
        status: HTTP status, or ``Status.code`` of an ERROR event in a watch.
        body: The ``Status`` object (API conventions, "Response Status Kind"), None when the answer was none.
        text: The raw answer, used where there is no ``Status`` (a proxy's page, "404 page not found").
        retry_after: Seconds from the ``Retry-After`` header.
    """
    answer = body if body is not None and body.get("kind") == "Status" else {}
    details = answer.get("details") or {}
    reason = str(answer.get("reason") or "")
    message = str(answer.get("message") or text.strip() or "the API server gave no reason")
    return error_class(status, reason)(
        status,
        reason,
        _harmless(message, path)[:_MESSAGE_LIMIT],
        path,
        verb=verb,
        causes=tuple(_cause(cause, path) for cause in details.get("causes") or ()),
        retry_after=retry_after if retry_after is not None else details.get("retryAfterSeconds"),
    )


def _cause(cause: Mapping[str, Any], path: str) -> tuple[str, str, str]:
    return (str(cause.get("reason", "")), str(cause.get("field", "")), _harmless(str(cause.get("message", "")), path))


def _harmless(message: str, path: str) -> str:
    if parse_path(path).plural != "secrets":
        return message
    return _MATERIAL.sub("[withheld]", message)
