"""Label selectors, as Kubernetes' documentation has them."""

from typing import Any

import msgspec
import pytest

from mintls.api.v1alpha1.selector import LabelSelector
from mintls.reconcile.selector import selects

BLUE = {"team": "blue"}


def expression(operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": "team", "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "labels", "selected"),
    [
        ({}, {}, True),
        ({"matchLabels": BLUE}, BLUE | {"x": "y"}, True),
        ({"matchLabels": BLUE}, {}, False),
        ({"matchLabels": BLUE | {"x": "y"}}, BLUE, False),
        (expression("In", "blue", "red"), BLUE, True),
        (expression("In", "red"), BLUE, False),
        (expression("In", "red"), {}, False),
        (expression("NotIn", "red"), BLUE, True),
        (expression("NotIn", "blue"), BLUE, False),
        (expression("NotIn", "blue"), {}, True),
        (expression("Exists"), BLUE, True),
        (expression("Exists"), {}, False),
        (expression("DoesNotExist"), {}, True),
        (expression("DoesNotExist"), BLUE, False),
        ({"matchLabels": BLUE, **expression("NotIn", "blue")}, BLUE, False),
    ],
)
def test_selects(selector: dict[str, Any], labels: dict[str, str], *, selected: bool) -> None:
    assert selects(msgspec.convert(selector, LabelSelector), labels) is selected
