"""What the three kinds share: metadata, conditions, and the vocabulary in which a field states its rules."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

GROUP = "mintls.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"


class KubeStruct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A part of an object: frozen, camelCase on the wire; unknown fields are ignored so that a newer CRD can be read."""


class ObjectMeta(KubeStruct, frozen=True, kw_only=True):
    """The metadata that Mintls reads (Kubernetes API conventions, "Metadata"); the rest is left alone."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)


class ConditionStatus(StrEnum):
    """Whether a condition holds (Kubernetes API conventions, "Typical status properties")."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(KubeStruct, frozen=True, kw_only=True):
    """One observation about an object (``metav1.Condition``)."""

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
    last_transition_time: Annotated[datetime, Meta(description="When `status` last changed.")]
    observed_generation: Annotated[
        int, Meta(description="The `metadata.generation` that this was observed of.", ge=0)
    ] = 0


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """JSON-schema extension for CEL rules, each a pair of the rule and the message shown when it is false.

    Source: Kubernetes documentation, "CustomResourceDefinitions", validation rules.
    """
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


LIST_MAP_BY_TYPE = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
LIST_SET = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC = {"x-kubernetes-list-type": "atomic"}

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
        "While it differs from the object's, the status is of an earlier spec.",
        ge=0,
    ),
]

DURATION_RULE = "self.matches('^([0-9]+h)?([0-9]+m)?([0-9]+s)?$') && self != ''"
DURATION_MESSAGE = "must be a duration in hours, minutes and seconds, such as 24h, 90m or 1h30m"


def duration_meta(description: str, *more: tuple[str, str]) -> Meta:
    """Schema of a duration in Go's spelling, kept as the user wrote it; ``more`` are further CEL rules for it."""
    return Meta(
        description=f"{description} In hours, minutes and seconds, such as `24h`, `90m` or `1h30m`.",
        min_length=2,
        max_length=32,
        extra_json_schema=cel((DURATION_RULE, DURATION_MESSAGE), *more),
    )


OBJECT_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
ObjectName = Annotated[str, Meta(min_length=1, max_length=253, pattern=OBJECT_NAME)]


class LocalReference(KubeStruct, frozen=True, kw_only=True):
    """An object of the same namespace, by name."""

    name: Annotated[str, Meta(description="Name of the object.", min_length=1, max_length=253, pattern=OBJECT_NAME)]


class AuthorityReference(KubeStruct, frozen=True, kw_only=True):
    """A CertificateAuthority, by name. What is trusted is its key, not its name."""

    name: Annotated[
        str,
        Meta(description="Name of the CertificateAuthority.", min_length=1, max_length=253, pattern=OBJECT_NAME),
    ] = "default"


class PrinterColumn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A column of ``kubectl get`` (``additionalPrinterColumns``)."""

    name: str
    type: str
    json_path: str
    description: str = ""
    priority: int = 0


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What a CustomResourceDefinition says of a kind beside its schema."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    scope: str
    columns: tuple[PrinterColumn, ...]


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
