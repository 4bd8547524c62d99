"""Every generated schema, walked node by node: the rules of structural schemas and of our own taste."""

from collections.abc import Iterator
from typing import Any

import pytest

from mintls.api.crd import KINDS, custom_resource_definition

type Node = tuple[str, dict[str, Any]]

DEFINITIONS = [custom_resource_definition(kind) for kind in KINDS]


def schema(definition: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return result


def walk(node: dict[str, Any], path: str) -> Iterator[Node]:
    yield path, node
    for name, field in node.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}")
    for keyword, suffix in (("items", "[]"), ("additionalProperties", "[*]")):
        if keyword in node:
            yield from walk(node[keyword], path + suffix)


NODES = [node for definition in DEFINITIONS for node in walk(schema(definition), definition["spec"]["names"]["kind"])]


def test_every_node_is_structural() -> None:
    for path, node in NODES:
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert not node.keys() & {"$ref", "anyOf", "oneOf", "allOf", "title", "nullable", "$defs"}, path
        assert node.get("additionalProperties") is not False, path
        assert ("items" in node) is (node["type"] == "array"), path
        assert not ("properties" in node and "additionalProperties" in node), path


def test_every_field_is_described_as_a_sentence() -> None:
    for path, node in NODES:
        for name, field in node.get("properties", {}).items():
            if name != "metadata":
                assert field["description"][-1] == ".", f"{path}.{name}"
                assert "\n" not in field["description"], f"{path}.{name}"


def test_what_is_required_exists_and_has_no_default() -> None:
    for path, node in NODES:
        for name in node.get("required", ()):
            assert "default" not in node["properties"][name], path


def test_the_keys_of_a_map_list_are_always_there() -> None:
    for path, node in NODES:
        for key in node.get("x-kubernetes-list-map-keys", ()):
            items = node["items"]
            assert key in items.get("required", ()) or "default" in items["properties"][key], path


def test_an_object_whose_fields_have_defaults_has_one_too() -> None:
    """Otherwise the API server fills nothing in where the object is left out (optional ones without meaning apart)."""
    missing = [
        path
        for path, node in NODES
        if path.partition(".")[2].startswith("spec") and node["type"] == "object" and "default" not in node
        if any("default" in field for field in node.get("properties", {}).values())
    ]
    assert missing == [
        "OAuthClient.spec.authorities[]",
        "ClientCertificate.spec",
        *(f"ClientCertificate.spec.keystores.{kind}" for kind in ("pkcs12", "pkcs12.passwordSecretRef")),
        *(f"ClientCertificate.spec.keystores.{kind}" for kind in ("jks", "jks.passwordSecretRef")),
        "CertificateAuthority.spec.selfSigned",
        "CertificateAuthority.spec.external.certManager.issuerRef",
        "CertificateAuthority.spec.external.vault",
        "CertificateAuthority.spec.external.vault.auth.kubernetes",
    ]


def test_every_rule_has_a_bound_and_a_message_in_one_line() -> None:
    for path, node in NODES:
        rules = node.get("x-kubernetes-validations", ())
        if rules and node["type"] == "string":
            assert node["maxLength"] <= 65536, path
        for rule in rules:
            assert rule["message"], path
            assert "\n" not in rule["message"] + rule["rule"], path


def test_patterns_are_anchored_and_stand_where_only_programs_write() -> None:
    patterned = [(path, node["pattern"]) for path, node in NODES if "pattern" in node]
    assert all(pattern.startswith("^") and pattern.endswith("$") for _, pattern in patterned)
    assert all(path.partition(".")[2].startswith("status") for path, _ in patterned)


def test_a_rule_points_at_a_field_that_exists() -> None:
    for path, node in NODES:
        for rule in node.get("x-kubernetes-validations", ()):
            below = node
            for name in filter(None, rule.get("fieldPath", "").split(".")):
                assert name in below["properties"], f"{path}: {rule}"
                below = below["properties"][name]


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition["metadata"]["name"])
class TestDefinition:
    def test_it_is_named_after_plural_and_group(self, definition: dict[str, Any]) -> None:
        spec = definition["spec"]
        assert definition["metadata"]["name"] == f"{spec['names']['plural']}.{spec['group']}"
        assert spec["names"]["listKind"] == spec["names"]["kind"] + "List"

    def test_it_has_what_tools_look_for(self, definition: dict[str, Any]) -> None:
        version = definition["spec"]["versions"][0]
        assert definition["spec"]["names"]["shortNames"]
        if "status" not in schema(definition)["properties"]:
            assert "categories" not in definition["spec"]["names"], "a record of programs is not for people"
            assert "subresources" not in version
            return
        assert definition["spec"]["names"]["categories"] == ["mintls"]
        assert version["subresources"] == {"status": {}}
        status = schema(definition)["properties"]["status"]["properties"]
        assert status["observedGeneration"]["type"] == "integer"
        assert status["conditions"]["x-kubernetes-list-map-keys"] == ["type"]

    def test_its_columns_show_fields_that_exist(self, definition: dict[str, Any]) -> None:
        columns = definition["spec"]["versions"][0]["additionalPrinterColumns"]
        names = {column["name"] for column in columns}
        assert ({"Ready", "Reason", "Age"} if "status" in schema(definition)["properties"] else {"Age"}) <= names
        for column in columns:
            first, second = column["jsonPath"].removeprefix(".").split(".")[:2]
            if first != "metadata":
                assert second.partition("[")[0] in schema(definition)["properties"][first]["properties"]
