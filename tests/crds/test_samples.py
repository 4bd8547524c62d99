"""Every sample on a real API server: taken with the defaults that the types have, or refused in exactly these words."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import msgspec
import pytest

from crds.sample import REQUIRED, UNCHECKED, Sample
from crds.samples import SAMPLES
from crds.server import API_VERSION, Answer, Json, Server
from mintls.api.crd import KINDS, NOT_OBSERVED, custom_resource_definition

TYPE_OF = {kind.KIND.kind: kind for kind in KINDS}
TAKEN = [sample for sample in SAMPLES if not sample.errors]
REFUSED = [sample for sample in SAMPLES if sample.errors]


def body_of(sample: Sample, spec: Json | None = None) -> Json:
    body = {"apiVersion": API_VERSION, "kind": sample.kind, "metadata": {"name": sample.name}}
    return body | ({} if sample.spec is None else {"spec": sample.spec if spec is None else spec})


def send(server: Server, sample: Sample) -> Answer:
    """Send the sample as its user would; only what has to be there before is stored."""
    if sample.before is not None:
        with stored(server, body_of(sample, sample.before)) as there:
            return server.update(there | {"spec": sample.spec})
    if sample.status is not None:
        with stored(server, body_of(sample)) as there:
            return server.update(there | {"status": sample.status}, subresource="/status")
    return server.create(body_of(sample))


@contextmanager
def stored(server: Server, body: Json) -> Iterator[Json]:
    made = server.create(body, keep=True)
    assert not made.errors
    try:
        yield made.object
    finally:
        server.delete(body)


def every(samples: list[Sample]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sample", samples, ids=[sample.label for sample in samples])


@pytest.mark.cluster
@every(REFUSED)
def test_it_is_refused_in_these_words(server: Server, sample: Sample) -> None:
    assert sorted(send(server, sample).errors) == sorted(sample.errors)


@pytest.mark.cluster
@every(TAKEN)
def test_it_is_taken_and_read_with_the_defaults_that_the_api_server_fills_in(server: Server, sample: Sample) -> None:
    answer = send(server, sample)
    assert answer.errors == ()
    filled = msgspec.convert(answer.object, TYPE_OF[sample.kind])
    sent = msgspec.convert(answer.object | {"spec": sample.spec or {}}, TYPE_OF[sample.kind])
    assert filled == sent
    unseen = NOT_OBSERVED if TYPE_OF[sample.kind].KIND.observed else {}
    assert answer.object.get("status", {}) == (unseen if sample.status is None else sample.status)


@pytest.mark.cluster
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND.kind)
def test_what_the_api_server_fills_in_is_every_default_that_is_not_empty(server: Server, kind: Any) -> None:
    """Otherwise ``kubectl get -o yaml`` hides what is in effect."""
    name = kind.KIND.kind
    minimal = Sample("minimal", name, REQUIRED.get(name, {}))
    filled = server.create(body_of(minimal)).object
    in_effect = visible(msgspec.convert(filled, kind).spec)
    assert filled["spec"] == in_effect


def visible(value: Any) -> Any:
    """A spec with every default written out, except null and the empty list."""
    if isinstance(value, msgspec.Struct):
        fields = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        shown = {wire: visible(getattr(value, name)) for wire, name in fields}
        return {wire: inner for wire, inner in shown.items() if inner not in (None, [])}
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return [visible(item) for item in value] if isinstance(value, tuple) else value


# -- No rule without a sample that breaks it ---------------------------------------------------------------------------

WORDS = {
    "enum": "Unsupported value: ",
    "maxLength": "Too long: ",
    "maxItems": "Too many: ",
    "maxProperties": "Too many: ",
    "minItems": "should have at least",
    "minLength": "should be at least",
    "minimum": "should be greater than or equal to",
    "pattern": "should match",
    "format": "must be of type date-time",
    "required": "Required value",
}


def broken(node: Json, path: str) -> Iterator[tuple[str, str]]:
    """For each rule of a schema node and those below it: where its error stands, and words in it."""
    yield from rules_of(node, path)
    for name, below in node.get("properties", {}).items():
        yield from broken(below, f"{path}.{name}" if path else name)
        if name in node.get("required", ()):
            yield f"{path}.{name}" if path else name, WORDS["required"]
    if "items" in node:
        yield from broken(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from broken(node["additionalProperties"], f"{path}.x")  # a sample breaks a map's rule at this key


def rules_of(node: Json, path: str) -> Iterator[tuple[str, str]]:
    for rule in node.get("x-kubernetes-validations", ()):
        yield (path or "<nil>") + rule.get("fieldPath", ""), rule["message"]
    for keyword in node.keys() & WORDS.keys() - {"required"}:
        if node[keyword] != "int64":
            yield path, WORDS[keyword]
    if node.get("x-kubernetes-list-type") in {"set", "map"}:
        yield f"{path}[]", "Duplicate value: "


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND.kind)
def test_every_rule_is_broken_by_a_sample(kind: Any) -> None:
    schema = custom_resource_definition(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    errors = [
        re.sub(r"\[[0-9]+\]", "[]", error)
        for sample in REFUSED
        if sample.kind == kind.KIND.kind
        for error in sample.errors
        if error != UNCHECKED
    ]
    missing = [
        (path, words)
        for path, words in broken(schema, "")
        if not any(error.startswith(f"{path}: ") and words in error for error in errors)
    ]
    assert missing == []
