"""What the kinds share: metadata, conditions, references and columns."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.rules import LIST_MAP_BY_TYPE, Rule, object_name_meta

GROUP = "mintls.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# A point in time, RFC 3339 on the wire, always with its zone.
Time = Annotated[datetime, Meta(tz=True)]


class KubeStruct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of an object: frozen, camelCase on the wire. Unknown fields are ignored: a newer CRD can be read."""


class ObjectMeta(KubeStruct, frozen=True, kw_only=True):
    """The metadata that Mintls reads (Kubernetes API conventions, "Metadata"); the rest is left alone."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class ConditionStatus(StrEnum):
    """Whether a condition holds (Kubernetes API conventions, "Typical status properties")."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(KubeStruct, frozen=True, kw_only=True):
    """One observation about an object (metav1.Condition)."""

    type: Annotated[
        str,
        Meta(
            description="What is observed, in CamelCase.",
            max_length=316,
            pattern=r"^[A-Za-z][A-Za-z0-9]*$",
        ),
    ]
    status: Annotated[ConditionStatus, Meta(description="Whether it holds: True, False or Unknown.")]
    reason: Annotated[
        str,
        Meta(
            description="Why it was last set, one CamelCase word for programs.",
            min_length=1,
            max_length=1024,
            pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        ),
    ]
    message: Annotated[str, Meta(description="The same for people: what happened and what to do.", max_length=32768)]
    last_transition_time: Annotated[Time, Meta(description="When `status` last changed.")]
    observed_generation: Annotated[
        int, Meta(description="The `metadata.generation` that this was observed of.", ge=0)
    ] = 0


Conditions = Annotated[
    tuple[Condition, ...],
    Meta(
        description="The latest observations. `Ready` is always there once the object was looked at.",
        extra_json_schema=LIST_MAP_BY_TYPE,
    ),
]

ObservedGeneration = Annotated[
    int,
    Meta(
        description="The `metadata.generation` that this status speaks of. "
        "While it differs from the object's, the status is of an earlier spec; -1 is of none.",
        ge=-1,
    ),
]


class LocalReference(KubeStruct, frozen=True, kw_only=True):
    """An object of the same namespace, by name."""

    name: Annotated[str, object_name_meta("Name of the object.")]


class AuthorityReference(KubeStruct, frozen=True, kw_only=True):
    """A CertificateAuthority, by name. What is trusted is its key, not its name."""

    name: Annotated[str, object_name_meta("Name of the CertificateAuthority.")] = "default"


class PrinterColumn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A column of ``kubectl get`` (``additionalPrinterColumns``)."""

    name: str
    type: str
    json_path: str
    description: str = ""
    priority: int = 0


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a CustomResourceDefinition says of a kind beside its schema.

    Attributes:
        kind: Name in CamelCase.
        plural: Name in URLs.
        singular: Name for ``kubectl``.
        short_names: Abbreviations for ``kubectl``.
        scope: Whether its objects belong to a namespace.
        columns: What ``kubectl get`` shows.
        rules: Rules over the whole object: the only ones that see ``metadata.name``.
        observed: Whether it has a status, and ``kubectl get mintls`` shows it. A record that programs keep has neither.
    """

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    scope: Literal["Namespaced", "Cluster"]
    columns: tuple[PrinterColumn, ...]
    rules: tuple[Rule, ...] = ()
    observed: bool = True


READY_COLUMN = PrinterColumn(
    name="Ready", type="string", json_path='.status.conditions[?(@.type=="Ready")].status', description="Usable now?"
)
REASON_COLUMN = PrinterColumn(
    name="Reason",
    type="string",
    json_path='.status.conditions[?(@.type=="Ready")].reason',
    description="Why it is ready or not.",
)
MESSAGE_COLUMN = PrinterColumn(
    name="Message",
    type="string",
    json_path='.status.conditions[?(@.type=="Ready")].message',
    description="The same for people.",
    priority=1,
)
AGE_COLUMN = PrinterColumn(
    name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since it was created."
)


_REQUEST_LENGTH = 64


def request_of(metadata: ObjectMeta, annotation: str) -> str:
    """The value by which somebody asks for something; "" for nobody. No more than 64 characters count."""
    return metadata.annotations.get(annotation, "")[:_REQUEST_LENGTH]
