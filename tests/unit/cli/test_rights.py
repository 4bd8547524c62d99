"""The rights that are asked for are those that the manifests give."""

from typing import Any

import yaml

from builders.world import REPOSITORY
from mintls.cli.people.rights import OPERATING


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((REPOSITORY / "hack" / "manifests" / "operator-rbac.yaml").read_text()))


def test_those_of_the_operator_are_the_ones_that_it_is_given() -> None:
    given = {
        (verb, group, resource, item["kind"] == "Role")
        for item in manifests()
        for rule in item.get("rules", ())
        if "resourceNames" not in rule
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {(one.verb, one.group, one.resource, one.here) for one in OPERATING} == given
