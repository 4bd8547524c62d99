"""An object sent to the API server, what it answers, and how it words that."""

from dataclasses import dataclass
from typing import Any

type Json = dict[str, Any]


UNCHECKED = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)

REQUIRED = {
    "ClientCertificate": {"clientRef": {"name": "billing"}, "secretName": "s"},
    "SpentIdentifier": {"use": "accessToken", "clientID": "shop:billing", "expires": "2026-01-01T00:00:00Z"},
}


@dataclass(frozen=True)
class Sample:
    """An object, and the errors that the API server answers; none if it takes the object.

    Attributes:
        title: What is special about it.
        kind: Its kind.
        spec: Its spec; None for an object without.
        errors: ``field: message``, as ``kubectl`` prints them, in the server's order.
        status: If there is one, the object itself is good and the errors are those of writing this status.
        before: If there is one, the object exists with this spec and is updated.
        name: Its name.
    """

    title: str
    kind: str
    spec: Json | None
    errors: tuple[str, ...] = ()
    status: Json | None = None
    before: Json | None = None
    name: str = "sample"

    @property
    def label(self) -> str:
        return f"{self.kind}: {self.title}"


def client(title: str, *errors: str, **spec: Any) -> Sample:
    """An OAuthClient."""
    return Sample(title, "OAuthClient", spec, errors)


def certificate(title: str, *errors: str, **spec: Any) -> Sample:
    """A ClientCertificate with what is required."""
    return Sample(title, "ClientCertificate", {"clientRef": {"name": "billing"}, "secretName": "s"} | spec, errors)


def authority(title: str, *errors: str, **spec: Any) -> Sample:
    """A CertificateAuthority."""
    return Sample(title, "CertificateAuthority", spec, errors)


def refused(path: str, value: str, message: str) -> str:
    """How the API server words a rule about a string; it quotes as Go does."""
    return f"{path}: Invalid value: {quoted(value)}: {message}"


def quoted(value: str) -> str:
    """Go's %q, for what the samples contain."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\0", "\\x00")
    return f'"{escaped}"'


def too_long(path: str, limit: int) -> str:
    return f"{path}: Too long: may not be more than {limit} bytes"


def unsupported(path: str, value: str, *supported: str) -> str:
    return f"{path}: Unsupported value: {quoted(value)}: supported values: {', '.join(map(quoted, supported))}"


def nested(path: str, value: Any) -> Json:
    """``{"a": {"b": value}}`` of ``a.b``."""
    for name in reversed(path.split(".")):
        value = {name: value}
    result: Json = value
    return result
