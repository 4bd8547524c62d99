"""Label selectors as Kubernetes evaluates them (Kubernetes documentation, "Labels and Selectors")."""

from collections.abc import Mapping

from mintls.api.v1alpha1.selector import LabelSelector, LabelSelectorRequirement


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is selected. An empty selector selects everything."""
    exact = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return exact and all(_meets(requirement, labels) for requirement in selector.match_expressions)


def _meets(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values  # an object without the label is not in, as Kubernetes has it
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
