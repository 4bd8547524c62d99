"""Label selectors (``metav1.LabelSelector``)."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.meta import KubeStruct
from mintls.api.v1alpha1.rules import LIST_ATOMIC, Rule, cel


class LabelSelectorRequirement(KubeStruct, frozen=True, kw_only=True):
    """One condition on a label."""

    key: Annotated[str, Meta(description="The label's key.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Meta(description="`In` and `NotIn` compare with `values`; `Exists` and `DoesNotExist` take none."),
    ]
    values: Annotated[
        tuple[str, ...],
        Meta(description="Values to compare with.", extra_json_schema=LIST_ATOMIC),
    ] = ()


_REQUIREMENT_RULES = cel(
    Rule(
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        "values must be given with the operators In and NotIn, and left out with Exists and DoesNotExist",
        field="values",
    )
)


class LabelSelector(KubeStruct, frozen=True, kw_only=True):
    """Selects objects by their labels; everything in it has to hold. An empty one selects all."""

    match_labels: Annotated[
        dict[str, str],
        Meta(description="Labels with exactly these values."),
    ] = msgspec.field(default_factory=dict)
    match_expressions: Annotated[
        tuple[Annotated[LabelSelectorRequirement, Meta(extra_json_schema=_REQUIREMENT_RULES)], ...],
        Meta(description="Further conditions.", max_length=16, extra_json_schema=LIST_ATOMIC),
    ] = ()
