"""What a POST owns is handed over to apply; nobody else's fields are touched."""

from typing import Any

import pytest

from mintls.kube.managedfields import handed_over, last_other, posted_fields, stated_fields, was_posted


def entry(manager: str, operation: str, *labels: str, **more: Any) -> dict[str, Any]:
    owned = {".": {}, **{f"f:{label}": {} for label in labels}}
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:metadata": {"f:labels": owned}}, **more}


POST = entry("mintls", "Update", "team", "tier")
APPLY = entry("mintls", "Apply", "team", "zone")
KUBECTL = entry("kubectl", "Update", "team")
STATUS = entry("mintls", "Update", "x", subresource="status")


def labels(found: dict[str, Any]) -> set[str]:
    return set(found["fieldsV1"]["f:metadata"]["f:labels"]) - {"."}


@pytest.mark.parametrize(
    ("entries", "posted"), [([], False), ([APPLY, KUBECTL, STATUS], False), ([POST], True), ([APPLY, POST], True)]
)
def test_only_a_post_of_ours_is_one(entries: list[dict[str, Any]], posted: bool) -> None:  # noqa: FBT001 - a table
    assert was_posted(entries, "mintls") == posted


def test_before_any_apply_the_entry_of_the_post_becomes_that_of_apply() -> None:
    assert handed_over([KUBECTL, POST], "mintls") == [KUBECTL, {**POST, "operation": "Apply"}]


def test_after_an_apply_both_become_one() -> None:
    kubectl, applied = handed_over([KUBECTL, APPLY, POST], "mintls")
    assert kubectl == KUBECTL
    assert (applied["operation"], labels(applied)) == ("Apply", {"f:team", "f:tier", "f:zone"})
    assert labels(APPLY) == {"f:team", "f:zone"}, "what was read is not changed"


@pytest.mark.parametrize("entries", [[], [KUBECTL, STATUS], [APPLY]])
def test_without_a_post_everything_stays(entries: list[dict[str, Any]]) -> None:
    assert handed_over(entries, "mintls") == entries


def test_fields_are_told_in_the_words_of_a_manifest() -> None:
    post = {
        **POST,
        "fieldsV1": {
            "f:data": {".": {}, "f:tls.crt": {}},
            "f:metadata": {"f:annotations": {"f:mintls.dev/revision": {}}, "f:labels": {"f:team": {}}},
            "f:type": {},
        },
    }
    manifest = {
        "metadata": {"labels": {"team": "x"}, "annotations": {"mintls.dev/revision": "1"}},
        "data": {"tls.crt": "x"},
    }
    assert posted_fields([post, KUBECTL], "mintls") == stated_fields(manifest)


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        ([], ""),
        ([POST, APPLY], ""),
        (
            [
                {**KUBECTL, "time": "2026-01-01T00:00:02Z"},
                {**entry("argocd", "Apply", "a"), "time": "2026-01-01T00:00:01Z"},
            ],
            "kubectl",
        ),
        ([KUBECTL, {**entry("argocd", "Apply", "a"), "time": "2026-01-01T00:00:01Z"}], "argocd"),
        ([{**KUBECTL, "subresource": "status"}], ""),
    ],
)
def test_the_last_other_writer_is_named(entries: list[dict[str, Any]], name: str) -> None:
    assert last_other(entries, "mintls") == name
